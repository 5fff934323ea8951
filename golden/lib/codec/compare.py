"""What another implementation made of a file, beside what the reference makes of it."""

import json
from pathlib import Path

import soundfile
import torch

from .case import Codec, Encoded

HANGS = 1e-5  # a code whose two nearest entries are this close may go either way
LARGEST_ERROR = 1e-4


def files(families: dict, folder: Path, source: Path, codes: Path, decoded: Path | None) -> dict:
    said = json.loads(codes.read_text())
    codec = families[said["codec"]].load(folder)
    samples, rate = soundfile.read(source, dtype="float32")
    assert rate == codec.sample_rate, f"{source}: {rate} Hz, the model needs {codec.sample_rate}"
    heard = codec.encode(torch.from_numpy(samples))
    found = books(codec, heard, [torch.tensor(book) for book in said["books"]])
    agrees = found["unexplained"] == 0
    if decoded is not None:
        theirs = Encoded([torch.tensor(book) for book in said["books"]], [], heard.frames, heard.segments, [])
        theirs.scales = said.get("scales", [])
        ours = codec.decode(theirs)[: said["source_samples"]]
        output = torch.from_numpy(soundfile.read(decoded, dtype="float32")[0])
        found["decoded_samples"] = [len(output), len(ours)]
        found["decoded_error"] = float((output - ours).abs().max()) if output.shape == ours.shape else None
        agrees &= found["decoded_error"] is not None and found["decoded_error"] <= LARGEST_ERROR
    return found | {"agrees": agrees}


def books(codec: Codec, heard: Encoded, theirs: list[torch.Tensor]) -> dict:
    """Counts codes that differ. One is explained if it hangs on rounding, or if a coarser book of its super-frame
    already differed."""
    longest = max(book["stride"] for book in codec.books)
    differs = torch.zeros(-(-heard.frames // longest), dtype=torch.bool)
    counts = {"codes": 0, "different": 0, "hanging": 0, "unexplained": 0}
    for book, (ours, other, sure) in enumerate(zip(heard.codes, theirs, heard.margins)):
        assert len(ours) == len(other), f"book {book}: {len(other)} codes, the reference has {len(ours)}"
        superframe = torch.arange(len(ours)) * codec.books[book]["stride"] // longest
        wrong = ours != other
        unexplained = wrong & (sure >= HANGS) & ~differs[superframe]
        counts["codes"] += len(ours)
        counts["different"] += int(wrong.sum())
        counts["hanging"] += int((sure < HANGS).sum())
        counts["unexplained"] += int(unexplained.sum())
        differs[superframe[wrong]] = True
    return counts
