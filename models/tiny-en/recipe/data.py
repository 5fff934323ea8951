"""Training batches out of log-mel shards: gain, noise, silence, warping, concatenation and masking on the fly."""
import glob
import json
import random

import numpy as np
import torch

import speech

FRAMES = speech.RATE // speech.HOP  # 100 a second


class Shards:
    """All utterances of the shards that exist; the features stay in memory-mapped files."""

    def __init__(self, pattern):
        self.pattern, self.known = pattern, set()
        self.items = []  # (shard, first frame, last frame, transcript)
        self.maps = []
        self.refresh()

    def refresh(self):
        """Takes in shards that have been made since."""
        for path in sorted(glob.glob(self.pattern)):
            if path.endswith(".tmp.npy") or path in self.known:
                continue
            self.known.add(path)
            meta = json.load(open(path[:-4] + ".json"))
            self.maps.append(np.load(path, mmap_mode="r"))
            self.items += [(len(self.maps) - 1, a, b, r) for r, (a, b) in zip(meta["refs"], meta["offsets"])]

    def features(self, item):
        return np.asarray(self.maps[item[0]][item[1]:item[2]], dtype=np.float32)


def noise_bank(seconds=12):
    """Log-mel power of many kinds of noise at unit loudness, a list of [frames, 80]."""
    rng = np.random.RandomState(7)
    n = seconds * speech.RATE
    f = np.fft.rfftfreq(n, 1 / speech.RATE)
    t = np.arange(n) / speech.RATE
    bank = []
    for k in range(28):
        white = np.fft.rfft(rng.randn(n))
        tilt = rng.choice([0, 0, 0.5, 1, 1, 1.5, 2])
        x = np.fft.irfft(white / np.maximum(f, 40) ** (tilt / 2), n)
        if k % 4 == 1:  # slow swells
            x *= 10 ** (0.5 * np.interp(t, np.arange(0, seconds + 1, 0.5), rng.randn(2 * seconds + 2)))
        if k % 4 == 2:  # mains hum or tones
            base = rng.choice([50, 60, 120, 300, 440, 1000]) * rng.uniform(0.98, 1.02)
            x += 2 * x.std() * sum(np.sin(2 * np.pi * base * h * t + h) / h for h in range(1, 6))
        if k % 4 == 3:  # clicks and knocks
            for at in rng.randint(0, n - 2000, rng.randint(5, 40)):
                x[at:at + 2000] += x.std() * rng.uniform(3, 30) * rng.randn(2000) * np.exp(-np.arange(2000) / rng.uniform(20, 500))
        bank.append(speech.log_mel((x / x.std() * 0.1).astype(np.float32)))
    return bank


def stretch(f, time, mel):
    """Linear resampling of a log-mel picture: time > 1 is slower, mel > 1 moves formants up."""
    if time != 1:
        at = np.linspace(0, len(f) - 1, max(8, int(len(f) * time)))
        i = np.minimum(at.astype(int), len(f) - 2)
        w = (at - i).astype(np.float32)[:, None]
        f = f[i] * (1 - w) + f[i + 1] * w
    if mel != 1:
        at = np.minimum(np.arange(speech.MELS) / mel, speech.MELS - 1)
        i = np.minimum(at.astype(int), speech.MELS - 2)
        w = (at - i).astype(np.float32)
        f = f[:, i] * (1 - w) + f[:, i + 1] * w
    return f


class Batches:
    """Endless batches of equally long rows. Each is (features [B, T, 80], tokens [B, U], counts [B], segments)."""

    def __init__(self, shards, tokenizer, seconds, seed, concat=0.12, empty=0.015, mask=1.0, vary=1.0):
        self.shards, self.tokenizer, self.frames = shards, tokenizer, int(seconds * FRAMES)
        self.rng, self.nrng = random.Random(seed), np.random.RandomState(seed)
        self.concat, self.empty, self.mask, self.vary = concat, empty, mask, vary
        self.noise = noise_bank()
        self.tokens = {}

    def ids(self, text):
        return self.tokenizer.encode(text).ids if text else []

    def utterance(self, item):
        rng = self.rng
        f = self.shards.features(item)
        if rng.random() < 0.4 * self.vary:
            f = stretch(f, rng.choice([1, rng.uniform(0.88, 1.15)]), rng.choice([1, rng.uniform(0.93, 1.07)]))
        gain = rng.choice([0, 0, rng.uniform(-24, 8)]) / 10 * np.log(10)
        return np.log((np.exp(f) - speech.GUARD).clip(0) * np.float32(np.exp(gain)) + speech.GUARD) if gain else f

    def finish(self, row, level):
        """Adds noise to a row of log-mel, normalises it, masks parts of it. level: log power of the speech."""
        rng, T = self.rng, len(row)
        if rng.random() < 0.5 * self.vary:
            n = rng.choice(self.noise)
            at = rng.randrange(len(n))
            n = np.take(n, np.arange(at, at + T) % len(n), axis=0)
            loud = level - n.mean() - rng.uniform(1.0, 12.0) * np.log(10) / 2  # 5 to 60 dB below the speech
            row = np.logaddexp(row, n + np.float32(loud))
        row = speech.normalise(row)
        if self.mask:
            for _ in range(2):
                w = rng.randint(0, max(1, int(14 * self.mask)))
                at = rng.randrange(speech.MELS - w)
                row[:, at:at + w] = 0
            for _ in range(rng.randint(0, 1 + T // 150)):
                w = rng.randint(1, max(1, int(12 * self.mask)))
                at = rng.randrange(max(1, T - w))
                row[at:at + w] = 0
        return row

    def row(self, feats, T):
        """Places utterances one after another in T frames of silence -> (row, border frames between utterances)."""
        row = np.full((T, speech.MELS), speech.FLOOR, np.float32)
        slack = T - sum(len(f) for f in feats)
        cuts = np.array([self.rng.random() ** 1.5 for _ in range(len(feats) + 1)])
        if len(feats) > 1:
            cuts[1:-1] += 0.4
        gaps = (cuts / max(cuts.sum(), 1e-6) * slack).astype(int)
        at, ends = int(gaps[0]), []
        level = -12.0
        for k, f in enumerate(feats):
            row[at:at + len(f)] = f
            level = max(level, float(f.mean()) + 2)
            ends.append(at + len(f) + int(gaps[k + 1]) // 2)
            at += len(f) + int(gaps[k + 1])
        return row, ends[:-1], level

    def batch(self, groups):
        """groups: a list of lists of items, one list for each row."""
        feats = [[self.utterance(i) for i in g] for g in groups]
        longest = max(sum(len(f) for f in g) + 30 * max(0, len(g) - 1) for g in feats)
        extra = self.rng.choice([20, 40, 60, 60, 200]) if len(groups[0]) <= 1 else 60 * len(groups[0])
        T = max(80, longest + self.rng.randint(4, extra))
        out = 8 * ((T + 7) // 8) // 8
        x, tokens, segments = [], [], []
        for r, (g, f) in enumerate(zip(groups, feats)):
            row, cuts, level = self.row(f, T)
            if not g and self.rng.random() < 0.4:
                level = self.rng.uniform(-12, 0)
            x.append(self.finish(row, level))
            borders = [0] + [min(out - 1, round(c / 8)) for c in cuts] + [out]
            ids = [self.ids(i[3]) for i in g]
            at = 0
            for k in range(max(1, len(g))):
                n = len(ids[k]) if g else 0
                segments.append((r, borders[k], borders[k + 1] - borders[k], at, n))
                at += n
            tokens.append(sum(ids, []))
        counts = torch.tensor([len(t) for t in tokens])
        padded = torch.zeros(len(tokens), max(1, int(counts.max())), dtype=torch.long)
        for r, t in enumerate(tokens):
            padded[r, :len(t)] = torch.tensor(t, dtype=torch.long)
        return torch.from_numpy(np.stack(x)), padded, counts, segments

    def __iter__(self):
        rng = self.rng
        while True:
            self.shards.refresh()
            pool = rng.sample(self.shards.items, min(1200, len(self.shards.items)))
            work = []
            n = int(len(pool) * self.concat)
            long, short = pool[:n], sorted(pool[n:], key=lambda i: i[2] - i[1])
            group, size = [], 0
            for item in short:
                size = max(size, item[2] - item[1] + 30)
                if group and size * (len(group) + 1) > self.frames:
                    work.append(group)
                    group, size = [], item[2] - item[1] + 30
                group.append([item])
                if rng.random() < self.empty:
                    group.append([])
            work.append(group)
            target = []
            rows, row, size, limit = [], [], 0, rng.uniform(6, 28) * FRAMES
            for item in long:
                if size + item[2] - item[1] > limit and row:
                    rows.append(row)
                    row, size, limit = [], 0, rng.uniform(6, 28) * FRAMES
                row.append(item)
                size += item[2] - item[1] + 60
            rows.append(row)
            rows.sort(key=lambda r: sum(i[2] - i[1] for i in r))
            group, size = [], 0
            for r in rows:
                length = sum(i[2] - i[1] + 60 for i in r)
                if group and max(size, length) * (len(group) + 1) > self.frames:
                    work.append(group)
                    group, size = [], 0
                group.append(r)
                size = max(size, length)
            work.append(group)
            rng.shuffle(work)
            for group in work:
                if group:
                    yield self.batch(group)
