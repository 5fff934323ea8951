"""Writes the goldens of the neural codecs. See README.md.

    python codec.py fixtures [--out fixtures] [FAMILY | FAMILY/CASE ...]
    python codec.py full --out DIR [FAMILY | FAMILY/NAME ...]
    python codec.py compare MODEL_DIR SOURCE.wav CODES.json [DECODED.wav]
"""

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import soundfile
import torch
import transformers

from lib.codec import compare, dac, encodec, files, mimi, snac
from lib.codec.case import Spec, describe

FAMILIES = {"snac": snac, "dac": dac, "encodec": encodec, "mimi": mimi}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    fixtures = commands.add_parser("fixtures", help="the tiny checkpoints, and what the references say")
    fixtures.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures" / "codec")
    fixtures.add_argument("cases", nargs="*")
    full = commands.add_parser("full", help="random checkpoints of the published shapes in the same layout, 10 s long")
    full.add_argument("--out", type=Path, required=True)
    full.add_argument("cases", nargs="*")
    other = commands.add_parser("compare", help="what another implementation made of a file beside the reference")
    other.add_argument("model", type=Path)
    other.add_argument("source", type=Path)
    other.add_argument("codes", type=Path, help='the command\'s JSON: {"codec", "source_samples", "books", ...}')
    other.add_argument("decoded", type=Path, nargs="?", help="what it decoded from these codes, noise off")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
    transformers.utils.logging.disable_progress_bar()
    if arguments.command == "compare":
        found = compare.files(FAMILIES, arguments.model, arguments.source, arguments.codes, arguments.decoded)
        print(json.dumps(found, indent=1))
        raise SystemExit(not found["agrees"])
    for family, module in FAMILIES.items():
        for spec in module.CASES if arguments.command == "fixtures" else module.PUBLISHED:
            if not arguments.cases or family in arguments.cases or f"{family}/{spec.name}" in arguments.cases:
                write_first_lively(module, spec, arguments.out / family / spec.name)


def write_first_lively(module, spec: Spec, folder: Path) -> None:
    for seed in range(spec.seed, spec.seed + 50):
        try:
            one = replace(spec, seed=seed)
            codec = module.build(one)
            seams, expect = describe(codec, one)
        except AssertionError as reason:
            print(f"{folder.parent.name}/{spec.name}: seed {seed}: {reason}", file=sys.stderr, flush=True)
            continue
        files.fresh(folder)
        codec.write_model(one, folder / "model")
        files.write(folder, seams, expect)
        if not spec.strict:
            soundfile.write(folder / "source.wav", seams["pcm"].numpy(), codec.sample_rate, subtype="FLOAT")
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(f"{folder.parent.name}/{spec.name}: seed {seed}, {size / 1e3:.0f} kB", flush=True)
        return
    raise SystemExit(f"{spec.name}: no lively seed")


if __name__ == "__main__":
    main()
