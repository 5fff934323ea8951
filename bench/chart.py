"""A horizontal bar chart as SVG, without a plotting library."""

from html import escape

COLOURS = {"percept": "#d1495b", "limit": "#c9cfd8"}
OTHERS = "#7d8ca3"
WIDTH, BAR, GAP, LEFT = 760, 20, 14, 130


def encoder(result: dict) -> str:
    """The result of encoder.py: a group of bars for each length, the machine's limits among them."""
    groups = {}
    for length, row in result["series"].items():
        bars = {name: series["median_ms"] for name, series in row.items()}
        bars |= {f"limit-{name}": ms for name, ms in result["limits_ms"].get(length, {}).items()}
        seconds, _, piece = length.partition("/")
        groups[f"{seconds} s of audio" + (f", in pieces of {piece} s" if piece else "")] = bars
    title = f"FastConformer encoder, {result['layers']} layers, {result['threads']} threads: time (less is better)"
    return bars_of(title, groups, "ms")


def streams(result: dict) -> str:
    """The result of streams.py: a group of bars for each mode."""
    groups = {
        f"{mode}, {facts['latency_s']:.3g} s": {
            name: (engine.get("live") or engine["simulated"])["streams"] for name, engine in facts["engines"].items()
        }
        for mode, facts in result["modes"].items()
    }
    title = f"Streams in real time, {result['layers']} layers, {result['threads']} threads (more is better)"
    return bars_of(title, groups, "streams")


def codec(result: dict) -> str:
    """The result of codec.py: a group of bars for each model and way."""
    groups = {}
    for row, engines in result["series"].items():
        groups[row] = {name: series["median_ms"] for name, series in engines.items()}
        groups[row]["limit-f32"] = result["limits_ms"][row]["f32"]
    title = f"Codecs, {result['seconds']:g} s of sound, {result['threads']} threads, f32: time (less is better)"
    return bars_of(title, groups, "ms")


def bars_of(title: str, groups: dict[str, dict[str, float]], unit: str) -> str:
    """`groups` is {group: {name: value}}; each group has its own scale, so short windows stay readable."""
    parts, y = [], 44
    for group, values in groups.items():
        parts.append(f'<text x="12" y="{y + 14}" font-weight="bold">{escape(group)}</text>')
        y += 24
        longest = max(values.values()) or 1
        for name, value in sorted(values.items(), key=lambda item: item[1]):
            length = (WIDTH - LEFT - 110) * value / longest
            colour = COLOURS.get(name.split("-")[0], OTHERS)
            label = escape(name.replace("-", " "))
            parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 4}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{value:.0f} {escape(unit)}</text>')
            y += BAR
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="white"/><text x="12" y="24" font-size="16">{escape(title)}</text>'
    )
    return head + "".join(parts) + "</svg>\n"
