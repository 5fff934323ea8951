"""The README's table of streams, from the result of streams.py. `table.py` prints it and puts it into the README."""

from table import header, milliseconds, row_of, title

OURS = "percept-"


def markdown(result: dict) -> str:
    """Modes down; for each engine the streams that it holds and a step alone, for ours also how late words come."""
    names = [name for name in result["order"] if any(name in mode["engines"] for mode in result["modes"].values())]
    ours = next((name for name in names if name.startswith(OURS)), names[0])
    columns = ["theory"]
    columns += [f"streams: {title(name)}" if name == ours else title(name) for name in names]
    columns += ["lag p50 / p99"]
    columns += [f"step alone p50 / p99: {title(name)}" if name == ours else title(name) for name in names]
    lines = [header(columns)]
    for name, mode in result["modes"].items():
        engines = mode["engines"]
        cells = [f"{mode['latency_s']:.3g} s"]
        cells += [streams(engines, peer, ours) for peer in names]
        cells += [lag(engines[ours])]
        cells += [step(engines, peer, ours) for peer in names]
        lines.append(row_of(name, cells))
    return "\n".join(lines) + "\n\n" + footnote(result, ours) + "\n"


def held(engine: dict) -> dict:
    """What a live run has shown, or the simulation where there was none."""
    return engine.get("live") or engine["simulated"]


def streams(engines: dict, name: str, ours: str) -> str:
    if name not in engines:
        return ""
    count, of_ours = held(engines[name])["streams"], held(engines[ours])["streams"]
    return str(count) if name == ours or not count else f"{count} (÷{of_ours / count:.1f})"


def step(engines: dict, name: str, ours: str) -> str:
    if name not in engines:
        return ""
    engine = engines[name]
    if name == ours:
        return f"{milliseconds(engine['step_p50_ms'])} / {milliseconds(engine['step_p99_ms'])}"
    return f"{milliseconds(engine['step_p50_ms'])} (×{engine['step_p50_ms'] / engines[ours]['step_p50_ms']:.2f})"


def lag(engine: dict) -> str:
    found = held(engine)
    if not found["streams"]:
        return ""
    return f"{milliseconds(found['lag_p50_ms'])} / {milliseconds(found['lag_p99_ms'])}"


def footnote(result: dict, ours: str) -> str:
    engines = [mode["engines"][ours] for mode in result["modes"].values()]
    rates = [held(engine).get("tokens_per_second", engine["tokens_per_second"]) for engine in engines]
    seconds = max((engine["live"]["seconds"] for engine in engines if "live" in engine), default=0)
    shares = [mode["volatile_share"] for mode in result["modes"].values() if "volatile_share" in mode]
    text = (
        f"{result['cpu']}, {result['threads']} threads, {result['layers']} layers, random weights that say "
        f"{min(rates):.1f} to {max(rates):.1f} tokens a second. Theory: from the beginning of a chunk to the last sample that "
        "decides it. Streams: as many as never have more audio waiting than a queue of two chunks (at least a second) holds"
    )
    text += f", over {seconds / 60:.3g} minutes of each" if seconds else ", by simulation with the measured times of steps"
    text += "; lag: from that sample to the end of the step, with all of them."
    return text + "".join(f" Volatile text makes a step {100 * share:+.1f} % longer." for share in shares)
