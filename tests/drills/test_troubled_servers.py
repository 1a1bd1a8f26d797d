"""Dispatches while their Redis stands still, only reads, is full, or its workers are killed.

Each trouble comes in the middle of a load and goes again. Workers are of one client, or of all.
Usually 90 dispatches each; BULLQ_TEST_DRILLS=long: 3,000.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.drills.checker import Verdict
from tests.drills.conftest import LONG
from tests.drills.history import ACCEPTED, ASKED, STARTED, jobs_that
from tests.drills.sending import send, send_all
from tests.drills.site import Site, caught, job_ids, say
from tests.drills.variants import broken
from tests.support.deadline import DEADLINE
from tests.support.no_silent_skips import NODE, need

DISPATCHES = 3_000 if LONG else 90
AT_ONCE = 15
TROUBLE = 0.4  # seconds that it lasts
ALL = ("bullq", "python", "bullmq", "bullmq5")

Trouble = Callable[[Site], AbstractAsyncContextManager[None]]


async def configured(place: Site, **values: Any) -> None:
    client = place.own.store.client()
    for name, value in values.items():
        await client.config_set(name.replace("_", "-"), value)


@contextlib.asynccontextmanager
async def stopped(place: Site) -> AsyncIterator[None]:
    """SIGSTOP: connections are accepted, and nothing is answered."""
    place.server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        place.server.signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def paused(place: Site) -> AsyncIterator[None]:
    """CLIENT PAUSE: who writes waits, and is served after that."""
    await place.own.store.client().execute_command("CLIENT", "PAUSE", int(TROUBLE * 1000), "WRITE")
    yield


@contextlib.asynccontextmanager
async def read_only(place: Site) -> AsyncIterator[None]:
    """A replica of nobody: it reads, and refuses to write."""
    client = place.own.store.client()
    await client.execute_command("REPLICAOF", "127.0.0.1", 1)
    try:
        yield
    finally:
        await client.execute_command("REPLICAOF", "NO", "ONE")


@contextlib.asynccontextmanager
async def without_replicas(place: Site) -> AsyncIterator[None]:
    """A master that may not write as long as nobody copies it."""
    await configured(place, min_replicas_to_write=1)
    try:
        yield
    finally:
        await configured(place, min_replicas_to_write=0)


@contextlib.asynccontextmanager
async def full(place: Site) -> AsyncIterator[None]:
    """No memory left, and nothing may be evicted."""
    await configured(place, maxmemory=1)
    try:
        yield
    finally:
        await configured(place, maxmemory=0)


TROUBLES: dict[str, Trouble] = {
    "stopped": stopped,
    "paused": paused,
    "read-only": read_only,
    "without-replicas": without_replicas,
    "full": full,
}


async def asked(place: Site, count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(jobs_that(place.history.entries(), ASKED)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def drill(place: Site, trouble: Trouble, chance: random.Random) -> Verdict:
    jobs = [(chance.choice(["errand", "prompt"]), one) for one in job_ids(DISPATCHES)]
    before = len(jobs_that(place.history.entries(), ASKED))
    async with place.dispatcher() as app:
        sending = asyncio.create_task(
            send_all(app, place.history, jobs, at_once=AT_ONCE, pace=0.05)
        )
        await asked(place, before + DISPATCHES // 4)
        async with trouble(place):
            await asyncio.sleep(TROUBLE)
        await sending
    verdict = await place.judged()
    say(verdict)
    return verdict


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_troubled_server_loses_nothing(
    own_place: Site, chance: random.Random, name: str
) -> None:
    async with own_place.worker():
        verdict = await drill(own_place, TROUBLES[name], chance)
    assert not verdict.faults, verdict
    assert verdict.counts["asked"] == DISPATCHES


@pytest.mark.parametrize("kinds", [ALL[2:], ALL] if LONG else [ALL])
async def test_workers_of_other_clients_lose_nothing(
    own_place: Site, chance: random.Random, kinds: tuple[str, ...]
) -> None:
    need(NODE)
    async with contextlib.AsyncExitStack() as stack:
        for kind in kinds:
            await stack.enter_async_context(own_place.worker_process(kind))
        await own_place.workers(len(kinds))
        verdict = await drill(own_place, stopped, chance)
    assert not verdict.faults, verdict
    workers = {one.by for one in own_place.history.entries() if one.engine == "bullmq"}
    assert workers


async def test_troubled_servers_catch_unguarded_event(
    own_place: Site, chance: random.Random
) -> None:
    with broken("unguarded_event"):
        async with own_place.worker():
            assert await caught("both", lambda: drill(own_place, stopped, chance))


@pytest.mark.parametrize("kind", ALL if LONG else ["bullmq"])
async def test_jobs_of_a_killed_worker_are_begun_again_on_the_same_engine(
    own_place: Site, kind: str
) -> None:
    if kind.startswith("bullmq"):
        need(NODE)
    jobs = job_ids(11)
    async with own_place.dispatcher() as app, own_place.worker_process(kind) as process:
        await send(app, own_place.history, "local", jobs[0])
        await own_place.begun(1)  # the worker is at work
        await asyncio.gather(
            *(send(app, own_place.history, "errand", one, pause=1) for one in jobs[1:])
        )
        await own_place.kill(process)
        async with own_place.worker_process("bullq"):  # whoever comes takes them back
            verdict = await own_place.judged()
    say(verdict)
    assert not verdict.faults, verdict
    entries = own_place.history.entries()
    begun_again = [one.job for one in entries if one.what == STARTED and one.by != process.pid]
    assert begun_again
    assert set(begun_again) <= jobs_that(entries, ACCEPTED, engine="bullmq")
    assert verdict.counts["on bullmq"] == len(jobs)
