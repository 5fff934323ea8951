"""Step 2. Speaks every training sentence once -> shards of un-normalised log-mel (f16) with their transcripts

A shard is NAME.npy ([frames, 80] of all its utterances) and NAME.json (transcripts, offsets, voice of each). Silence,
noise, gain and concatenation are added when training reads them, so that every epoch differs. Shards hold a random
part of the text, so training may begin when the first few are there.
"""
import argparse
import json
import os
import random
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

import speech

_ESPEAK = None


def choose(rng, held_out=False, plain=False, flite=0.4):
    """A random voice: (engine, voice, speed or stretch, pitch, resampling factor)."""
    if plain:  # what most people will try: the commonest voices as they come
        return rng.choice([("espeak", "en-us", 175, 50, 1.0)] * 5 + [("espeak", "en-gb", 175, 50, 1.0)] * 4 + [("flite", "slt", 1.0, 50, 1.0)])
    if not held_out and rng.random() < flite:
        voice = rng.choice(speech.FLITE)
        if rng.random() < 0.5:
            return "flite", voice, 1.0, 50, 1.0
        return "flite", voice, rng.uniform(0.8, 1.3), 50, rng.choice([1.0, rng.uniform(0.9, 1.12)])
    if held_out:
        return "espeak", rng.choice(speech.ACCENTS) + "+" + rng.choice(speech.HELD_OUT_VARIANTS), rng.randint(130, 200), rng.randint(30, 70), 1.0
    if rng.random() < 0.4:
        voice = rng.choice(speech.ACCENTS)
        if rng.random() < 0.6:
            return "espeak", voice, 175, 50, 1.0
    else:
        voice = rng.choice(speech.ACCENTS) + "+" + rng.choice(speech.VARIANTS)
    return "espeak", voice, rng.randint(120, 215), rng.randint(20, 80), rng.choice([1.0, 1.0, rng.uniform(0.9, 1.12)])


def speak(text, how):
    """16 kHz samples of a sentence in the chosen voice."""
    global _ESPEAK
    engine, voice, pace, pitch, factor = how
    if engine == "flite":
        x, rate = speech.flite(text, voice, pace)
    else:
        _ESPEAK = _ESPEAK or speech.Espeak()
        x, rate = _ESPEAK(text, voice, pace, pitch)
    return speech.resample(x, round(rate * factor))


def shard(job):
    name, items, seed, plain, flite = job
    torch.set_num_threads(1)
    rng = random.Random(seed)
    feats, refs, offsets, voices, at = [], [], [], [], 0
    for say, ref in items:
        how = choose(rng, plain=plain, flite=flite)
        try:
            x = speak(say, how)
        except Exception as e:  # a voice that cannot say it: leave the sentence out
            print("left out:", say, how, e, flush=True)
            continue
        if not 0.2 < len(x) / speech.RATE < 20:
            continue
        x = np.concatenate([np.zeros(rng.randint(0, 159), np.float32), x, np.zeros(400, np.float32)])
        f = speech.log_mel(x).astype(np.float16)
        feats.append(f)
        refs.append(ref)
        offsets.append((at, at + len(f)))
        at += len(f)
        voices.append(how[0] + ":" + how[1])
    np.save(name + ".tmp.npy", np.concatenate(feats))
    with open(name + ".json", "w") as f:
        json.dump({"refs": refs, "offsets": offsets, "voices": voices}, f)
    os.rename(name + ".tmp.npy", name + ".npy")
    return name, len(refs), at / 360000


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--text", default="text.json")
    ap.add_argument("--out", default="shards")
    ap.add_argument("--size", type=int, default=1500, help="sentences in a shard")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--first", type=int, default=0, help="first shard to make")
    ap.add_argument("--plain", action="store_true", help="only en-us, en-gb and slt at their defaults")
    ap.add_argument("--flite", type=float, default=0.4, help="part of the sentences that flite speaks, espeak-ng the rest")
    ap.add_argument("--last", type=int, default=10**6, help="make shards before this one")
    ap.add_argument("--seed", type=int, default=2, help="another seed gives every sentence another voice")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    train = json.load(open(a.text))["train"]
    jobs = [(os.path.join(a.out, f"s{a.seed}_{i // a.size:03d}"), train[i:i + a.size], a.seed * 1000003 + i, a.plain, a.flite)
            for i in range(a.first * a.size, min(len(train), a.last * a.size), a.size)]
    hours = 0.0
    with ProcessPoolExecutor(a.jobs) as pool:
        for name, n, h in pool.map(shard, jobs):
            hours += h
            print(name, n, f"{h:.2f} h, together {hours:.1f} h", flush=True)


if __name__ == "__main__":
    main()
