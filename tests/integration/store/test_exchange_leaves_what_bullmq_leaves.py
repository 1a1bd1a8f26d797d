"""The differential test: the same operations through our exchange and through BullMQ's scripts.

Two queues get the same random history. One is driven by lua/exchange-12.lua with its shorter
ways open, the other by the official scripts called one by one. After every operation the two
must hold the same: every key, field, score, list, stream entry (ids aside) and time to live.

BULLQ_TEST_DIFFERENTIAL=5000 runs that many histories in place of the usual 600.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bullq.protocol.terms import FinishTerms
from bullq.store.connection import Store
from bullq.store.lua import fingerprint, is_proven, official
from bullq.store.scripts import (
    Claim,
    Delay,
    Finish,
    Retry,
    Return,
    Settlement,
)
from tests.support.servers import RedisServer
from tests.support.two_drivers import Ours, Side, Theirs

HISTORIES = int(os.environ.get("BULLQ_TEST_DIFFERENTIAL", "600"))
FEWEST, MOST = 34, 60  # operations of a history: 20,400 or more in all
LONG = 10_000_000  # ms: no lock and no limit ends while a history runs
START = 1_700_000_000_000
TTL_TOLERANCE = 60_000  # ms: two databases cannot be written at the same moment
PARENT_FLAGS = ("fpof", "cpof", "idof", "rdof")


@dataclass(frozen=True)
class Disturbed:
    """What somebody else does something to; *job_id* is an active job's, or 'none'."""

    side: Side
    job_id: str
    choice: int
    now: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.side, name)

    @property
    def job(self) -> str:
        return self.keys.job(self.job_id)


async def pause_or_resume(it: Disturbed) -> None:
    await (it.live.resume() if it.choice % 3 else it.live.pause())


async def resume(it: Disturbed) -> None:
    await it.live.resume()


async def bound_concurrency(it: Disturbed) -> None:
    await it.client.hset(it.keys.key("meta"), "concurrency", 1 + it.choice % 8)


async def unbound(it: Disturbed) -> None:
    await it.client.hdel(it.keys.key("meta"), "concurrency", "max", "duration")


async def lose_a_lock(it: Disturbed) -> None:
    await it.client.delete(f"{it.job}:lock")


async def check_for_stalled_jobs(it: Disturbed) -> None:
    names = "stalled wait active stalled-check meta paused marker events repeat"
    await it.client.delete(it.keys.key("stalled-check"))
    check = it.client.register_script(official("moveStalledJobsToWait-9"))
    await check(
        keys=[it.keys.key(name) for name in names.split()],
        args=[1, it.keys.base, it.now, LONG],
    )


async def remove_an_active_job(it: Disturbed) -> None:
    await it.client.delete(it.job)


async def leave_an_old_marker(it: Disturbed) -> None:
    # One at most: of two in a row moveToActive takes the second for a job.
    if await it.client.lpos(it.keys.key("wait"), "0:marker") is None:
        await it.client.rpush(it.keys.key("wait"), "0:marker")


async def take_the_marker(it: Disturbed) -> None:
    await it.client.delete(it.keys.key("marker"))


async def defer_a_failure(it: Disturbed) -> None:
    await it.client.hset(it.job, "defa", "a child failed")


async def add_a_child(it: Disturbed) -> None:
    await it.client.sadd(f"{it.job}:dependencies", it.keys.job("child"))


async def fail_a_child(it: Disturbed) -> None:
    await it.client.zadd(f"{it.job}:unsuccessful", {it.keys.job("child"): 1})


DISTURBANCES = (
    pause_or_resume,
    resume,
    bound_concurrency,
    unbound,
    lose_a_lock,
    check_for_stalled_jobs,
    remove_an_active_job,
    leave_an_old_marker,
    take_the_marker,
    defer_a_failure,
    add_a_child,
    fail_a_child,
)


@dataclass
class History:
    """The two queues, and what a worker of them would know."""

    ours: Ours
    theirs: Theirs
    now: int = START
    added: int = 0
    tokens: int = 0
    parents: list[str] = field(default_factory=list)
    active: list[tuple[str, str]] = field(default_factory=list)
    terms: dict[str, FinishTerms] = field(default_factory=dict)

    async def add(self, kind: int, choice: int) -> None:
        self.added += 1
        name = f"job-{self.added}"
        opts: dict[str, Any] = {"jobId": name, "timestamp": self.now, "attempts": 1 + choice % 3}
        match kind:
            case 0:
                opts["priority"] = 1 + choice % 5
            case 1:
                opts["delay"] = 1 + choice % 5_000
            case 2:
                opts["lifo"] = True
            case 3:
                opts["deduplication"] = {"id": f"d{choice % 3}"}
            case 4:
                opts["deduplication"] = {"id": f"k{choice % 2}", "keepLastIfActive": True}
            case 5 if self.parents:
                opts["parent"] = self.parents[choice % len(self.parents)]
                flag = ("failParentOnFailure", "ignoreDependencyOnFailure", "none")[choice % 3]
                opts |= {flag: True} if flag != "none" else {}
        if kind == 6:
            self.parents.append(name)
        for side in (self.ours, self.theirs):
            await side.add(name, opts, as_parent=kind == 6)

    async def exchange(self, settle: list[tuple[int, int]], wanted: int, *, limited: bool) -> None:
        settlements = [self._settlement(verb, choice) for verb, choice in settle if self.active]
        tokens = [f"t{self.tokens + number}" for number in range(wanted)]
        self.tokens += wanted
        claim = Claim(
            lock_duration_ms=LONG,
            worker="w",
            limiter={"max": 40, "duration": LONG} if limited else None,
            plain=True,
            now_ms=self.now,
        )
        ours = await self.ours.exchange(settlements, tokens, claim)
        theirs = await self.theirs.exchange(settlements, tokens, claim)
        # A job given back answers how long the rate limit lasts: that goes by the real clock.
        assert [_sign(one) for one in ours[0]] == [_sign(one) for one in theirs[0]]
        assert ours[1] == theirs[1]
        assert abs(ours[2] - theirs[2]) < TTL_TOLERANCE
        assert ours[3] == theirs[3]
        self.active += [(job_id, token) for job_id, token, _ in ours[1]]

    def _settlement(self, verb: int, choice: int) -> Settlement:
        job_id, token = self.active.pop(choice % len(self.active))
        if choice % 17 == 0:
            token = "somebody-else"
        keep: Any = [{"count": 0}, {"count": -1}, {"count": 3}, {"count": 5, "age": 1_000}][
            choice // 3 % 4
        ]
        fields = {"failedReason": f"no {choice}", "stacktrace": "[]"}
        match verb:
            case 0 | 1 | 2:
                completed = verb < 2
                return Finish(
                    job_id,
                    token,
                    {} if completed else fields,
                    completed=completed,
                    value=str(choice),
                    terms=self._terms(keep, 1 + choice % 3),
                )
            case 3:
                return Retry(job_id, token, fields, lifo=choice % 2 == 0)
            case 4:
                return Delay(job_id, token, fields, delay_ms=choice % 3_000)
            case _:
                return Return(job_id, token)

    def _terms(self, keep: Any, attempts: int) -> FinishTerms:
        """Give the same object for the same terms, as jobs with the same options have."""
        made = FinishTerms(keep, attempts, dict.fromkeys(PARENT_FLAGS, False))
        return self.terms.setdefault(f"{keep} {attempts}", made)

    async def disturb(self, kind: int, choice: int) -> None:
        """Do what others do to a queue: pause it, bound it, lose locks, remove jobs."""
        job_id = self.active[choice % len(self.active)][0] if self.active else "none"
        for side in (self.ours, self.theirs):
            await DISTURBANCES[kind](Disturbed(side, job_id, choice, self.now))

    async def compare(self) -> None:
        ours, theirs = await self.ours.dump(), await self.theirs.dump()
        assert list(ours) == list(theirs)
        for key, (kind, ttl, held) in ours.items():
            other_kind, other_ttl, other_held = theirs[key]
            assert (key, kind, held) == (key, other_kind, other_held)
            assert (ttl < 0) == (other_ttl < 0)
            assert abs(ttl - other_ttl) < TTL_TOLERANCE, key


def _sign(answer: Any) -> Any:
    return min(answer, 0) if isinstance(answer, int) else answer


choices = st.integers(0, 10_000)
operations = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 9), choices),
    st.tuples(st.just("add"), st.integers(7, 9), choices),
    st.tuples(
        st.just("exchange"),
        st.lists(st.tuples(st.integers(0, 5), choices), max_size=6),
        st.integers(0, 6),
        st.integers(0, 9).map(lambda number: number == 0),
    ),
    st.tuples(
        st.just("exchange"),
        st.lists(st.tuples(st.integers(0, 2), choices), max_size=6),
        st.integers(0, 6),
        st.just(value=False),
    ),
    st.tuples(st.just("disturb"), st.integers(0, len(DISTURBANCES) - 1), choices),
    st.tuples(st.just("pass"), st.integers(0, 4_000)),
)


async def live_through(url: str, history: list[tuple[Any, ...]]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                redis.asyncio.Redis.from_url(url, db=number, decode_responses=True, protocol=2)
            )
            for number in (14, 15)
        ]
        for client in clients:
            await client.flushdb()
        store = Store(f"{url.removesuffix('/0')}/14")
        stack.push_async_callback(store.aclose)
        both = History(Ours(clients[0], store), Theirs(clients[1]))
        for operation, *arguments in history:
            if operation == "pass":
                both.now += arguments[0]
                continue
            if operation == "exchange":
                settle, wanted, limited = arguments
                await both.exchange(settle, wanted, limited=limited)
            else:
                await getattr(both, operation)(*arguments)
            await both.compare()


@pytest.mark.slow
def test_the_same_histories_leave_the_same_databases(valkey: RedisServer) -> None:
    assert is_proven("exchange-12"), (
        "The installed official scripts are others than those the shorter ways were proven "
        "against. If the rest of this test holds, put their fingerprint "
        f"{fingerprint('exchange-12')!r} into bullq/store/lua.py."
    )

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.lists(operations, min_size=FEWEST, max_size=MOST))
    def run(history: list[tuple[Any, ...]]) -> None:
        asyncio.run(live_through(valkey.url, history))

    run()
