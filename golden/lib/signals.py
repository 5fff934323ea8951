"""Seeded test signals at 16 kHz, as 16-bit PCM so that a WAV file holds them exactly."""

import numpy as np

RATE = 16_000


def speech_like(samples: int, seed: int) -> np.ndarray:
    """Voiced syllables with moving formants, fricative bursts and pauses. Returns `[samples]` int16."""
    rng = np.random.default_rng(seed)
    out = np.zeros(samples)
    at = 0
    while at < samples:
        length = int(rng.uniform(0.06, 0.28) * RATE)
        kind = rng.choice(["voiced", "noise", "pause"], p=[0.62, 0.23, 0.15])
        span = _syllable(kind, length, rng)[: samples - at]
        out[at : at + len(span)] = span
        at += length
    out += rng.normal(0.0, 2e-4, samples)
    return to_pcm16(0.6 * out / np.abs(out).max())


def _syllable(kind: str, length: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "pause":
        return np.zeros(length)
    envelope = np.hanning(length) ** rng.uniform(0.3, 1.2) * rng.uniform(0.2, 1.0)
    if kind == "noise":
        noise = rng.normal(0.0, 0.3, length)
        return envelope * (noise - rng.uniform(-0.9, 0.9) * np.roll(noise, 1))
    t = np.arange(length) / RATE
    glide = rng.uniform(-40.0, 40.0)
    phase = 2 * np.pi * (rng.uniform(90.0, 260.0) * t + 0.5 * glide * t * t / (length / RATE))
    formants = [(rng.uniform(250, 900), 90.0), (rng.uniform(900, 2500), 140.0), (rng.uniform(2500, 3600), 220.0)]
    pitch = np.gradient(phase) * RATE / (2 * np.pi)
    voice = np.zeros(length)
    for harmonic in range(1, 40):
        frequency = harmonic * pitch
        gain = sum(1.0 / (1.0 + ((frequency - centre) / width) ** 2) for centre, width in formants)
        voice += gain * np.where(frequency < 7000, np.sin(harmonic * phase), 0.0)
    return envelope * voice * 0.3


def square(samples: int) -> np.ndarray:
    """A full-scale 500 Hz square wave, int16."""
    return np.where(np.arange(samples) // 16 % 2 == 0, 32767, -32768).astype(np.int16)


def quiet_noise(samples: int, seed: int) -> np.ndarray:
    """White noise with a standard deviation of 1e-4 of full scale, int16."""
    return to_pcm16(np.random.default_rng(seed).normal(0.0, 1e-4, samples))


def to_pcm16(x: np.ndarray) -> np.ndarray:
    return np.clip(np.round(x * 32768.0), -32768, 32767).astype(np.int16)


def to_float(pcm: np.ndarray) -> np.ndarray:
    """The float that every reader of the WAV gets: sample / 32768."""
    return pcm.astype(np.float32) / np.float32(32768.0)
