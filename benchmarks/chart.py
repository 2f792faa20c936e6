"""Two kinds of chart as SVG: bars, and lines on logarithmic scales. Each has its own background, light or dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from html import escape

from benchmarks.row import show

WIDTH, MIN_LABELS, WIDTH_OF_LETTER = 720, 230, 6.6
STYLE = (
    "<style>.g{fill:#f6f7fb}text{font:13px sans-serif;fill:#1c2350}.s{fill:#5b6172;font-size:12px}.e{text-anchor:end}"
    ".m{text-anchor:middle}.b{fill:#9aa3c7}.o{fill:#4051b5}.t{stroke:#d5d9e8}.l{fill:none;stroke-width:2}"
    ".c0{color:#4051b5}.c1{color:#2e9d63}.c2{color:#d98018}.c3{color:#c2478f}.c4{color:#7a6bd6}.c5{color:#8a8f9e}"
    "polyline{stroke:currentColor}.n{fill:currentColor}"
    "@media(prefers-color-scheme:dark){.g{fill:#1f2330}text{fill:#e6e8f2}.s{fill:#a5abbd}.b{fill:#6a7398}.n{fill:currentColor}"
    ".o{fill:#8c9eff}.t{stroke:#3a4052}.c0{color:#8c9eff}.c3{color:#e27ab8}.c4{color:#a99cf0}}</style>"
)
MAX_LINES = 6
"""The colours of the lines; the first is ours."""


def _drawing(title: str, height: int, marks: Iterator[str]) -> str:
    name = escape(title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
    ground = f'<rect class="g" width="{WIDTH}" height="{height}" rx="8"/>'
    return "\n".join([head, f"<title>{name}</title>", STYLE, ground, *marks, "</svg>", ""])


# --- bars --------------------------------------------------------------------------------------------------------


def bars(
    title: str, values: Mapping[str, float], unit: str, ours: Collection[str], *, share: Callable[[float], float]
) -> str:
    """Draw a bar per value, the smallest first; those of `ours` stand out. `share` gives the length, 1 at most."""
    return _drawing(title, 58 + 30 * len(values), _bars(title, values, unit, ours, share))


def logarithmic(values: Collection[float]) -> Callable[[float], float]:
    """Return the position of a value between the powers of ten around all of them, from 0 to 1."""
    low, high = _decades(values)
    return lambda value: (math.log10(value) - low) / (high - low)


def linear(values: Collection[float]) -> Callable[[float], float]:
    """Return the share that a value is of the greatest."""
    most = max(values)
    return lambda value: value / most


def _bars(
    title: str, values: Mapping[str, float], unit: str, ours: Collection[str], share: Callable[[float], float]
) -> Iterator[str]:
    left = max(MIN_LABELS, 20 + round(WIDTH_OF_LETTER * max(map(len, values))))
    room = WIDTH - left - 110
    yield f'<text x="20" y="28">{escape(title)}</text>'
    for place, (name, value) in enumerate(sorted(values.items(), key=lambda each: each[1])):
        y = 44 + 30 * place
        length = max(2.0, room * share(value))
        yield f'<text class="e" x="{left - 10}" y="{y + 16}">{escape(name)}</text>'
        kind = "o" if name in ours else "b"
        yield f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.0f}" height="22" rx="3"/>'
        yield f'<text class="s" x="{left + length + 8:.0f}" y="{y + 16}">{show(value)} {unit}</text>'


# --- lines -------------------------------------------------------------------------------------------------------

Line = Mapping[int, float]


def lines(title: str, series: Mapping[str, Line], unit: str, below: str) -> str:
    """Draw a line per series, size -> value; the first is ours. `below` says what the sizes count."""
    return _drawing(title, 400, _lines(title, series, unit, below))


def _lines(title: str, series: Mapping[str, Line], unit: str, below: str) -> Iterator[str]:
    left, right, top, bottom = 110, WIDTH - 120, 48, 340
    sizes = sorted({size for line in series.values() for size in line})
    low, high = _decades(value for line in series.values() for value in line.values())

    def x(size: int) -> float:
        first, last = math.log10(sizes[0]), math.log10(sizes[-1])
        return left + (right - left) * (math.log10(size) - first) / (last - first)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    yield f'<text x="20" y="28">{escape(title)}</text>'
    for decade in range(low, high + 1):
        at, power = y(10.0**decade), f"{10**decade:,}" if decade >= 0 else show(10.0**decade)
        yield f'<path class="t" d="M{left} {at:.0f}H{right}"/>'
        yield f'<text class="s e" x="{left - 8}" y="{at + 4:.0f}">{power} {unit}</text>'
    for size in sizes:
        yield f'<text class="s m" x="{x(size):.0f}" y="{bottom + 20}">{size:,}</text>'
    yield f'<text class="s m" x="{(left + right) / 2:.0f}" y="{bottom + 42}">{escape(below)}</text>'
    labels = _apart({name: y(line[max(line)]) for name, line in series.items()})
    for number, (name, line) in enumerate(series.items()):
        colour = f"c{number % MAX_LINES}"
        points = " ".join(f"{x(size):.0f},{y(line[size]):.0f}" for size in sorted(line))
        place = f'x="{x(max(line)) + 8:.0f}" y="{labels[name] + 4:.0f}"'
        yield f'<polyline class="l {colour}" points="{points}"/>'
        yield f'<text class="n {colour}" {place}>{escape(name)}</text>'


def _apart(wanted: Mapping[str, float], gap: float = 15) -> dict[str, float]:
    """Move labels down until none covers another."""
    found: dict[str, float] = {}
    last = -math.inf
    for name, at in sorted(wanted.items(), key=lambda each: each[1]):
        last = found[name] = max(at, last + gap)
    return found


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten between which all values are."""
    known = list(values)
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    return low, max(high, low + 1)
