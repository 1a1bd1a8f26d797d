"""Draw measurements as an SVG: rate and pickup time over concurrency, the knee marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bullq_cli.bench.figures import Point, curve
from bullq_cli.bench.knee import Recommendation

_COLORS = ("#2563eb", "#ea580c", "#059669", "#7c3aed")  # by number of processes
_INK, _DIM, _GRID = "#0f172a", "#64748b", "#e2e8f0"
_WIDTH, _HEAD, _ROW = 1040, 84, 390
_RATE_LEFT, _RATE_WIDTH = 84, 540
_PICKUP_LEFT, _PICKUP_WIDTH = 716, 284
_PLOT_TOP, _PLOT_HEIGHT = 66, 258


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One kind of job: its title, what was measured, what is recommended."""

    title: str
    points: Sequence[Point]
    found: Recommendation


@dataclass(frozen=True, kw_only=True)
class _Plot:
    """A rectangle with a logarithmic axis to the right and some axis upwards."""

    left: float
    top: float
    width: float
    low: float
    high: float
    up: Callable[[float], float]
    """Maps a value to 0 (bottom) up to 1 (top)."""

    def x(self, concurrency: float) -> float:
        span = math.log(self.high / self.low) or 1.0
        return self.left + self.width * math.log(concurrency / self.low) / span

    def y(self, value: float) -> float:
        return self.top + _PLOT_HEIGHT * (1 - self.up(value))


def draw(pictures: Sequence[Picture], title: str, subtitle: str) -> str:
    """Give the whole file's text."""
    height = _HEAD + _ROW * len(pictures) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{_safe(title)}" '
        "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\">",
        f'<rect width="{_WIDTH}" height="{height}" rx="14" fill="#ffffff"/>',
        _text(32, 42, title, size=22, weight=700),
        _text(32, 66, subtitle, size=13, color=_DIM),
    ]
    for number, picture in enumerate(pictures):
        parts += _picture(picture, _HEAD + _ROW * number)
    return "\n".join([*parts, "</svg>", ""])


def _picture(picture: Picture, top: float) -> list[str]:
    points = picture.points
    low = min(point.concurrency for point in points)
    high = max(point.concurrency for point in points)
    room = 1.3 * max(point.rate for point in points)  # for what is written above the knee
    most = _nice(max(room, *(point.fastest for point in points)))
    rate = _Plot(
        left=_RATE_LEFT,
        top=top + _PLOT_TOP,
        width=_RATE_WIDTH,
        low=low,
        high=high,
        up=lambda value: value / most,
    )
    parts = [
        f'<line x1="32" y1="{top + 8}" x2="{_WIDTH - 32}" y2="{top + 8}" stroke="{_GRID}"/>',
        _text(32, top + 38, picture.title, size=16, weight=600),
        _text(_RATE_LEFT, top + 58, "jobs per second", size=12, color=_DIM),
        *_frame(rate, points, [most * part / 4 for part in range(5)], _rate_label),
    ]
    for processes in sorted({point.processes for point in points}):
        parts += _band(rate, curve(points, processes))
    for processes in sorted({point.processes for point in points}):
        parts += _line(rate, curve(points, processes), lambda point: point.rate)
    parts += _knee(rate, picture.found)
    parts += _legend(points, top + 38)
    return parts + _pickups(points, picture.found, top, low, high)


def _pickups(
    points: Sequence[Point], found: Recommendation, top: float, low: float, high: float
) -> list[str]:
    times = [time for point in points for part in (50, 99) if (time := point.pickup(part))]
    if not times:
        return []
    floor = 10 ** math.floor(math.log10(min(times)))
    ceiling = 10 ** math.ceil(math.log10(max(times) * 1.01))
    decades = round(math.log10(ceiling / floor))
    plot = _Plot(
        left=_PICKUP_LEFT,
        top=top + _PLOT_TOP,
        width=_PICKUP_WIDTH,
        low=low,
        high=high,
        up=lambda value: math.log10(max(value, floor) / floor) / decades,
    )
    ticks = [floor * 10**power for power in range(decades + 1)]
    parts = [
        _text(_PICKUP_LEFT, top + 58, "pickup at light load: p50, p99 dashed", size=12, color=_DIM),
        *_frame(plot, points, ticks, _ms_label),
    ]
    for processes in sorted({point.processes for point in points}):
        timed = [point for point in curve(points, processes) if point.pickup(50)]
        parts += _line(plot, timed, lambda point: point.pickup(50) or floor)
        parts += _line(plot, timed, lambda point: point.pickup(99) or floor, dashed=True)
    x = plot.x(found.chosen.concurrency)
    parts.append(_vertical(x, plot.top))
    return parts


def _frame(
    plot: _Plot, points: Sequence[Point], ticks: Sequence[float], label: Callable[[float], str]
) -> list[str]:
    """Draw the grid, and the numbers at both axes."""
    bottom, right = plot.top + _PLOT_HEIGHT, plot.left + plot.width
    parts = []
    for tick in ticks:
        y = plot.y(tick)
        parts.append(
            f'<line x1="{plot.left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" '
            f'stroke="{_GRID}"/>'
        )
        parts.append(_text(plot.left - 8, y + 4, label(tick), color=_DIM, anchor="end"))
    shown: list[float] = []
    for concurrency in sorted({point.concurrency for point in points}):
        x = plot.x(concurrency)
        if shown and x - shown[-1] < 24:  # noqa: PLR2004 - room for a number
            continue
        shown.append(x)
        parts.append(_text(x, bottom + 18, f"{concurrency}", color=_DIM, anchor="middle"))
    middle = (plot.left + right) / 2
    parts.append(
        _text(middle, bottom + 38, "jobs at once per process", color=_DIM, anchor="middle")
    )
    return parts


def _band(plot: _Plot, points: Sequence[Point]) -> list[str]:
    """Shade from the slowest to the fastest runs."""
    upper = [f"{plot.x(one.concurrency):.1f},{plot.y(one.fastest):.1f}" for one in points]
    lower = [f"{plot.x(one.concurrency):.1f},{plot.y(one.slowest):.1f}" for one in points]
    color = _color(points[0])
    return [f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{color}" opacity="0.15"/>']


def _line(
    plot: _Plot,
    points: Sequence[Point],
    value: Callable[[Point], float],
    *,
    dashed: bool = False,
) -> list[str]:
    if not points:
        return []
    color = _color(points[0])
    at = [(plot.x(point.concurrency), plot.y(value(point))) for point in points]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    style = ' stroke-dasharray="3 5"' if dashed else ""
    parts = [
        f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="2.5" '
        f'stroke-linejoin="round" stroke-linecap="round"{style}/>'
    ]
    if not dashed:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in at]
    return parts


def _knee(plot: _Plot, found: Recommendation) -> list[str]:
    chosen = found.chosen
    x, y = plot.x(chosen.concurrency), plot.y(chosen.rate)
    label = f"{chosen.concurrency} at once: {chosen.rate:,.0f} jobs/s"
    # No curve is much higher than the knee, and the axis leaves room above it.
    on_left = x > plot.left + plot.width / 2
    anchor, text_x = ("end", x - 14) if on_left else ("start", x + 14)
    text_y = y - 34
    share = f"the knee, {found.share:.0%} of the best rate"
    return [
        _vertical(x, plot.top),
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="#ffffff" stroke="{_color(chosen)}" '
        'stroke-width="3"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_color(chosen)}"/>',
        _text(text_x, text_y, label, size=13, weight=700, anchor=anchor, halo=True),
        _text(text_x, text_y + 17, share, color=_DIM, anchor=anchor, halo=True),
    ]


def _legend(points: Sequence[Point], y: float) -> list[str]:
    parts: list[str] = []
    x: float = _RATE_LEFT + _RATE_WIDTH
    for processes in sorted({point.processes for point in points}, reverse=True):
        label = "1 process" if processes == 1 else f"{processes} processes"
        one = next(point for point in points if point.processes == processes)
        parts.append(_text(x, y, label, size=13, anchor="end"))
        x -= 7.2 * len(label) + 14
        parts.append(f'<circle cx="{x:.1f}" cy="{y - 4.5:.1f}" r="5" fill="{_color(one)}"/>')
        x -= 20
    return parts


def _vertical(x: float, top: float) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{top + _PLOT_HEIGHT:.1f}" '
        f'stroke="{_DIM}" stroke-dasharray="2 4"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: int = 400,
    color: str = _INK,
    anchor: str = "start",
    halo: bool = False,
) -> str:
    """Write a text; a *halo* keeps it legible over lines."""
    written = (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{color}" '
        f'text-anchor="{anchor}">{_safe(text)}</text>'
    )
    if not halo:
        return written
    edge = 'stroke="#ffffff" stroke-width="5" stroke-linejoin="round" opacity="0.85" '
    return written.replace("<text ", f"<text {edge}", 1) + written


def _safe(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def _color(point: Point) -> str:
    return _COLORS[min(len(_COLORS) - 1, int(math.log2(point.processes)))]


def _nice(value: float) -> float:
    """Round up to a number whose quarters are good to read."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    return next(
        step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value
    )


def _rate_label(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"  # noqa: PLR2004 - one digit more for small ones


def _ms_label(milliseconds: float) -> str:
    return f"{milliseconds:g} ms" if milliseconds < 1_000 else f"{milliseconds / 1000:g} s"  # noqa: PLR2004 - a second
