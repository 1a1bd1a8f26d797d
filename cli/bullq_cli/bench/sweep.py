"""Measure one kind of job with every concurrency and number of processes, in turns."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bullq.dispatch.ids import new_job_id
from bullq.store.adding import JobKind, NewJob
from bullq.wording import counted
from bullq_cli.bench.application import payload
from bullq_cli.bench.figures import Point, Run, curve, steady_rate
from bullq_cli.bench.knee import (
    ENOUGH,
    STILL_RISING,
    Recommendation,
    next_better,
    recommend,
)
from bullq_cli.bench.plan import BUCKETS_PER_SECOND

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq_cli.bench.crew import Member
    from bullq_cli.bench.plan import Load, Plan
    from bullq_cli.bench.site import Site

_FEWEST, _MOST = 20, 40_000  # jobs of a run
_TOO_FEW, _GUESSES = 2.0, 4  # times the expected rate that tell of too few jobs, and new guesses
_FLAT = 2  # steps of a curve without a gain, after which higher ones are not tried
_HALF_LOAD, _MOST_PER_SECOND = 0.5, 200.0  # single jobs, as a part of the rate, and at most
_PICKUP_DEADLINE = 10.0  # seconds
_CHECKS = 3  # comparisons of the recommended settings with the best
_CHECKING = 0.15  # the part of the time that is kept for them

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Check:
    """How the recommended settings did beside the best ones, in turns: *share* of their rate."""

    share: float
    chosen: float
    best: float


class Sweep:
    """Measures on one queue with one crew; members beyond those a run needs are idle."""

    def __init__(
        self,
        queue: JobQueue,
        job: str,
        *,
        crew: Sequence[Member],
        site: Site,
        load: Load,
        plan: Plan,
    ) -> None:
        self._queue = queue
        self._kind = JobKind(job, {"attempts": 1, "removeOnComplete": True, "removeOnFail": True})
        self._crew = crew
        self._site = site
        self._data = payload(load)
        self._plan = plan
        self._ends = 0.0
        self._pilot = _FEWEST / plan.window
        self._longest = 0.0  # seconds that a run took

    async def run(self, say: Say) -> list[Point]:
        """Measure until all rounds are done or the time is up; every point has one run at least."""
        self._ends = time.monotonic() + self._plan.seconds * (1 - _CHECKING)
        await self._warm_up()
        points = await self._first_round(say)
        for number in range(1, self._plan.rounds):
            for point in points:
                if time.monotonic() + self._longest > self._ends:
                    return points
                point.runs.append(await self._measure(point, point.rate))
            say(f"round {number + 1} of {self._plan.rounds}")
        return points

    async def check(self, points: Sequence[Point], say: Say) -> tuple[Recommendation, Check]:
        """Compare what would be recommended with the best, in turns; take more if it is less."""
        ends = time.monotonic() + self._plan.seconds * _CHECKING
        found = recommend(points)
        while True:
            check = await self._compare(found.chosen, found.best)
            say(
                f"{found.chosen.concurrency} at once beside {found.best.concurrency}, in turns: "
                f"{check.share:.0%} of its rate"
            )
            if check.share >= ENOUGH or found.chosen is found.best:
                return found, check
            better = next_better(points, found.chosen)
            if better is None or time.monotonic() > ends:
                better = found.best
            found = replace(found, chosen=better, share=better.rate / found.best.rate)

    async def _compare(self, chosen: Point, best: Point) -> Check:
        if chosen is best:
            return Check(share=1.0, chosen=chosen.rate, best=best.rate)
        mine, others = Point(1, 1), Point(1, 1)
        for _ in range(_CHECKS):
            mine.runs.append(await self._drain(chosen, chosen.rate))
            others.runs.append(await self._drain(best, best.rate))
        return Check(share=mine.rate / others.rate, chosen=mine.rate, best=others.rate)

    async def _warm_up(self) -> None:
        """Run a few jobs that do not count, in every process."""
        for concurrency in (1, max(self._plan.concurrencies)):
            await self._drain(Point(len(self._crew), concurrency), self._pilot * len(self._crew))

    async def _first_round(self, say: Say) -> list[Point]:
        """Go up every curve until it is flat."""
        points: list[Point] = []
        for processes in self._plan.processes:
            best, flat = 0.0, 0
            for concurrency in self._plan.concurrencies:
                point = Point(processes, concurrency)
                point.runs.append(await self._measure(point, self._expected(points, point)))
                points.append(point)
                in_processes = counted(processes, "process", "processes")
                say(f"{concurrency} at once in {in_processes}: {point.rate:,.0f} jobs/s")
                flat = flat + 1 if point.rate < STILL_RISING * best else 0
                best = max(best, point.rate)
                if flat == _FLAT:
                    break
        return points

    def _expected(self, points: Sequence[Point], point: Point) -> float:
        """Guess a rate from what was measured: at most in proportion."""
        own = curve(points, point.processes)
        if own:
            return own[-1].rate * point.concurrency / own[-1].concurrency
        fewer = [one for one in points if one.concurrency == point.concurrency]
        return fewer[-1].rate * point.processes / fewer[-1].processes if fewer else self._pilot

    async def _measure(self, point: Point, expected: float) -> Run:
        began = time.monotonic()
        run = await self._drain(point, expected)
        for _ in range(_GUESSES):
            if run.rate <= _TOO_FEW * expected or self._jobs(point, expected) == _MOST:
                break
            # So few jobs were gone before a steady rate could be seen.
            expected = run.rate
            run = await self._drain(point, expected)
        pickups = await self._pickups(point, run.rate)
        self._longest = max(self._longest, time.monotonic() - began)
        return Run(
            rate=run.rate,
            redis_us=run.redis_us,
            memory=run.memory,
            pickups=pickups,
            failed=run.failed,
            reason=run.reason,
        )

    async def _drain(self, point: Point, expected: float) -> Run:
        """Fill the queue for about one window, and have it emptied."""
        count = self._jobs(point, expected)
        await self._queue.add_many([self._new_job() for _ in range(count)])
        before = await self._site.scripts_us()
        members = self._crew[: point.processes]
        await asyncio.gather(*(member.order("drain", point.concurrency) for member in members))
        answers = await asyncio.gather(*(member.answer() for member in members))
        after = await self._site.scripts_us()
        return _as_run(answers, (after - before) / count)

    def _jobs(self, point: Point, expected: float) -> int:
        """Give how many jobs last for about one window at the expected rate."""
        return round(min(_MOST, max(_FEWEST, 2 * point.concurrency, expected * self._window)))

    @property
    def _window(self) -> float:
        return self._plan.window

    async def _pickups(self, point: Point, rate: float) -> tuple[float, ...]:
        """Send single jobs at a light load, and give how late each started, in ms."""
        members = self._crew[: point.processes]
        await asyncio.gather(*(member.order("listen", point.concurrency) for member in members))
        await asyncio.gather(*(member.answer() for member in members))  # that they listen
        gap = 1 / min(_MOST_PER_SECOND, max(1.0, rate * _HALF_LOAD))
        count = max(3, round(self._window / 2 / gap))
        readers = [asyncio.create_task(_starts(member)) for member in members]
        try:
            sent = await self._send(count, gap)
        finally:
            await asyncio.gather(*(member.order("stop") for member in members))
            started = dict(pair for starts in await asyncio.gather(*readers) for pair in starts)
        # What is still there has not started in time; the next run must not meet it.
        await self._queue.live.drain()
        return tuple((started[one] - at) * 1000 for one, at in sent.items() if one in started)

    async def _send(self, count: int, gap: float) -> dict[str, float]:
        """Add jobs at even times; give the time before each add, by id."""
        sent: dict[str, float] = {}
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number * gap - time.monotonic()))
            job = self._new_job()
            sent[job.id] = time.monotonic()
            await self._queue.add(job)
        await asyncio.sleep(min(_PICKUP_DEADLINE, 2 * gap))  # for the last one to start
        return sent

    def _new_job(self) -> NewJob:
        return NewJob(self._kind, new_job_id(), self._data)


def _as_run(answers: Sequence[dict[str, Any]], redis_us: float) -> Run:
    completed: Counter[int] = Counter()
    for answer in answers:
        completed.update({int(number): count for number, count in answer["completed"].items()})
    return Run(
        rate=steady_rate(completed, BUCKETS_PER_SECOND),
        redis_us=redis_us,
        memory=max(answer["memory"] for answer in answers),
        failed=sum(answer["failed"] for answer in answers),
        reason=next((answer["reason"] for answer in answers if answer["reason"]), ""),
    )


async def _starts(member: Member) -> list[tuple[str, float]]:
    """Read which jobs have started when, until the member has stopped."""
    starts: list[tuple[str, float]] = []
    while "stopped" not in (answer := await member.answer()):
        starts.append((answer["started"], answer["at"]))
    return starts
