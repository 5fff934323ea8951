"""The README's table of codecs, from the result of codec.py. `table.py` prints it and puts it into the README."""

from table import ENGINES, header, milliseconds, row_of

OURS = "percept-"
SHOWN = {
    "snac_24khz": "SNAC 24 kHz", "encodec_24khz": "EnCodec 24 kHz", "mimi": "Mimi", "dac_44khz": "DAC 44.1 kHz"
}  # fmt: skip


def markdown(result: dict) -> str:
    """Models and ways down, engines across: milliseconds, and how many times as long as ours; then the f32 limit."""
    names = [name for name in result["order"] if any(name in row for row in result["series"].values())]
    ours = next((name for name in names if name.startswith(OURS)), names[0])
    lines = [header([shown(name) for name in names] + ["*the machine's limit*", "of the peak"])]
    for row, engines in result["series"].items():
        model, way = row.split(": ")
        limit = result["limits_ms"][row]["f32"]
        cells = [cell(engines, name, ours) for name in names] + [milliseconds(limit)]
        cells.append(f"{100 * limit / engines[ours]['median_ms']:.0f} %" if ours in engines else "")
        lines.append(row_of(f"{heading(model, result)} {way}", cells))
    return "\n".join(lines) + "\n\n" + footnote(result, ours) + "\n"


def shown(name: str) -> str:
    """All are f32."""
    engine = ENGINES[name.split("-")[0]]
    return f"**{engine}**" if name.startswith(OURS) else engine


def heading(model: str, result: dict) -> str:
    books = result["models"].get(model, {}).get("books")
    return f"{SHOWN.get(model, model)}, {books} books," if books else SHOWN.get(model, model)


def cell(engines: dict, name: str, ours: str) -> str:
    if name not in engines:
        return ""
    median = engines[name]["median_ms"]
    if name == ours or ours not in engines:
        return milliseconds(median)
    return f"{milliseconds(median)} (×{median / engines[ours]['median_ms']:.1f})"


def footnote(result: dict, ours: str) -> str:
    text = (
        f"{result['seconds']:g} s of sound; {result['cpu']}, {result['threads']} threads, f32, medians of "
        f"{result['rounds']} interleaved rounds; in brackets the ratio to {ENGINES[ours.split('-')[0]]}. "
        f"Measured peak: {result['peaks']['f32_gflops']:.0f} GFLOP/s; limit: the multiply-adds of all layers at this peak."
    )
    return text + "".join(stream_note(SHOWN.get(name, name), model) for name, model in result["models"].items())


def stream_note(name: str, model: dict) -> str:
    decode = model.get("streams", {}).get("decode")
    if not decode:
        return ""
    memory = model.get("stream_memory_mb", {})
    text = (
        f" {name} as a stream, a super-frame a step: {milliseconds(decode['step_p50_ms'])} a step "
        f"(p99 {milliseconds(decode['step_p99_ms'])}), ×{decode['ratio']:.2f} of the time for the whole"
    )
    if len(memory) >= 2:
        first, last = list(memory)[1], list(memory)[-1]
        seconds = last.removeprefix("after_").replace("_", " ")
        text += f", {memory[last]:.0f} MB at most after {seconds} ({memory[last] - memory[first]:+.0f} MB)"
    return text + "."
