"""The arithmetic of the encoder, and how long a machine with given peaks needs for it at the least."""

from math import ceil

WIDTH, INNER, KERNEL, CHANNELS, MELS = 1024, 4096, 9, 256, 128


def encoder_frames(seconds: float) -> int:
    return ceil(mel_frames(seconds) / 8)


def mel_frames(seconds: float) -> int:
    return int(seconds * 16_000) // 160


def products(seconds: float, layers: int) -> tuple[float, float]:
    """Multiply-adds in linear maps, and in attention and small convolutions. Position projections are cached."""
    frames, mels = encoder_frames(seconds), mel_frames(seconds)
    linear = frames * layers * (4 * WIDTH * INNER + 7 * WIDTH * WIDTH)
    linear += mels / 4 * (MELS / 4) * CHANNELS**2 + mels / 8 * (MELS / 8) * CHANNELS**2
    linear += mels / 8 * (MELS / 8) * CHANNELS * WIDTH
    other = layers * (3 * frames**2 * WIDTH + frames * KERNEL * WIDTH)
    other += 9 * CHANNELS * (mels / 2 * MELS / 2 + mels / 4 * MELS / 4 + mels / 8 * MELS / 8)
    return linear, other


def weights(layers: int) -> float:
    """Elements of the linear maps."""
    return layers * (4 * WIDTH * INNER + 7 * WIDTH * WIDTH) + (MELS / 8) * CHANNELS * WIDTH + 2 * CHANNELS**2


def limits(seconds: float, layers: int, peaks: dict) -> dict[str, float]:
    """Milliseconds below which no implementation gets: all arithmetic at its peak, or every weight read once.

    Attention and the small convolutions count as `f32` in both. Norms, softmax and activations cost nothing here.
    """
    linear, other = products(seconds, layers)
    found = {}
    for name, key, bytes_each in (("f32", "f32_gflops", 4), ("int8", "int8_gops", 1)):
        if peaks.get(key):
            compute = 2e-6 * (linear / peaks[key] + other / peaks["f32_gflops"])
            found[name] = max(compute, 1e-6 * bytes_each * weights(layers) / peaks["memory_gbps"])
    return found
