"""Play one part of a workload with one system: add jobs, or run them.

`python -m benchmarks.peers.with_NAME PART '{"url": ..., "jobs": ...}'` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers.meter import Meter, tell

CALLERS = 50
"""Tasks, or threads, that add jobs at the same time."""
CHUNK = 500
"""Jobs that are given to a system in one call of its bulk add."""

Data = dict[str, Any]


class NotOffered(Exception):  # noqa: N818 - an answer, not an error
    """The system has no such thing; the message says what it lacks."""


class System(ABC):
    """What each system has to be able to do; *url* is the Redis that all of them share."""

    versions: tuple[str, ...] = ()
    """The packages whose versions are told."""
    offers_bulk = False
    """Whether many jobs can be added in one call."""

    def __init__(self, url: str, meter: Meter) -> None:
        self.url = url
        self.meter = meter

    @abstractmethod
    def work(self, concurrency: int) -> None:
        """Run jobs, *concurrency* at once, until the meter ends the process."""

    @abstractmethod
    def add_each(self, jobs: list[Data], callers: int) -> None:
        """Add jobs by a call each, from *callers* tasks at the same time."""

    @abstractmethod
    def add_all(self, jobs: list[Data]) -> None:
        """Add jobs in as few calls as the system allows."""

    @abstractmethod
    def drip(self, jobs: int, gap: float) -> None:
        """Add a job every *gap* seconds, each with the time at which it was sent."""


class AsyncSystem(System):
    """A system whose producers are coroutines; its jobs call handle()."""

    async def open(self) -> None:
        """Connect a producer."""

    @abstractmethod
    async def add(self, data: Data) -> None:
        """Add one job."""

    async def add_many(self, jobs: list[Data]) -> None:  # noqa: ARG002 - those who offer it take it
        """Add many jobs."""
        raise NotOffered("no bulk add")

    async def handle(self, data: Data) -> None:
        """Do what every system's job does."""
        if self.meter.pause:
            await asyncio.sleep(self.meter.pause)
        self.meter.hit(data)

    def add_each(self, jobs: list[Data], callers: int) -> None:
        async def caller(mine: list[Data]) -> None:
            for data in mine:
                await self.add(data)

        async def run() -> None:
            await self.open()
            began = time.monotonic()
            await asyncio.gather(*(caller(jobs[number::callers]) for number in range(callers)))
            _tell_rate(len(jobs), began)

        self.run(run())

    def add_all(self, jobs: list[Data]) -> None:
        async def run() -> None:
            await self.open()
            began = time.monotonic()
            for start in range(0, len(jobs), CHUNK):
                await self.add_many(jobs[start : start + CHUNK])
            _tell_rate(len(jobs), began)

        self.run(run())

    def drip(self, jobs: int, gap: float) -> None:
        async def run() -> None:
            await self.open()
            for _ in range(jobs):
                await asyncio.sleep(gap)
                await self.add({"sent": time.monotonic_ns()})
            _tell_rate(jobs, time.monotonic() - 1)

        self.run(run())

    def run(self, coroutine: Any) -> None:
        """Run on the event loop that the system's documentation recommends."""
        asyncio.run(coroutine)


class SyncSystem(System):
    """A system whose producers are ordinary functions; its jobs call handle()."""

    @abstractmethod
    def add(self, data: Data) -> None:
        """Add one job."""

    def add_many(self, jobs: list[Data]) -> None:  # noqa: ARG002 - those who offer it take it
        """Add many jobs."""
        raise NotOffered("no bulk add")

    def handle(self, data: Data) -> None:
        """Do what every system's job does."""
        if self.meter.pause:
            time.sleep(self.meter.pause)
        self.meter.hit(data)

    def add_each(self, jobs: list[Data], callers: int) -> None:
        began = time.monotonic()
        if callers == 1:
            for data in jobs:
                self.add(data)
        else:
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(self.add, jobs))
        _tell_rate(len(jobs), began)

    def add_all(self, jobs: list[Data]) -> None:
        began = time.monotonic()
        for start in range(0, len(jobs), CHUNK):
            self.add_many(jobs[start : start + CHUNK])
        _tell_rate(len(jobs), began)

    def drip(self, jobs: int, gap: float) -> None:
        for _ in range(jobs):
            time.sleep(gap)
            self.add({"sent": time.monotonic_ns()})
        _tell_rate(jobs, time.monotonic() - 1)


def _tell_rate(jobs: int, began: float) -> None:
    tell({"rate": jobs / (time.monotonic() - began)})
    os._exit(0)  # before anything that belongs to an orderly end can fail


def perform(kind: type[System]) -> None:
    """Play the part that the command line names."""
    part, order = sys.argv[1], json.loads(sys.argv[2])
    jobs = order["jobs"]
    system = kind(order["url"], Meter(jobs, order.get("pause", 0.0)))
    try:
        match part:
            case "versions":
                tell({"versions": _versions(system)})
            case "fill":
                _fill(system, [{**data, "ready": True} for data in _plain(jobs)])
            case "work":
                system.work(order["concurrency"])
            case "each":
                system.add_each(_plain(jobs), order["callers"])
            case "bulk":
                system.add_all(_plain(jobs))
            case "drip":
                system.drip(jobs, order["gap"])
    except NotOffered as lack:
        tell({"lacks": str(lack)})


def _plain(jobs: int) -> list[Data]:
    return [{"n": number} for number in range(jobs)]


def _fill(system: System, jobs: list[Data]) -> None:
    if system.offers_bulk:
        system.add_all(jobs)
    else:
        system.add_each(jobs, CALLERS)


def _versions(system: System) -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415 - one part of many needs it

    return {package: version(package) for package in system.versions}
