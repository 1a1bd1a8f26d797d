"""Measure confirmed dispatches: how long they take where all is well, and where something is not.

python -m benchmarks.dispatches                      everything, about one minute
python -m benchmarks.dispatches --lines healthy open some lines of the table
python -m benchmarks.dispatches --write              and write it into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvloop

from benchmarks.confirming import BATCHES, cost
from benchmarks.server import Server
from benchmarks.server import running as running_server
from benchmarks.surroundings import (
    Order,
    application,
    confirmed,
    hold,
    nobody,
    promptly,
    running,
)
from benchmarks.table import machine, write_dispatches
from bullq import Bullq, DispatchError, Job, Reason, Receipt
from bullq.dispatch.breaker import Breaker

EACH = 200
"""Dispatches of each line; its percentiles are over them."""
RUNS = 5
CALLERS = 200
_IN_A_RUN = 6_000
_WARM_UP = 30
_DEADLINE = 2.0  # seconds: the default of all of a dispatch


@dataclass
class Taken:
    """What dispatches took, in ms, and by how much the slowest passed its deadline."""

    ms: list[float] = field(default_factory=list)
    past_ms: float = -1e9
    went_to: Counter[str] = field(default_factory=Counter)

    def row(self, title: str, figure: str, bar: str) -> str:
        """Give a row of the table."""
        went = ", ".join(f"{where} {count:,}" for where, count in self.went_to.items())
        return f"| {title} | {figure} | {bar} | {self.past_ms:+,.0f} ms | {went} |"

    def at(self, percent: int) -> float:
        """Give a percentile."""
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Bench:
    """One server, and what each line of the table needs around it."""

    def __init__(self, server: Server, inngest: str) -> None:
        self.server = server
        self.inngest = inngest

    @contextmanager
    def worker(self, concurrency: int = 100) -> Iterator[None]:
        """Have a worker process on the emptied server."""
        self.server.empty()
        with running("worker", self.server.url, str(concurrency)):
            yield

    @contextlib.asynccontextmanager
    async def app(
        self,
        redis: str | None = None,
        inngest: str | None = None,
        *,
        breaker: Breaker | None = None,
        **settings: str,
    ) -> AsyncIterator[Bullq]:
        """Have an application that dispatches."""
        app = application(redis or self.server.url, inngest or self.inngest, **settings)
        app.handoffs.means.breaker = breaker or app.handoffs.means.breaker
        try:
            yield app
        finally:
            await app.aclose()


async def _each(
    dispatch: Callable[[int], Awaitable[Receipt[Any]]],
    *,
    at_once: int = 1,
    count: int = EACH,
    deadline: float = _DEADLINE,
    only: Reason | None = None,
) -> Taken:
    """Dispatch *count* times, *at_once* at the same time; *only* those of one reason count."""
    taken, numbers = Taken(), iter(range(100 * count))

    async def caller() -> None:
        while len(taken.ms) < count:
            began = time.perf_counter()
            try:
                receipt = await dispatch(next(numbers))
                where, reason = f"{receipt.engine} ({receipt.state})", receipt.reason
            except DispatchError as error:  # how long it takes counts, however it ends
                where, reason = type(error).__name__, None
            took = (time.perf_counter() - began) * 1000
            taken.past_ms = max(taken.past_ms, took - deadline * 1000)
            if only is None or reason is only:
                taken.ms.append(took)
                taken.went_to[where] += 1

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return taken


def _plainly(job: Job[Order, Any]) -> Callable[[int], Awaitable[Receipt[Any]]]:
    return lambda number: job.dispatch(Order(order_id=number))


class _NeverOpen(Breaker):
    """Has every dispatch ask an engine, as if it had never failed."""

    def lets_pass(self) -> bool:
        """Let every call pass."""
        return True


async def healthy(bench: Bench) -> Taken:
    """Dispatch to a worker that is idle."""
    with bench.worker():
        async with bench.app():
            await _each(_plainly(confirmed), count=_WARM_UP)
            return await _each(_plainly(confirmed), count=5 * EACH)


async def refused(bench: Bench) -> Taken:
    """Dispatch where Redis refuses connections."""
    with nobody(listens=False) as address:
        async with bench.app(f"redis://{address}", breaker=_NeverOpen()):
            await _each(_plainly(confirmed), count=_WARM_UP)
            return await _each(_plainly(confirmed))


async def black_hole(bench: Bench) -> Taken:
    """Dispatch where Redis takes connections and never answers."""
    with nobody(listens=True) as address:
        async with bench.app(
            f"redis://{address}", breaker=_NeverOpen(), BULLQ_REDIS_TIMEOUT="100ms"
        ):
            await _each(_plainly(confirmed), at_once=10, count=_WARM_UP)
            return await _each(_plainly(confirmed), at_once=10)


async def breaker_open(bench: Bench) -> Taken:
    """Dispatch while Redis is spared."""
    with nobody(listens=False) as address:
        async with bench.app(f"redis://{address}"):
            await _each(_plainly(confirmed), count=_WARM_UP)
            return await _each(_plainly(confirmed), only=Reason.BREAKER_OPEN)


async def no_workers(bench: Bench) -> Taken:
    """Dispatch where nobody works on the queue."""
    bench.server.empty()
    async with bench.app():
        await _each(_plainly(confirmed), count=_WARM_UP)
        return await _each(_plainly(confirmed))


async def stuck(bench: Bench) -> Taken:
    """Dispatch what has to begin in time where it cannot."""
    with bench.worker(1):
        async with bench.app(BULLQ_PICKUP_TIMEOUT="200ms"):
            await hold.dispatch(Order(order_id=0))
            return await _each(_plainly(promptly), at_once=10)


async def both_silent(bench: Bench) -> Taken:
    """Dispatch where nobody answers at all."""
    with nobody(listens=True) as redis, nobody(listens=True) as inngest:
        async with bench.app(
            f"redis://{redis}",
            f"http://{inngest}",
            breaker=_NeverOpen(),
            BULLQ_DISPATCH_DEADLINE="500ms",
        ):
            return await _each(_plainly(confirmed), at_once=10, deadline=0.5)


@dataclass(frozen=True)
class Line:
    """A row of the table: what is the matter, and what is promised."""

    title: str
    bar: str
    measure: Callable[[Bench], Awaitable[Taken]]


LINES = {
    "healthy": Line("idle queue, one after the other", "3 / 10 ms", healthy),
    "refused": Line("Redis refuses connections", "50 ms", refused),
    "black-hole": Line(
        "Redis says nothing, 100 ms for a question, 10 at once", "150 ms", black_hole
    ),
    "open": Line("breaker open", "5 ms", breaker_open),
    "no-workers": Line("no worker is alive", "50 ms", no_workers),
    "stuck": Line("workers are stuck, strict, 200 ms to begin, 10 at once", "250 ms", stuck),
    "both-silent": Line(
        "Redis and Inngest say nothing, a deadline of 500 ms, 10 at once", "550 ms", both_silent
    ),
}


async def crowd(bench: Bench, callers: int = CALLERS) -> tuple[list[float], Taken]:
    """Dispatch from many callers at the same time; give the rate of each run (jobs/s)."""
    rates, all_taken = [], Taken()
    with bench.worker():
        async with bench.app():
            for _ in range(RUNS + 1):
                began = time.perf_counter()
                taken = await _each(_plainly(confirmed), at_once=callers, count=_IN_A_RUN)
                rates.append(len(taken.ms) / (time.perf_counter() - began))
                all_taken = taken
    return rates[1:], all_taken  # the first one connects


async def measure(bench: Bench, names: Sequence[str]) -> list[str]:
    """Measure lines of the table, and give them."""
    rows: list[str] = []

    def tell(row: str) -> None:
        rows.append(row)
        _say(row)

    for name in names:
        if name in LINES:
            line = LINES[name]
            taken = await line.measure(bench)
            figures = f"{taken.at(50):.1f} / {taken.at(99):.1f} ms"
            tell(taken.row(line.title, figures, line.bar))
        elif name == "crowd":
            rates, taken = await crowd(bench)
            median = statistics.median(rates)
            figure = f"{median:,.0f}/s ± {(max(rates) - min(rates)) / 2 / median:.0%}"
            tell(taken.row(f"{CALLERS} at once", figure, "5,000/s"))
        else:
            for batch in BATCHES:
                us = await cost(bench.server, batch)
                who = "a lone job" if batch == 1 else f"{batch} in a call"
                tell(f"| what Redis spends to confirm {who} | {us:.1f} µs a job | 10 µs | | |")
    return rows


def section(rows: Sequence[str], version: str) -> str:
    """Give the section of the page of results."""
    lines = [
        "## Confirmed dispatches",
        "",
        "What `dispatch()` takes until a worker has begun the job, or until it is decided who has",
        "it instead: p50 / p99. Dispatcher, worker, Redis and a stand-in for Inngest, which",
        "acknowledges events and runs nothing, are a process each and share the cores;",
        "`python -m benchmarks.dispatches --write` measures it and writes this section.",
        "",
        f"* {datetime.now(UTC).date().isoformat()}, {version}",
        f"* {machine()}",
        f"* {EACH} dispatches a line (healthy: {5 * EACH:,}), p50 / p99; the rate is the median",
        f"  of {RUNS} runs of {_IN_A_RUN:,}; *past*: by how much the slowest passed its deadline",
        "* what Redis spends: the scripts of jobs that are added and claimed with confirmation,",
        "  less those of the same without, medians of 200 calls each. It is four commands more",
        "  to add (GET, TIME, ZMSCORE, ZADD) and two to claim (ZADD, PUBLISH), whether for a",
        "  hundred jobs or for a lone one",
        "",
        "| | measured | bar | past | went to |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    return "\n".join([*lines, *rows]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, tell and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatches", description=__doc__)
    every = [*LINES, "crowd", "cost"]
    parser.add_argument("--lines", nargs="+", choices=every, default=every, help="these alone")
    parser.add_argument("--asyncio", action="store_true", help="on asyncio's own event loop")
    parser.add_argument("--write", action="store_true", help="write the page")
    wanted = parser.parse_args(arguments)
    factory = None if wanted.asyncio else uvloop.new_event_loop
    with ExitStack() as stack:
        server = stack.enter_context(running_server(None))
        inngest = stack.enter_context(running("inngest"))
        runner = stack.enter_context(asyncio.Runner(loop_factory=factory))
        rows = runner.run(measure(Bench(server, inngest), wanted.lines))
    if wanted.write:
        write_dispatches(section(rows, server.version))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
