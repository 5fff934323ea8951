"""Step 1. Collects training and test sentences -> text.json

Sources: WordNet example sentences, public-domain (CC0) sentence lists of the Common Voice project, and the phrases of
`phrases.py`. Every item is a pair [say, ref]: `say` is what the synthesiser is given (with punctuation), `ref` is the
transcript (lower case, no punctuation, numbers as words).
"""
import argparse
import collections
import glob
import json
import os
import random
import re

import phrases

BAD = re.compile(r"\b[A-Z]{2,}|\b(st|etc|vs|no|co|jr|sr|ft|lb|oz|km|cm|mm|kg|dept|approx|ie|eg|am|pm)\.|[^\x00-\x7f]|\d|[/\\@#$%&*+=<>^_~|{}\[\]]")


def clean(say):
    """Typed sentence -> transcript, or None where the spoken form is not certain."""
    say = say.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"').replace("`", "'")
    say = re.sub(r"[\u2013\u2014]", ", ", say)
    say = re.sub(r"\b(OK|TV)\b", lambda m: m.group(1).lower(), say)
    if BAD.search(say.replace("no.", "no")):
        return None, None
    ref = re.sub(r"[^a-z' ]", " ", say.lower())
    ref = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", ref)
    ref = re.sub(r"\s+", " ", ref).strip()
    return say.strip(), ref


def wordnet(folder):
    """Example sentences of the WordNet data files."""
    for part in ("noun", "verb", "adj", "adv"):
        with open(os.path.join(folder, f"data.{part}"), errors="ignore") as f:
            for line in f:
                if "|" in line:
                    yield from re.findall(r'"([^"]+)"', line.split("|", 1)[1])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--wordnet", default="/usr/share/wordnet", help="folder with WordNet's data.noun, data.verb, ...")
    ap.add_argument("--sentences", required=True, help="folder with plain sentence lists (*.txt, one sentence a line)")
    ap.add_argument("--out", default="text.json")
    ap.add_argument("--vocab", type=int, default=11000, help="keep sentences made of this many commonest words")
    ap.add_argument("--templates", type=int, default=34000)
    ap.add_argument("--salads", type=int, default=8000, help="random word sequences over the vocabulary")
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    rng = random.Random(a.seed)

    wn = [clean(s) for s in wordnet(a.wordnet)]
    cv = []
    for path in sorted(glob.glob(os.path.join(a.sentences, "*.txt"))):
        with open(path, encoding="utf-8", errors="ignore") as f:
            cv += [clean(line.strip()) for line in f]
    wn, cv = ([(s, r) for s, r in part if r] for part in (wn, cv))

    count = collections.Counter(w for _, r in wn + cv for w in r.split())
    for s in phrases.FIXED + phrases.HELD_OUT:
        count.update(clean(s)[1].split() * 5)
    for _ in range(20000):
        count.update((clean(phrases.sentence(rng))[1] or "").split())
    vocab = [w for w, _ in count.most_common(a.vocab)]
    known = set(vocab)
    print(len(count), "different words,", count[vocab[-1]], "times the rarest kept one")

    held = {clean(s)[1] for s in phrases.HELD_OUT}
    fixed = [clean(s) for s in phrases.FIXED]
    seen = set(held) | {r for _, r in fixed}

    def pick(items, low, high):
        out = []
        for s, r in items:
            n = len(r.split())
            if r in seen or not low <= n <= high or any(w not in known for w in r.split()):
                continue
            seen.add(r)
            out.append((s, r))
        return out

    wn, cv = pick(wn, 2, 18), pick(cv, 1, 18)
    rng.shuffle(wn)
    rng.shuffle(cv)
    test = {"everyday": [clean(s) for s in phrases.HELD_OUT], "wordnet": wn[:240], "sentences": cv[:240]}
    wn, cv = wn[240:], cv[240:]
    made = pick((clean(phrases.sentence(rng)) for _ in range(a.templates)), 1, 18)
    test["templates"] = made[-160:]
    made = made[:-160]
    salad = [" ".join(rng.choice(vocab) for _ in range(rng.randint(1, 7))) for _ in range(a.salads)]
    salad = [(s, s) for s in salad]
    print({"wordnet": len(wn), "sentences": len(cv), "templates": len(made), "fixed": len(fixed), "salad": len(salad)})

    train = []
    for s, r in wn + cv + made + salad + fixed * 6:
        if rng.random() < 0.3:  # as many people type: no capitals, no final stop
            s = s.lower().rstrip(".")
        elif not s[-1:] in ".?!" and rng.random() < 0.5:
            s += "."
        train.append((s, r))
    rng.shuffle(train)
    banned = {r for part in test.values() for _, r in part}
    train = [(s, r) for s, r in train if r not in banned]
    json.dump({"train": train, "test": test, "vocab": vocab}, open(a.out, "w"))
    print(len(train), "to train,", {k: len(v) for k, v in test.items()}, "to test")
    for s, r in rng.sample(train, 25):
        print(f"   {s}  ->  {r}")


if __name__ == "__main__":
    main()
