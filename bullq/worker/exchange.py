"""The one actor that talks about jobs with Redis: it settles ended ones and claims new ones."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bullq.errors import StoreUnavailable
from bullq.protocol.codes import LOST_OWNERSHIP
from bullq.store.scripts import Claim, Claimed, Exchanged, Return, Settlement

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import WorkerScripts
    from bullq.worker.health import Health

MOST_PER_CALL = 50
"""Jobs settled, and jobs claimed, in one call at most: it holds Redis for about 2 ms."""

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5  # seconds between attempts while Redis does not serve

_LONGEST_LIMIT = 30.0
"""Seconds after which a limited queue is asked anyway: somebody may have lifted the limit."""

Report = Callable[["int | str"], None]
"""Hears what Redis answered to a settlement: a number, negative when refused, or an error."""


class Exchange:
    """Settles and claims in the same call, one call at a time, while jobs run.

    It never claims without a free slot. A queue with jobs is asked for twice as many each time,
    so that one lone job costs three calls at any concurrency; an empty one is asked again when
    its marker says so (wakeup.py) or a job of ours has ended.
    """

    def __init__(
        self,
        queue: JobQueue,
        scripts: WorkerScripts,
        health: Health,
        *,
        claim: Claim,
        concurrency: int,
        on_claimed: Callable[[Claimed], None],
        on_answered: Callable[[], None],
        token_prefix: str | None = None,
    ) -> None:
        self._queue = queue
        self._scripts = scripts
        self._claim = claim
        self._concurrency = concurrency
        self._on_claimed = on_claimed
        self._on_answered = on_answered
        self._health = health
        self._pending: deque[tuple[Settlement, Report]] = deque()
        self._under_way = False
        self._wake = asyncio.Event()
        self._wake.set()
        self._budget = 1
        self._running = 0
        self._claiming = True
        self._token_prefix = token_prefix or uuid.uuid4().hex
        self._token_number = 0
        # Not from this machine's own time of day, which somebody may set meanwhile.
        self._server_offset_ms = (time.time() - time.monotonic()) * 1000
        self._limited_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.idle = asyncio.Event()
        """Set while the queue gave less than was asked for, and slots are free."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits to be recorded and no call is under way, which may claim jobs."""
        return not self._pending and not self._under_way

    @property
    def is_limited(self) -> bool:
        """Whether the queue's rate limit lets no job begin now."""
        return asyncio.get_running_loop().time() < self._limited_until

    def server_ms(self) -> int:
        """Give the server's time in ms since the epoch, as well as it is known here."""
        return round(time.monotonic() * 1000 + self._server_offset_ms)

    def settle(self, settlement: Settlement, report: Report, *, frees_slot: bool = True) -> None:
        """Record how a job ended, soon; *report* hears the answer."""
        self._pending.append((settlement, report))
        if frees_slot:
            self._running -= 1
        self._wake.set()

    def free_slot(self) -> None:
        """Note that a job ended of which there is nothing to record."""
        self._running -= 1
        self._wake.set()

    def look(self) -> None:
        """Ask the queue for a job: there may be one."""
        self._budget = max(self._budget, 1)
        self._wake.set()

    def expect(self, due_ms: int) -> None:
        """Ask the queue when a delayed job is due (server ms), to the millisecond.

        Redis itself ends a blocking read only at its next tick, up to 100 ms late.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.001, (due_ms - self.server_ms()) / 1000)
        if self._alarm is not None and loop.time() < self._alarm.when() <= due:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(due, self.look)

    def has_free_slot(self) -> bool:
        """Tell whether another job could run."""
        return self._claiming and self._running < self._concurrency

    def stop_claiming(self) -> None:
        """Claim no more; what a call under way brings goes back to the queue."""
        self._claiming = False
        self.idle.clear()

    def claim_again(self) -> None:
        """Claim as before."""
        self._claiming = True
        self.look()

    async def run(self) -> None:
        """Exchange for as long as there is something to settle or to claim, then wait."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending or self._wanted():
                await self._once()

    def _wanted(self) -> int:
        if not self.has_free_slot() or self.is_limited:
            return 0
        return min(self._budget, self._concurrency - self._running, MOST_PER_CALL)

    async def _once(self) -> None:
        self.idle.clear()
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), MOST_PER_CALL))]
        if batch:
            # The end of a job can be what the next one waited for (global concurrency).
            self._budget = max(self._budget, 1)
        wanted = self._wanted()
        claim = replace(self._claim, tokens=self._new_tokens(wanted))
        # Claimed slots count as taken while the call is under way.
        self._running += wanted
        self._under_way = True
        exchanged = await self._call([settlement for settlement, _ in batch], claim)
        self._under_way = False
        self._running -= wanted - len(exchanged.claimed)
        for (_, report), answer in zip(batch, exchanged.answers, strict=True):
            report(answer)
        self._note(exchanged, wanted)
        # What goes back goes newest first, so that the oldest comes next again.
        for claimed in exchanged.claimed if self._claiming else reversed(exchanged.claimed):
            self._hand_over(claimed)
        self._on_answered()

    def _note(self, exchanged: Exchanged, wanted: int) -> None:
        self._server_offset_ms = exchanged.server_ms - time.monotonic() * 1000
        if not wanted:
            return
        if len(exchanged.claimed) == wanted:
            self._budget = min(wanted * 2, self._concurrency)
            return
        self._budget = 0
        if exchanged.next_delayed:
            self.expect(exchanged.next_delayed)
        if exchanged.limited_for_ms:
            self._limit(exchanged.limited_for_ms / 1000)
        elif self._claiming:
            self.idle.set()

    def _limit(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._limited_until = loop.time() + min(seconds, _LONGEST_LIMIT)
        loop.call_at(self._limited_until, self.look)

    def _hand_over(self, claimed: Claimed) -> None:
        if self._claiming:
            self._on_claimed(claimed)
        else:
            back = Return(job_id=claimed.record.id, token=claimed.token)
            self.settle(back, lambda _: None)

    async def _call(self, settlements: Sequence[Settlement], claim: Claim) -> Exchanged:
        """Make one exchange, again and again until Redis answers.

        An unanswered call may have been executed. Sending it again is safe: a claim finds the
        jobs it has by their locks' tokens, and a settlement that was made finds the lock gone.
        """
        pause = _FIRST_PAUSE
        resent = False
        while True:
            try:
                with self._queue.store.errors():
                    exchanged = await self._scripts.exchange(
                        settlements, replace(claim, resent=resent)
                    )
            except StoreUnavailable as error:
                self._health.failed(error)
                resent = resent or error.in_doubt
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
            else:
                self._health.answered()
                if resent:
                    answers = [0 if one in LOST_OWNERSHIP else one for one in exchanged.answers]
                    return replace(exchanged, answers=answers)
                return exchanged

    def _new_tokens(self, count: int) -> list[str]:
        """Make one lock token per job: jobs that share one cannot be told apart."""
        first = self._token_number + 1
        self._token_number += count
        return [f"{self._token_prefix}:{first + number}" for number in range(count)]
