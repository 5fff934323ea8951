"""Writes the goldens of the log-mel front end. See README.md.

    python mel.py [--out fixtures]
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import ParakeetFeatureExtractor

from lib import oracle, signals

LENGTHS = [159, 160, 161, 400, 512, 1280, 6_143, 16_000]
SIGNALS = {
    "speech": signals.speech_like(max(LENGTHS), 21),
    "silence": signals.square(max(LENGTHS)) * 0,
    "quiet": signals.quiet_noise(max(LENGTHS), 22),
    "square": signals.square(max(LENGTHS)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures")
    folder = parser.parse_args().out / "mel"
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    waves = {name: signals.to_float(pcm) for name, pcm in SIGNALS.items()}
    save_file({name: torch.from_numpy(wave) for name, wave in waves.items()}, folder / "pcm.safetensors")
    for mels in (80, 128):
        extractor = ParakeetFeatureExtractor(feature_size=mels)
        tensors = {"filterbank": extractor.mel_filters, "window": torch.hann_window(400, periodic=False)}
        for name, wave in waves.items():
            for samples in LENGTHS if name == "speech" else (400, 6_143):
                tensors |= goldens(extractor, name, wave[:samples])
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"mel_{mels}.safetensors")


def goldens(extractor, name: str, wave) -> dict[str, torch.Tensor]:
    """`NAME.SAMPLES.raw` and, from two frames on, `NAME.SAMPLES.normalised`, `[floor(SAMPLES / 160), mels]`.

    Constant input has no normalised golden: the reference divides its own rounding error by 1e-5.
    """
    frames = len(wave) // 160
    out = {f"{name}.{len(wave)}.raw": oracle.mel_before_normalisation(extractor, torch.as_tensor(wave).numpy())}
    if frames >= 2 and name != "silence":
        out[f"{name}.{len(wave)}.normalised"] = oracle.features(extractor, [wave])["input_features"][0, :frames]
    return out


if __name__ == "__main__":
    main()
