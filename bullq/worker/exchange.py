"""The one actor that talks about jobs with Redis: it settles ended ones and claims new ones."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bullq.errors import StoreUnavailable
from bullq.protocol.codes import LOST_OWNERSHIP
from bullq.store.pipelined import UnknownScript
from bullq.store.scripts import Claimed, Exchanged, Return, Settlement, exchanged

if TYPE_CHECKING:
    from bullq.queues.queue import JobQueue
    from bullq.store.scripts import WorkerScripts
    from bullq.worker.health import Health

MOST_PER_CALL = 50
"""Jobs settled, and jobs claimed, in one call at most: it holds Redis for about 2 ms."""

_FEWEST_CALLS, _MOST_CALLS, _FEWEST_PER_CALL = 2, 4, 5
"""Slots are shared among so many calls: while Redis serves one, the jobs of others run.

More and smaller calls let jobs begin sooner, fewer and larger ones cost less.
"""

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5  # seconds between attempts while Redis does not serve

_LONGEST_LIMIT = 30.0
"""Seconds after which a limited queue is asked anyway: somebody may have lifted the limit."""

Report = Callable[["int | str"], None]
"""Hears what Redis answered to a settlement: a number, negative when refused, or an error."""


class Exchange:
    """Settles and claims in the same call while jobs run.

    It never claims without a free slot. A queue with jobs is asked for twice as many each time,
    so that one lone job costs three calls at any concurrency; an empty one is asked again when
    its marker says so (wakeup.py) or a job of ours has ended. A call goes out as soon as there
    is something to say: at once when an answer has come, and at the end of the event loop's turn
    when jobs have ended, so that those which end together travel together.
    """

    def __init__(
        self,
        queue: JobQueue,
        scripts: WorkerScripts,
        health: Health,
        *,
        concurrency: int,
        on_claimed: Callable[[Claimed], None],
        on_answered: Callable[[], None],
        token_prefix: str | None = None,
    ) -> None:
        self._queue = queue
        self._scripts = scripts
        self._concurrency = concurrency
        calls = min(max(concurrency // _FEWEST_PER_CALL, _FEWEST_CALLS), _MOST_CALLS)
        self._most_calls = calls
        self._most = min(MOST_PER_CALL, -(-concurrency // calls))
        self._on_claimed = on_claimed
        self._on_answered = on_answered
        self._health = health
        self._loop = asyncio.get_running_loop()
        self._pending: deque[tuple[Settlement, Report]] = deque()
        self._calls: set[_Call] = set()
        self._again: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] | None = None
        self._is_due = False
        self._budget = 1
        self._asked_for = 0
        self._looks_again = False
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
        return not self._pending and not self._calls

    @property
    def is_limited(self) -> bool:
        """Whether the queue's rate limit lets no job begin now."""
        return self._loop.time() < self._limited_until

    def server_ms(self) -> int:
        """Give the server's time in ms since the epoch, as well as it is known here."""
        return round(time.monotonic() * 1000 + self._server_offset_ms)

    def settle(self, settlement: Settlement, report: Report, *, frees_slot: bool = True) -> None:
        """Record how a job ended, soon; *report* hears the answer."""
        self._pending.append((settlement, report))
        if frees_slot:
            self._running -= 1
        if self._running and len(self._pending) < self._most:
            self._soon()
        else:
            self._exchange()  # nothing else can go with it

    def free_slot(self) -> None:
        """Note that a job ended of which there is nothing to record."""
        self._running -= 1
        self._soon()

    def look(self) -> None:
        """Ask the queue for a job: there may be one."""
        self._budget = max(self._budget, 1)
        # What is under way may have looked before the job came, and must not answer for this.
        self._looks_again = bool(self._calls)
        self._soon()

    def expect(self, due_ms: int) -> None:
        """Ask the queue when a delayed job is due (server ms), to the millisecond.

        Redis itself ends a blocking read only at its next tick, up to 100 ms late.
        """
        due = self._loop.time() + max(0.001, (due_ms - self.server_ms()) / 1000)
        if self._alarm is not None and self._loop.time() < self._alarm.when() <= due:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due, self.look)

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
        """Exchange until cancelled; raise what no exchange can cope with."""
        self._ended = self._loop.create_future()
        self._soon()
        try:
            await self._ended
        finally:
            self._ended = None
            for task in self._again:
                task.cancel()

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._exchange)

    def _exchange(self) -> None:
        """Begin calls for as long as there is something to settle or to claim."""
        self._is_due = False
        if self._ended is None or self._ended.done():
            return
        while len(self._calls) < self._most_calls and self._is_worth_a_call():
            self._begin()

    def _is_worth_a_call(self) -> bool:
        """Whether to call now: beside a call that is under way only with as much as one takes."""
        least = self._most if self._calls else 1
        return len(self._pending) >= least or self._wanted() >= least

    def _wanted(self, at_least: int = 0) -> int:
        if not self.has_free_slot() or self.is_limited:
            return 0
        budget = max(self._budget - self._asked_for, at_least)
        return min(budget, self._concurrency - self._running, self._most)

    def _begin(self) -> None:
        self.idle.clear()
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), self._most))]
        # The end of a job can be what the next one waited for (global concurrency).
        wanted = self._wanted(at_least=1 if batch else 0)
        # Claimed slots count as taken while the call is under way.
        self._running += wanted
        if wanted:
            self._looks_again = False
        call = _Call(self, batch, self._new_tokens(wanted))
        self._calls.add(call)
        self._asked_for += wanted
        if not self._scripts.begin_exchange(call.settlements, call.tokens, call):
            self._repeat(call)

    def answered(self, call: _Call, answer: Exchanged) -> None:
        """Take what a call of ours gave."""
        self._calls.discard(call)
        wanted = len(call.tokens)
        self._asked_for -= wanted
        try:
            self._health.answered()
            self._running -= wanted - len(answer.claimed)
            for (_, report), one in zip(call.batch, answer.answers, strict=True):
                report(one)
            self._note(answer, wanted)
            # What goes back goes newest first, so that the oldest comes next again.
            for claimed in answer.claimed if self._claiming else reversed(answer.claimed):
                self._hand_over(claimed)
            self._on_answered()
            self._exchange()
        except Exception as error:  # noqa: BLE001 - the worker ends by it
            self.fail(error)

    def failed(self, call: _Call, error: Exception) -> None:
        """Take it that a call of ours was not answered, or not executed."""
        self._repeat(call, error)

    def fail(self, error: BaseException) -> None:
        """End the exchange by what it cannot cope with."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _note(self, answer: Exchanged, wanted: int) -> None:
        self._server_offset_ms = answer.server_ms - time.monotonic() * 1000
        if not wanted:
            return
        if len(answer.claimed) == wanted:
            self._budget = min(max(self._budget, wanted * 2), self._concurrency)
            return
        self._budget = int(self._looks_again)
        if answer.next_delayed:
            self.expect(answer.next_delayed)
        if answer.limited_for_ms:
            self._limit(answer.limited_for_ms / 1000)
        elif self._claiming and not self._looks_again:
            self.idle.set()

    def _limit(self, seconds: float) -> None:
        self._limited_until = self._loop.time() + min(seconds, _LONGEST_LIMIT)
        self._loop.call_at(self._limited_until, self.look)

    def _hand_over(self, claimed: Claimed) -> None:
        if self._claiming:
            self._on_claimed(claimed)
        else:
            self.settle(Return(claimed.record.id, claimed.token), lambda _: None)

    def _repeat(self, call: _Call, error: Exception | None = None) -> None:
        """Have a call made, or made again, by a task."""
        task = self._loop.create_task(self._made(call, error), name="bullq exchange again")
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _made(self, call: _Call, error: Exception | None) -> None:
        try:
            answer = await self._insist(call, error)
        except Exception as unknown:  # noqa: BLE001 - the worker ends by it
            self.fail(unknown)
        else:
            self.answered(call, answer)

    async def _insist(self, call: _Call, error: Exception | None) -> Exchanged:
        """Make one exchange, again and again until Redis answers.

        An unanswered call may have been executed. Sending it again is safe: a claim finds the
        jobs it has by their locks' tokens, and a settlement that was made finds the lock gone.
        """
        pause = _FIRST_PAUSE
        resent = False
        while True:
            try:
                with self._queue.store.errors():
                    if error is not None:
                        raise error
                    answer = await self._scripts.exchange(
                        call.settlements, call.tokens, resent=resent
                    )
            except UnknownScript:
                error = None  # the other way of calling it sends the text
            except StoreUnavailable as unavailable:
                error = None
                self._health.failed(unavailable)
                resent = resent or unavailable.in_doubt
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
            else:
                if resent:
                    answers = [0 if one in LOST_OWNERSHIP else one for one in answer.answers]
                    return replace(answer, answers=answers)
                return answer

    def _new_tokens(self, count: int) -> list[str]:
        """Make one lock token per job: jobs that share one cannot be told apart."""
        first = self._token_number + 1
        self._token_number += count
        return [f"{self._token_prefix}:{first + number}" for number in range(count)]


class _Call:
    """One call under way, and who waits for its reply at the connection."""

    __slots__ = ("batch", "exchange", "settlements", "tokens")

    def __init__(
        self, exchange: Exchange, batch: list[tuple[Settlement, Report]], tokens: list[str]
    ) -> None:
        self.exchange = exchange
        self.batch = batch
        self.settlements = [settlement for settlement, _ in batch]
        self.tokens = tokens

    def done(self) -> bool:
        return False

    def set_result(self, reply: Any) -> None:
        self.exchange.answered(self, exchanged(reply))

    def set_exception(self, error: Exception) -> None:
        self.exchange.failed(self, error)
