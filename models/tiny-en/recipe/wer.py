"""Word error rate of `percept transcribe --format json` output against a refs.tsv

    percept transcribe --format json testsets/us/*.wav > us.jsonl
    python wer.py --refs testsets/us/refs.tsv --hyp us.jsonl

The hypotheses are JSON lines {"file": ..., "text": ...}; files are matched by base name. Both sides are compared in
lower case without punctuation.
"""
import argparse
import json
import os
import re


def words(text):
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def errors(ref, hyp):
    """Least number of substitutions, insertions and deletions that turn one word list into the other."""
    row = list(range(len(hyp) + 1))
    for i, r in enumerate(ref, 1):
        last, row[0] = row[0], i
        for j, h in enumerate(hyp, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (r != h))
    return row[-1]


def read_refs(path):
    """{base name: text} of a refs.tsv."""
    with open(path, encoding="utf-8") as f:
        pairs = [line.rstrip("\n").split("\t", 1) for line in f if line.strip()]
    return {os.path.basename(p): t for p, t in pairs}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--refs", required=True)
    ap.add_argument("--hyp", required=True)
    ap.add_argument("--show", type=int, default=0, help="print this many wrong ones")
    a = ap.parse_args()
    refs, hyps = read_refs(a.refs), {}
    with open(a.hyp, encoding="utf-8") as f:
        for line in f:
            if line.strip():
                item = json.loads(line)
                hyps[os.path.basename(item["file"])] = item["text"]
    wrong = total = 0
    for name, ref in refs.items():
        r, h = words(ref), words(hyps.get(name, ""))
        e = errors(r, h)
        wrong, total = wrong + e, total + len(r)
        if e and a.show > 0:
            a.show -= 1
            print(f"{name}\n  ref: {' '.join(r)}\n  hyp: {' '.join(h)}")
    print(f"{len(refs)} files, {len(set(refs) - set(hyps))} without output, {total} words, {wrong} errors, "
          f"WER {100 * wrong / max(1, total):.2f} %")


if __name__ == "__main__":
    main()
