"""Step 6. Word error rates of a model folder or checkpoint on the sets of step 4 (greedy TDT, f32)"""
import argparse
import glob
import importlib
import os

import torch

import model as M
import speech
from wer import errors, read_refs, words

package = importlib.import_module("5_package")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--model", required=True, help="Hugging Face folder (with --checkpoint: of tokenizer and configuration)")
    ap.add_argument("--checkpoint", nargs="+")
    ap.add_argument("--plain", action="store_true", help="weights of the checkpoint instead of their running average")
    ap.add_argument("--sets", default="testsets")
    ap.add_argument("--only", nargs="+")
    ap.add_argument("--limit", type=int, default=10**9, help="files of a set")
    ap.add_argument("--show", type=int, default=0, help="wrong sentences to print for each set")
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.checkpoint:
        model, tokenizer = package.build(a.model, a.checkpoint, a.plain)
    else:
        model, tokenizer = M.load(a.model)
        model.eval()
    table = []
    for folder in sorted(glob.glob(os.path.join(a.sets, "*/"))):
        name = os.path.basename(folder[:-1])
        if a.only and name not in a.only:
            continue
        refs = list(read_refs(os.path.join(folder, "refs.tsv")).items())[:a.limit]
        feats = []
        for path, _ in refs:
            x, rate = speech.read_wav(open(os.path.join(folder, path), "rb").read())
            feats.append(speech.normalise(speech.log_mel(speech.resample(x, rate))))
        wrong = total = shown = 0
        for (path, ref), hyp in zip(refs, M.transcribe(model, tokenizer, feats)):
            e = errors(words(ref), words(hyp))
            wrong, total = wrong + e, total + len(words(ref))
            if e and shown < a.show:
                shown += 1
                print(f"  [{name}] {ref}\n  {' ' * len(name)}   {hyp}")
        table.append((name, len(refs), total, wrong))
        print(f"{name:8} {len(refs):4} files {total:5} words {wrong:5} errors  {100 * wrong / max(1, total):6.2f} %", flush=True)


if __name__ == "__main__":
    main()
