"""Charts as SVG: lines and bars, one colour for each server. Called by `plot`, which knows what was
measured. The same figures give the same bytes; charts follow the reader's light or dark scheme."""

import math
from html import escape

PEERS = {  # in the order in which they are drawn: name, colour on light, colour on dark
    "linchpin": ("linchpin", "#0969da", "#58a6ff"),
    "bare": ("bare write(2)", "#6e7781", "#8b949e"),
    "nginx": ("nginx", "#1b7c83", "#39c5cf"),
    "nchan": ("nchan", "#1a7f37", "#3fb950"),
    "pushpin": ("Pushpin", "#bc4c00", "#f0883e"),
}
WIDTH, LEFT, RIGHT, TOP = 780, 130, 150, 74
ROW, GROUP = 22, 30


def lines(title, subtitle, x_name, y_name, series, foot):
    """A line for each peer, over a number. `None` if nothing was measured."""
    if not series:
        return None
    height, bottom, top = 440, 440 - 66, TOP + 14
    most_x = max(x for points in series.values() for x, _ in points)
    ticks = nice(max(y for points in series.values() for _, y in points))

    def at(x, y):
        return (LEFT + x / most_x * (WIDTH - LEFT - RIGHT), bottom - y / ticks[-1] * (bottom - top))

    out = [text(16, TOP, y_name, "axis")]
    for tick in ticks:
        y = at(0, tick)[1]
        out += [grid(LEFT, y, WIDTH - RIGHT, y), text(LEFT - 8, y + 4, shown(tick), "axis", "end")]
    for x in sorted({x for points in series.values() for x, _ in points}):
        place = at(x, 0)[0]
        out += [grid(place, bottom, place, bottom + 5),
                text(place, bottom + 19, f"{x:,}", "axis", "middle")]
    out.append(text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, x_name, "axis", "middle"))
    ends = []
    for peer, points in series.items():
        places = [at(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline class="line {peer}" points="{path}"/>')
        out += [f'<circle class="{peer}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        ends.append((places[-1][1], peer, points[-1][1]))
    below = 0
    for y, peer, value in sorted(ends):  # names beside the ends, none upon another
        below = max(y, below + 15)
        out.append(text(WIDTH - RIGHT + 10, below + 4, f"{PEERS[peer][0]} {shown(value)}", peer))
    return page(height, title, subtitle, foot, out)


def bars(title, subtitle, unit, groups, foot):
    """A bar for each peer in each group; a second figure is drawn into the first one's bar. `None`
    if nothing was measured."""
    groups = [(name, rows) for name, rows in groups if rows]
    values = [value for _, rows in groups for row in rows for value in row[1:3] if value]
    if not values:
        return None
    logarithmic = max(values) / min(values) > 15
    ticks = decades(min(values), max(values)) if logarithmic else nice(max(values))
    height = TOP + sum(GROUP + ROW * len(rows) for _, rows in groups) + 66
    bottom = height - 62

    def at(value):
        if logarithmic:
            low, high = math.log10(ticks[0]), math.log10(ticks[-1])
            part = (math.log10(value) - low) / (high - low)
        else:
            part = value / ticks[-1]
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    out = []
    for tick in ticks:
        out += [grid(at(tick), TOP, at(tick), bottom),
                text(at(tick), bottom + 16, shown(tick), "axis", "middle")]
    scale = f"{unit} (logarithmic)" if logarithmic else unit
    out.append(text((LEFT + WIDTH - RIGHT) / 2, bottom + 33, scale, "axis", "middle"))
    y = TOP
    for name, rows in groups:
        out.append(text(16, y + 21, name, "group"))
        y += GROUP
        for peer, value, inner, sign in rows:
            out.append(text(LEFT - 8, y + 14, PEERS[peer][0], peer, "end"))
            pale = " pale" if inner else ""
            out.append(bar(peer + pale, LEFT, y + 2, at(value) - LEFT))
            label = shown(value)
            if inner:
                out.append(bar(peer, LEFT, y + 2, at(inner) - LEFT))
                label = f"{shown(inner)} / {shown(value)}"
            out.append(text(at(value) + 6, y + 14, sign + label, "value"))
            y += ROW
    return page(height, title, subtitle, foot, out)


def nice(most):
    """From 0 in even steps to at least `most`."""
    step = 10 ** math.floor(math.log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 5)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def decades(least, most):
    """Powers of ten around what is shown, none of it at the very edge."""
    low, high = math.floor(math.log10(least / 1.3)), math.ceil(math.log10(most * 1.01))
    return [10.0 ** power for power in range(low, high + 1)]


def shown(value):
    """Three digits: 1.23, 123, 12.3k, 1.23M."""
    if value >= 999_500:
        return f"{value / 1e6:.3g}M"
    if value >= 9_995:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def text(x, y, words, kind, anchor="start"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def grid(x, y, to_x, to_y):
    return f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def bar(kind, x, y, width):
    return f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="16" rx="2"/>'


def page(height, title, subtitle, foot, parts):
    """A whole SVG file."""
    def colours(place):
        return "".join(f".{peer}{{fill:{of[place]};stroke:{of[place]}}}" for peer, of in PEERS.items())

    style = (
        "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;stroke:none!important}"
        ".title{font-size:17px;font-weight:600}"
        ".group{font-weight:600;paint-order:stroke;stroke-width:6;stroke:#fff!important}"
        ".axis,.foot,.sub{font-size:12px}.line{fill:none!important;stroke-width:2.5}"
        "rect{stroke:none!important}.pale{opacity:.45}"
        f".ground{{fill:#fff}}text{{fill:#1f2328}}.axis,.foot,.sub{{fill:#59636e}}"
        f".grid{{stroke:#d1d9e0}}{colours(1)}"
        "@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#f0f6fc}"
        ".group{stroke:#0d1117!important}"
        f".axis,.foot,.sub{{fill:#9198a1}}.grid{{stroke:#3d444d}}{colours(2)}}}"
    )
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title><style>{style}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        text(16, 28, title, "title"), text(16, 48, subtitle, "sub"),
    ]
    return "\n".join(head + parts + [text(16, height - 10, foot, "foot"), "</svg>", ""])
