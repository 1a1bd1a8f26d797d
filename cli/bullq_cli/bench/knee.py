"""Find the knee of a curve, and say which settings a queue should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bullq.wording import counted
from bullq_cli.bench.figures import Point, curve

ENOUGH = 0.95
"""Which part of the best rate is enough: the rest is not worth more jobs at once."""
STILL_RISING = 1.05
"""By how much the last step has to raise the rate for the curve to be called unfinished."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The settings to take. *share* is their part of the *best* rate that was measured.

    *unfinished*: the rate still rose at the highest concurrency, so that more may be better.
    """

    chosen: Point
    best: Point
    share: float
    unfinished: bool


def knee(points: Sequence[Point], enough: float = ENOUGH) -> Point:
    """Give the point with the least concurrency that reaches *enough* of the highest rate."""
    best = max(point.rate for point in points)
    ascending = sorted(points, key=lambda point: point.concurrency)
    return next(point for point in ascending if point.rate >= enough * best)


def recommend(points: Sequence[Point], enough: float = ENOUGH) -> Recommendation:
    """Choose the fewest processes, and in them the least concurrency, that come near the best."""
    best = max(points, key=lambda point: point.rate)
    for processes in sorted({point.processes for point in points}):
        near = [p for p in curve(points, processes) if p.rate >= enough * best.rate]
        if near:
            chosen = near[0]
            break
    own = curve(points, best.processes)
    unfinished = (
        len(own) > 1
        and best.concurrency == own[-1].concurrency
        and own[-1].rate >= STILL_RISING * own[-2].rate
    )
    return Recommendation(
        chosen=chosen, best=best, share=chosen.rate / best.rate, unfinished=unfinished
    )


def next_better(points: Sequence[Point], chosen: Point) -> Point | None:
    """Give the next settings up from *chosen* that were faster; None where there are none."""
    later = [
        point
        for point in points
        if (point.processes, point.concurrency) > (chosen.processes, chosen.concurrency)
        and point.rate > chosen.rate
    ]
    return min(later, key=lambda point: (point.processes, point.concurrency), default=None)


def _setting(point: Point) -> str:
    processes = counted(point.processes, "process", "processes")
    return f"{counted(point.concurrency, 'job')} at once in {processes}"


def words(queue: str, found: Recommendation) -> list[str]:
    """Say what to set, and why, a sentence each."""
    chosen, best = found.chosen, found.best
    told = [
        f"Queue {queue}: {_setting(chosen)}: "
        f"{chosen.rate:,.0f} jobs/s, {found.share:.0%} of the best that was measured."
    ]
    if best is not chosen:
        told.append(f"The best was {best.rate:,.0f} jobs/s, with {_setting(best)}.")
    pickup = chosen.pickup(99)
    if pickup is not None:
        told.append(
            f"At a light load 99 % of jobs start within {_ms(pickup)}; a worker process holds "
            f"{chosen.memory / 1e6:.0f} MB, and a job costs Redis {chosen.redis_us:.0f} µs."
        )
    if found.unfinished:
        told.append(
            f"The rate still rises at {best.concurrency}: "
            f"try more with --concurrency {best.concurrency},{best.concurrency * 2}."
        )
    return told


def env_lines(queue: str, found: Recommendation) -> list[str]:
    """Give the settings as lines for an environment file."""
    name = queue.upper().replace("-", "_")
    lines = [f"BULLQ_QUEUES__{name}__CONCURRENCY={found.chosen.concurrency}"]
    if found.chosen.processes > 1:
        lines.append(f"WORKER_REPLICAS_{name}={found.chosen.processes}")
    return lines


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"  # noqa: PLR2004 - one digit more for small ones
