"""The differential test of adding: the same jobs through our script and through BullMQ's.

Two queues get the same random history. Jobs come to one of them many in a call, by
lua/addJobs-12.lua with its shorter way open, and to the other one by one, by the official script
for each. After every operation the two must hold the same: every key, field, score, list, stream
entry (ids aside) and time to live; JSON in options counts as equal whatever the order of its keys.

BULLQ_TEST_DIFFERENTIAL=5000 runs that many histories in place of the usual 100.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from bullq.store.adding import AddScript, JobKind, NewJob, answers
from bullq.store.connection import Store
from bullq.store.lua import fingerprint, is_proven, official
from tests.support.servers import RedisServer
from tests.support.two_drivers import PREFIX, Side

HISTORIES = int(os.environ.get("BULLQ_TEST_DIFFERENTIAL", "100"))
FEWEST, MOST = 8, 16  # operations of a history
TTL_TOLERANCE = 60_000  # ms: two databases cannot be written at the same moment
START = 1_700_000_000_000
IDS = [*(f"job-{number}" for number in range(24)), 'a"b', "a/b", "ключ", "\x01id\x01", "\\"]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"attempts": 3, "backoff": {"type": "exponential", "delay": 1_000, "jitter": 0.5}},
    {"removeOnComplete": {"count": 5, "age": 60}, "removeOnFail": True, "keepLogs": 1_000},
    {"lifo": True},
    {"lifo": True, "timestamp": START},
    {"timestamp": START + 1, "attempts": 2, "lifo": False, "priority": 0, "delay": 0},
    {"backoff": {"type": "fixed", "delay": 1 / 3}},
    {"timestamp": START, "delay": 5_000},
    {"timestamp": START + 2_000, "delay": 3_000, "lifo": True, "attempts": 3},
    {"delay": 1},
    {"timestamp": START, "delay": 0.1},
    {"timestamp": START, "delay": 5_000, "priority": 2},
    {"priority": 3},
    {"deduplication": {"id": "d"}},
    {"deduplication": {"id": "e", "ttl": 10_000_000}},
    {"parent": {"id": IDS[0], "queue": f"{PREFIX}:q"}},
]
KINDS = [JobKind(f"kind-{place}", options) for place, options in enumerate(OPTIONS)]  # type: ignore[arg-type] # a child's, too
COMMON = [place for place, kind in enumerate(KINDS) if kind.is_common]
_KEYS = {
    "standard": "wait paused meta id completed delayed active events marker",
    "delayed": "marker meta id delayed completed events",
    "prioritized": "marker meta id prioritized delayed completed active events pc",
}
_SCRIPTS = {
    "standard": "addStandardJob-9",
    "delayed": "addDelayedJob-6",
    "prioritized": "addPrioritizedJob-9",
}


@dataclass(frozen=True)
class Both:
    """The queue that our script adds to, and the one of the official scripts."""

    ours: Side
    theirs: Side
    script: AddScript

    async def add(self, picked: list[tuple[int, str]]) -> None:
        jobs = [
            NewJob(KINDS[kind], job_id, json.dumps({"n": f"{place} \u2028 ключ"}))
            for place, (kind, job_id) in enumerate(picked)
        ]
        before = time.time_ns() // 1_000_000
        ours = answers(jobs, await self.script.add_jobs(jobs))
        stamp = await self._stamp(jobs, before)
        theirs = [await self._officially(job, stamp) for job in jobs]
        assert list(map(_plain, ours)) == theirs

    async def _stamp(self, jobs: list[NewJob], before: int) -> int:
        """Give the time that our script took for that of all jobs without one."""
        for job in jobs:
            if "timestamp" not in job.kind.options:
                with contextlib.suppress(ResponseError):
                    stamp = await self.ours.client.hget(self.ours.keys.job(job.id), "timestamp")
                    if stamp and before <= int(stamp) <= time.time_ns() // 1_000_000:
                        return int(stamp)
        return before

    async def _officially(self, job: NewJob, stamp: int) -> Any:
        kind, *arguments = job.packed(self.theirs.keys, stamp)
        run = self.theirs.client.register_script(official(_SCRIPTS[kind]))
        keys = [self.theirs.keys.key(name) for name in _KEYS[kind].split()]
        try:
            return await run(keys=keys, args=arguments)
        except ResponseError:
            return "!"

    async def disturb(self, kind: int, choice: int) -> None:
        for side in (self.ours, self.theirs):
            await DISTURBANCES[kind](side, side.keys.job(IDS[choice % len(IDS)]), choice)

    async def compare(self) -> None:
        ours, theirs = await self.ours.dump(), await self.theirs.dump()
        assert list(ours) == list(theirs)
        for key, (kind, ttl, held) in ours.items():
            other_kind, other_ttl, other_held = theirs[key]
            assert (key, kind, _read(kind, held)) == (key, other_kind, _read(kind, other_held))
            assert (ttl < 0) == (other_ttl < 0)
            assert abs(ttl - other_ttl) < TTL_TOLERANCE, key


def _plain(answer: Any) -> Any:
    return "!" if isinstance(answer, str) and answer.startswith("!") else answer


def _read(kind: str, held: Any) -> Any:
    """Read a hash, whose order is Redis' own, and the JSON in it of a job's options."""
    if kind != "hash":
        return held
    fields = dict(zip(held[::2], held[1::2], strict=True))
    return fields | ({"opts": json.loads(fields["opts"])} if "opts" in fields else {})


async def pause_or_resume(it: Side, _: str, choice: int) -> None:
    await (it.live.resume() if choice % 2 else it.live.pause())


async def bound_concurrency(it: Side, _: str, choice: int) -> None:
    await it.client.hset(it.keys.key("meta"), "concurrency", choice % 4)
    await it.client.lpush(it.keys.key("active"), *[f"busy-{place}" for place in range(3)])
    await it.client.ltrim(it.keys.key("active"), 0, choice // 4 % 4 - 1)
    await it.client.delete(it.keys.key("marker"))


async def unbound(it: Side, _: str, __: int) -> None:
    await it.client.hdel(it.keys.key("meta"), "concurrency")


async def keep_few_events(it: Side, _: str, choice: int) -> None:
    await it.client.hset(it.keys.key("meta"), "opts.maxLenEvents", choice % 10)


async def lose_meta(it: Side, _: str, __: int) -> None:
    await it.client.delete(it.keys.key("meta"))


async def take_the_marker(it: Side, _: str, __: int) -> None:
    await it.client.delete(it.keys.key("marker"))


async def pause_as_version_5(it: Side, job: str, _: int) -> None:
    await it.client.rpush(it.keys.key("paused"), job.rpartition(":")[2])


async def complete_all_that_wait(it: Side, _: str, choice: int) -> None:
    for job_id in await it.client.lrange(it.keys.key("wait"), 0, -1):
        await it.client.zadd(it.keys.key("completed"), {job_id: choice})
        with contextlib.suppress(ResponseError):
            await it.client.hset(it.keys.job(job_id), "returnvalue", "1")
    await it.client.delete(it.keys.key("wait"))


async def remove_a_job(it: Side, job: str, _: int) -> None:
    await it.client.delete(job)


async def leave_a_hash_that_is_no_job(it: Side, job: str, _: int) -> None:
    await it.client.delete(job)
    await it.client.hset(job, "ats", 1)


async def leave_something_else(it: Side, job: str, _: int) -> None:
    await it.client.set(job, "no hash")


async def make_a_child_of_it(it: Side, job: str, _: int) -> None:
    with contextlib.suppress(ResponseError):
        await it.client.hset(job, mapping={"parentKey": it.keys.job("gone"), "parent": "{}"})


DISTURBANCES = (
    pause_or_resume,
    bound_concurrency,
    unbound,
    keep_few_events,
    keep_few_events,
    lose_meta,
    take_the_marker,
    pause_as_version_5,
    complete_all_that_wait,
    remove_a_job,
    leave_a_hash_that_is_no_job,
    leave_something_else,
    make_a_child_of_it,
)

ids = st.sampled_from(IDS)
operations = st.one_of(
    st.tuples(
        st.just("add"),
        st.lists(st.tuples(st.integers(0, len(KINDS) - 1), ids), min_size=1, max_size=12),
    ),
    st.tuples(
        st.just("add"),
        st.lists(st.tuples(st.sampled_from(COMMON), ids), min_size=1, max_size=12),
    ),
    st.tuples(st.just("disturb"), st.integers(0, len(DISTURBANCES) - 1), st.integers(0, 10_000)),
)


async def connect(stores: list[Store]) -> Both:
    ours, theirs = (Side(store.client()) for store in stores)
    return Both(ours, theirs, AddScript(stores[0].pipelined(), ours.keys, plain=True))


async def live_through(both: Both, history: list[tuple[Any, ...]]) -> None:
    for side in (both.ours, both.theirs):
        await side.client.flushdb()
    for operation, *arguments in history:
        await getattr(both, operation)(*arguments)
        await both.compare()


@pytest.mark.slow
def test_jobs_added_in_one_call_leave_what_jobs_added_one_by_one_leave(
    valkey: RedisServer,
) -> None:
    assert is_proven("addJobs-12"), (
        "The installed official scripts are others than those the shorter way was proven "
        "against. If the rest of this test holds, put their fingerprint "
        f"{fingerprint('addJobs-12')!r} into bullq/store/lua.py."
    )

    stores = [Store(f"{valkey.url}/{database}") for database in (12, 13)]
    loop = asyncio.Runner()

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.lists(operations, min_size=FEWEST, max_size=MOST))
    def run(history: list[tuple[Any, ...]]) -> None:
        loop.run(live_through(both, history))

    with loop:
        both = loop.run(connect(stores))
        # Streams are trimmed by whole nodes: of 100 entries these histories would fill few.
        loop.run(both.ours.client.config_set("stream-node-max-entries", 5))
        try:
            run()
        finally:
            loop.run(both.ours.client.config_set("stream-node-max-entries", 100))
            for store in stores:
                loop.run(store.aclose())


def test_the_common_job_takes_the_shorter_way_and_no_other_does() -> None:
    assert [KINDS[place].options for place in COMMON] == [*OPTIONS[:6], *OPTIONS[7:10]]
