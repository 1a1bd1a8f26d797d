"""Draw a measurement as lines of text: a bar per setting, the knee marked."""

from __future__ import annotations

from collections.abc import Sequence

from bullq_cli.bench.figures import Point
from bullq_cli.bench.knee import Recommendation

_BAR = 24  # columns
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEAD = (
    f"{'processes':>9} {'at once':>7} {'jobs/s':>8}     ±  {'':{_BAR}}  "
    f"{'pickup p50 / p99':>16}  Redis   MB"
)


def chart(points: Sequence[Point], found: Recommendation) -> list[str]:
    """Give the lines."""
    most = max(point.rate for point in points)
    lines = [_HEAD]
    processes = points[0].processes
    for point in points:
        if point.processes != processes:
            lines.append("")
            processes = point.processes
        lines.append(_line(point, most, marked=point is found.chosen))
    return lines


def _line(point: Point, most: float, *, marked: bool) -> str:
    spread = (point.fastest - point.slowest) / 2 / point.rate
    p50, p99 = point.pickup(50), point.pickup(99)
    pickup = "-" if p50 is None or p99 is None else f"{p50:.1f} / {p99:.1f} ms"
    return (
        f"{point.processes:>9} {point.concurrency:>7} {point.rate:>8,.0f} {spread:>5.0%}  "
        f"{bar(point.rate / most, _BAR):{_BAR}}  {pickup:>16} {point.redis_us:>3.0f} µs"
        f" {point.memory / 1e6:>4.0f}{'  <- knee' if marked else ''}"
    )


def bar(share: float, columns: int) -> str:
    """Give a bar over *share* of so many columns, to an eighth of one."""
    eighths = round(share * columns * 8)
    return _EIGHTHS[-1] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
