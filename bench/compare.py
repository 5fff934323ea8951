"""Compares two result files of encoder.py or codec.py and flags what changed beyond the noise of both.

    python compare.py OLD.json NEW.json [--against PEER | --raw]

Two runs may meet a faster or a slower machine, so our times are compared as ratios, round by round, to the geometric
mean of the other engines in the same run, those that both files have (`--against` names one, `--raw` compares
milliseconds). The rule is in noise.py. Exit status 1 if something of ours got slower.
"""

import argparse
import json
import statistics
import sys
from math import isfinite
from pathlib import Path

import noise

OURS = "percept-"


def compare(old: dict, new: dict, yardsticks: list[str] | None) -> list[tuple[str, str, float, float, noise.Change]]:
    """`(length, peer, old median, new median, change)` of each series of ours that both files have."""
    rows = []
    for length, after in new["series"].items():
        before = old["series"].get(length, {})
        for name in sorted(name for name in after if name.startswith(OURS) and name in before):
            pair = [row[name]["times_ms"] for row in (before, after)]
            compared = pair
            if yardsticks:
                sides = zip(pair, (before, after), strict=True)
                compared = [noise.ratios(times, [row[y]["times_ms"] for y in yardsticks]) for times, row in sides]
            change = noise.Change.between(*compared)
            rows.append((length, name, *(statistics.median(times) for times in pair), change))
    return rows


def shared_yardsticks(*files: dict) -> list[str]:
    """Engines that are not ours and that every file has at every length."""
    rows = [row for file in files for row in file["series"].values()]
    return sorted(name for name in set.intersection(*map(set, rows)) if not name.startswith(OURS))


def comparable(old: dict, new: dict) -> None:
    for key in ("layers", "threads", "cpu"):
        if old.get(key) != new.get(key):
            raise SystemExit(f"not comparable: {key} was {old.get(key)} and is {new.get(key)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--against", metavar="PEER", help="take the ratio to this engine")
    choice.add_argument("--raw", action="store_true", help="compare milliseconds")
    arguments = parser.parse_args()
    old, new = (json.loads(path.read_text()) for path in (arguments.old, arguments.new))
    comparable(old, new)
    shared = shared_yardsticks(old, new)
    if arguments.against and arguments.against not in shared:
        raise SystemExit(f"{arguments.against} is not in both files; there is {', '.join(shared) or 'none'}")
    yardsticks = [] if arguments.raw else [arguments.against] if arguments.against else shared
    rows = compare(old, new, yardsticks)
    print("ratios to " + ", ".join(yardsticks) if yardsticks else "milliseconds as they are")
    for length, name, before, after, change in rows:
        verdict = "" if not change.is_flagged else "SLOWER" if change.share > 0 else "faster"
        allowed = f"noise {100 * change.allowed:5.1f} %" if isfinite(change.allowed) else "too few rounds"
        line = f"{length:>6}  {name:14} {before:9.1f} -> {after:9.1f} ms  {100 * change.share:+6.1f} %  {allowed}"
        print(f"{line}  {verdict}".rstrip())
    return int(any(change.is_flagged and change.share > 0 for *_, change in rows))


if __name__ == "__main__":
    sys.exit(main())
