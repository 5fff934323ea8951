"""Step 4. Held-out test sets: folders of WAV files, each with refs.tsv (path<TAB>text)

None of the sentences is in the training text. Sets:
  us, gb, slt      `espeak-ng -v en-us`, `espeak-ng -v en-gb` and `flite -voice slt`, everything else at its default
  us44             as us, resampled to 44.1 kHz
  espeak           espeak-ng accents and variants seen in training, random rate and pitch
  flite            flite slt, rms, awb, kal16 seen in training, random pace
  heldout          espeak-ng variants never used in training
  noisy            voices seen in training with coloured noise 10 to 25 dB below the speech
  long             20 to 30 s of sentences in different voices with silences between them
  empty            silence and noise (transcript: nothing)
"""
import argparse
import importlib
import json
import os
import random
import subprocess

import numpy as np

import speech

choose = importlib.import_module("2_speech")


def command_line(text, how):
    """The programs as a user would call them: espeak-ng's and flite's own WAV output."""
    engine, voice, pace, pitch, factor = how
    if engine == "flite":
        return speech.flite(text, voice, pace)
    cmd = ["espeak-ng", "-v", voice, "--stdout"] + ([] if pace == 175 else ["-s", str(pace)]) + ([] if pitch == 50 else ["-p", str(pitch)])
    data = subprocess.run(cmd + [text], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return np.frombuffer(data[44:len(data) - len(data) % 2], dtype="<i2").astype(np.float32) / 32768, 22050


def coloured(nrng, n):
    x = np.fft.rfft(nrng.randn(n))
    f = np.maximum(np.fft.rfftfreq(n, 1 / speech.RATE), 40)
    x = np.fft.irfft(x / f ** (nrng.choice([0, 0.5, 1, 1.5]) / 2), n)
    return (x / x.std()).astype(np.float32)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--text", default="text.json")
    ap.add_argument("--out", default="testsets")
    ap.add_argument("--count", type=int, default=100, help="sentences in a set, at most")
    ap.add_argument("--seed", type=int, default=11)
    a = ap.parse_args()
    rng, nrng = random.Random(a.seed), np.random.RandomState(a.seed)
    test = json.load(open(a.text))["test"]
    share = {"everyday": 0.4, "sentences": 0.25, "wordnet": 0.2, "templates": 0.15}
    for name in ("us", "gb", "slt", "us44", "espeak", "flite", "heldout", "noisy", "long", "empty"):
        items = [i for kind, part in share.items() for i in rng.sample(test[kind], min(len(test[kind]), round(a.count * part)))]
        rng.shuffle(items)
        os.makedirs(os.path.join(a.out, name), exist_ok=True)
        lines = []
        if name in ("long", "empty"):
            for k in range(max(4, a.count // 10)):
                length = rng.uniform(20, 30) if name == "long" else rng.uniform(0.5, 20)
                parts, words, size = [np.zeros(int(rng.uniform(0.1, 1) * speech.RATE), np.float32)], [], 0
                while name == "long" and size < length * speech.RATE and items:
                    say, ref = items.pop()
                    x, rate = command_line(say, ("espeak", rng.choice(["en-us", "en-gb"]), 175, 50, 1) if rng.random() < 0.6 else ("flite", rng.choice(["slt", "rms", "awb"]), 1.0, 50, 1))
                    parts += [speech.resample(x, rate), np.zeros(int(rng.uniform(0.2, 1.5) * speech.RATE), np.float32)]
                    words.append(ref)
                    size += len(parts[-1]) + len(parts[-2])
                if name == "empty":
                    parts.append(np.zeros(int(length * speech.RATE), np.float32))
                x = np.concatenate(parts)
                if name == "empty" and k % 4:
                    x = x + coloured(nrng, len(x)) * 10 ** rng.uniform(-3.5, -0.8)
                if name == "empty" or words:
                    lines.append((f"{name}/{k:03d}.wav", " ".join(words)))
                    speech.write_wav(os.path.join(a.out, lines[-1][0]), x, speech.RATE)
        else:
            for k, (say, ref) in enumerate(items):
                how = {"us": ("espeak", "en-us", 175, 50, 1.0), "gb": ("espeak", "en-gb", 175, 50, 1.0), "slt": ("flite", "slt", 1.0, 50, 1.0),
                       "us44": ("espeak", "en-us", 175, 50, 1.0)}.get(name)
                while how is None or (how[0] != name and name in ("espeak", "flite")) or how[1] == "kal":
                    how = choose.choose(rng, held_out=name == "heldout")
                x, rate = command_line(say, how)
                if name == "us44":
                    x, rate = speech.resample(x, rate, 44100), 44100
                if name == "noisy":
                    x, rate = speech.resample(x, rate), speech.RATE
                    x = x + coloured(nrng, len(x)) * np.sqrt((x ** 2).mean()) * 10 ** (-rng.uniform(10, 25) / 20)
                lines.append((f"{name}/{k:03d}.wav", ref))
                speech.write_wav(os.path.join(a.out, lines[-1][0]), x, rate)
        with open(os.path.join(a.out, name, "refs.tsv"), "w") as f:
            f.writelines(f"{os.path.basename(p)}\t{t}\n" for p, t in lines)
        print(name, len(lines), "files,", sum(len(t.split()) for _, t in lines), "words", flush=True)


if __name__ == "__main__":
    main()
