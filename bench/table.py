"""The README's tables, from the results of encoder.py, streams.py and codec.py.

    python table.py [RESULT.json ...]            prints them
    python table.py --write [RESULT.json ...]    puts each between its two markers in the README
    python table.py --check [RESULT.json ...]    fails if the README says something else
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- bench:begin, made by bench/table.py -->", "<!-- bench:end -->"
STREAMS_BEGIN, STREAMS_END = "<!-- streams:begin, made by bench/table.py -->", "<!-- streams:end -->"
CODEC_BEGIN, CODEC_END = "<!-- codec:begin, made by bench/table.py -->", "<!-- codec:end -->"
RESULTS = ("results/encoder.json", "results/streams.json", "results/codec.json")
ENGINES = {"percept": "Percept", "rten": "rten", "ort": "ONNX Runtime", "torch": "torch"}
YARDSTICK = "percept-"


def markdown(result: dict) -> str:
    """Engines down, lengths across: milliseconds, and how many times as long as our fastest."""
    series = result["series"]
    names = [name for name in result["order"] if any(name in row for row in series.values())]
    yardstick = next((name for name in names if name.startswith(YARDSTICK)), names[0])
    errors = {name: [row[name].get("relative_l2") for row in series.values() if name in row] for name in names}
    has_errors = all(error is not None for found in errors.values() for error in found)
    lines = [header([heading(length) for length in series] + (["error"] if has_errors else []))]
    for name in names:
        cells = [cell(row, name, yardstick) for row in series.values()]
        if has_errors:
            cells.append("reference" if name == result["reference"] else percent(max(errors[name])))
        lines.append(row_of(title(name), cells))
    for kind in ("int8", "f32"):
        if all(kind in limits for limits in result["limits_ms"].values()) and result["limits_ms"]:
            cells = [milliseconds(result["limits_ms"][length][kind]) for length in series]
            lines.append(row_of(f"*the machine's limit, {kind}*", cells + ([""] if has_errors else [])))
    return "\n".join(lines) + "\n\n" + footnote(result, title(yardstick), has_errors) + "\n"


def heading(length: str) -> str:
    seconds, _, piece = length.partition("/")
    return f"{seconds} s" + (f" in {piece} s pieces" if piece else "")


def title(name: str) -> str:
    engine, arithmetic = name.split("-")
    shown = f"{ENGINES[engine]} {arithmetic}"
    return f"**{shown}**" if engine == "percept" else shown


def cell(row: dict, name: str, yardstick: str) -> str:
    if name not in row:
        return ""
    median = row[name]["median_ms"]
    ratio = "" if name == yardstick or yardstick not in row else f" (×{median / row[yardstick]['median_ms']:.2f})"
    return milliseconds(median) + ratio


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 99.5 else f"{value:.3g} ms"


def percent(share: float) -> str:
    return "< 0.01 %" if share < 1e-4 else f"{100 * share:.2g} %"


def header(columns: list[str]) -> str:
    return row_of("", columns) + "\n" + "|---" * (1 + len(columns)) + "|"


def row_of(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |".replace("|  |", "| |")


def footnote(result: dict, yardstick: str, has_errors: bool) -> str:
    text = (
        f"{result['cpu']}, {result['threads']} threads, medians of {result['rounds']} interleaved rounds; "
        f"in brackets the ratio to {yardstick.strip('*')}."
    )
    peaks = result.get("peaks")
    if peaks:
        figures = [
            f"{peaks[key]:.0f} {unit} in {kind}"
            for key, unit, kind in (
                ("f32_gflops", "GFLOP/s", "f32"), ("bf16_gflops", "GFLOP/s", "bf16"), ("int8_gops", "GOP/s", "int8"),
            )
            if peaks.get(key)
        ]  # fmt: skip
        text += f" Measured peaks: {', '.join(figures)}, {peaks['memory_gbps']:.0f} GB/s from memory."
    if has_errors:
        text += " Error: relative L2 distance from the reference at the encoder's end, the largest over the lengths."
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", help="by default those in results/")
    parser.add_argument("--readme", type=Path, default=HERE.parent / "README.md")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    paths = arguments.results or [path for path in map(HERE.joinpath, RESULTS) if path.exists()]
    if not (arguments.write or arguments.check):
        print("\n".join(made_of(json.loads(path.read_text()))[0] for path in paths), end="")
        return 0
    readme = arguments.readme.read_text()
    filled = readme
    try:
        for path in paths:
            filled = fill(filled, *made_of(json.loads(path.read_text())))
    except ValueError as fault:
        print(f"{arguments.readme}: {fault}", file=sys.stderr)
        return 1
    if arguments.write:
        arguments.readme.write_text(filled)
    elif filled != readme:
        print(f"{arguments.readme}: not the tables of the results; run: table.py --write", file=sys.stderr)
        return 1
    return 0


def made_of(result: dict) -> tuple[str, str, str]:
    """The table and its markers."""
    if "modes" in result:
        import stream_table  # which needs the parts of this file

        return stream_table.markdown(result), STREAMS_BEGIN, STREAMS_END
    if "models" in result:
        import codec_table

        return codec_table.markdown(result), CODEC_BEGIN, CODEC_END
    return markdown(result), BEGIN, END


def fill(readme: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    if readme.count(begin) != 1 or readme.count(end) != 1:
        raise ValueError(f"expected the lines `{begin}` and `{end}` once each")
    before, rest = readme.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{made}{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
