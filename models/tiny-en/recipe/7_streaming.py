"""Word error rates of `percept stream` beside `percept transcribe`, on recordings of 75 s and more

    python 7_streaming.py --percept ../../../target/release/percept testsets977 testsets31337

Joins the 16 kHz sentences of the sets to long recordings, in an order that the seed fixes, and recognises these whole and
in windows of several sizes.
"""
import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import wer

SETS = ("espeak", "flite", "slt", "us", "gb", "heldout")
RATE = 16_000
SECONDS = 75
CONTEXTS = (("10", "10", "5"), ("10", "2", "2"), ("5", "1", "1"), ("2", "0.5", "0.5"))


def sentences(folder):
    for name in SETS:
        for file, text in wer.read_refs(folder / name / "refs.tsv").items():
            pcm, rate = soundfile.read(folder / name / file, dtype="float32")
            if rate == RATE and text:
                yield pcm, text


def recordings(folder):
    """(samples, text) of at least SECONDS each; what is left over is left out."""
    found = list(sentences(folder))
    random.Random(7).shuffle(found)
    pcm, texts = [], []
    for part, text in found:
        pcm.append(part)
        texts.append(text)
        if sum(map(len, pcm)) >= SECONDS * RATE:
            yield np.concatenate(pcm), " ".join(texts)
            pcm, texts = [], []


def rate(refs, said):
    pairs = [(wer.words(text), wer.words(said[name])) for name, text in refs.items()]
    wrong, total = sum(wer.errors(*pair) for pair in pairs), sum(len(ref) for ref, _ in pairs)
    return f"{wrong} of {total} words, {100 * wrong / total:.2f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--percept", default="percept")
    parser.add_argument("sets", nargs="+", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        refs = {}
        for pcm, text in (recording for sets in arguments.sets for recording in recordings(sets)):
            path = str(Path(folder, f"{len(refs):03}.wav"))
            soundfile.write(path, pcm, RATE, subtype="PCM_16")
            refs[path] = text

        def run(*options):
            command = [arguments.percept, *options, "--format", "json", *refs]
            lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            return [json.loads(line) for line in lines]

        said = {line["file"]: line["text"] for line in run("transcribe")}
        print(f"{len(refs)} recordings\ntranscribe: {rate(refs, said)}")
        for left, chunk, right in CONTEXTS:
            events = run("stream", "--left", left, "--chunk", chunk, "--right", right)
            said = {event["stream"]: event["text"] for event in events if event["type"] == "end"}
            print(f"stream {left}-{chunk}-{right}: {rate(refs, said)}")


if __name__ == "__main__":
    main()
