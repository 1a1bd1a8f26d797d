"""Check a job and its options, and put it on its queue, or have it handed to one engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bullq.dispatch.background import BackgroundLoop
from bullq.dispatch.ids import new_job_id
from bullq.dispatch.order import order_key_of
from bullq.dispatch.receipt import BullmqReceipt, HandoffReceipt
from bullq.dispatch.terms import TermsBook, is_switched_off
from bullq.dispatch.whereabouts import Whereabouts
from bullq.errors import DispatchError, DispatchInDoubt, InvalidOptionError, SettingsError
from bullq.jobs.dispatching import AS_DEFINED, Dispatcher, DispatchOptions, Receipt
from bullq.protocol.options import check_job_id
from bullq.queues.options import job_options
from bullq.queues.queue import JobQueue
from bullq.queues.results import ResultWatcher
from bullq.store.adding import JobKind, NewJob
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.dispatch.handoffs import Handoffs
    from bullq.dispatch.terms import Terms, UseBullmq
    from bullq.jobs.definition import JobDefinition

DataT = TypeVar("DataT")
ResultT = TypeVar("ResultT")

EventTaker = Callable[[JobQueue, str, str, str], Awaitable[bool]]
"""Takes an event (a job's id, the event's name, its payload as JSON text), or says it did not."""

_MOST_WAYS = 1_000  # to remember; an application has a few
_MOST_AT_ONCE = 500  # jobs of one dispatch_many that are handed over at the same time
_EVENT_MARGIN_MS = 60_000  # how far this machine's clock may be ahead of the server's


class BullmqDispatcher(Dispatcher):
    """Sends jobs to BullMQ queues; *live_queue* gives a queue on the running event loop.

    *handoffs* hands over jobs that may fall back, or whose pickup is to be confirmed, as *book*
    says. *elsewhere* is asked first to take an event for a job: another engine may have the job.
    """

    def __init__(
        self,
        live_queue: Callable[[str], JobQueue],
        *,
        book: TermsBook,
        handoffs: Callable[[], Handoffs],
        use_bullmq: UseBullmq = True,
        elsewhere: EventTaker | None = None,
    ) -> None:
        self._live_queue = live_queue
        self._book = book
        self._handoffs = handoffs
        self._use_bullmq = use_bullmq
        self._elsewhere = elsewhere
        self._watchers: PerLoop[dict[str, ResultWatcher]] = PerLoop(dict)
        self._background = BackgroundLoop()
        self._ways: PerLoop[dict[Any, tuple[JobQueue, JobKind, Terms]]] = PerLoop(dict)

    async def dispatch(
        self, job: JobDefinition[DataT, ResultT], data: DataT, options: DispatchOptions
    ) -> Receipt[ResultT]:
        """Queue one job, or hand it to whoever runs it."""
        order_key = order_key_of(job, data, options.order_key)
        queue, kind, terms = self._way(job, options, ordered=order_key is not None)
        new = NewJob(
            kind, new_job_id() if options.id is None else options.id, job.payload.write(data)
        )
        since_ms = _now_ms() - _EVENT_MARGIN_MS
        if not terms.is_plain:
            check_job_id(new.id)
            arrival = await self._handoffs().hand_over(job, queue, new, terms, order_key)
            return HandoffReceipt(self, job, arrival, since_ms)
        self._check_switch(job, queue)
        return BullmqReceipt(self, job, await queue.add(new), since_ms)

    async def dispatch_many(
        self, job: JobDefinition[DataT, ResultT], items: Sequence[DataT], options: DispatchOptions
    ) -> list[Receipt[ResultT]]:
        """Queue many jobs in few round trips."""
        queue, kind, terms = self._way(job, options)
        write = job.payload.write
        new = [NewJob(kind, new_job_id(), write(item)) for item in items]
        since_ms = _now_ms() - _EVENT_MARGIN_MS
        if not terms.is_plain:
            keys = [order_key_of(job, item, options.order_key) for item in items]
            if any(keys):
                ordered = self._way(job, options, ordered=True)[2]
                each = [
                    (one, ordered if key else terms, key)
                    for one, key in zip(new, keys, strict=True)
                ]
                return await self._hand_over_in_order(job, queue, each, since_ms)
            return await self._hand_over_many(job, queue, new, terms, since_ms)
        self._check_switch(job, queue)
        try:
            ids = await queue.add_many(new)
        except DispatchError as error:
            error.receipts = {
                place: BullmqReceipt(self, job, job_id, since_ms)
                for place, job_id in error.queued.items()
            }
            raise
        return [BullmqReceipt(self, job, job_id, since_ms) for job_id in ids]

    def here(self, queue_name: str) -> tuple[JobQueue, ResultWatcher]:
        """Give a queue, and who waits for its results, on the running event loop."""
        queue = self._live_queue(queue_name)
        watchers = self._watchers.here()
        if queue_name not in watchers:
            watchers[queue_name] = ResultWatcher(queue.store, queue.keys)
        return queue, watchers[queue_name]

    def whereabouts(self) -> Whereabouts:
        """Give who knows where jobs are that were handed over."""
        means = self._handoffs().means
        return Whereabouts(means.outbox, means.fallback)

    def receipt(self, job: JobDefinition[Any, ResultT], job_id: str) -> Receipt[ResultT]:
        """Give the receipt of a job that was sent just now."""
        return BullmqReceipt(self, job, job_id, _now_ms() - _EVENT_MARGIN_MS)

    async def send_event(
        self, job: JobDefinition[Any, Any], job_id: str, event: str, payload: str
    ) -> None:
        """Keep an event for a job, and wake it where it waits."""
        queue = self._live_queue(job.queue)
        if self._elsewhere is None or not await self._elsewhere(queue, job_id, event, payload):
            await queue.steps.send_event(job_id, event, payload)

    def run_sync(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine on a loop in the background, and wait for it."""
        return self._background.run(call)

    def close(self, close_connections: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End what dispatch_sync has started; *close_connections* runs on its event loop."""
        self._background.close(close_connections)

    async def _hand_over_many(
        self,
        job: JobDefinition[DataT, ResultT],
        queue: JobQueue,
        new: Sequence[NewJob],
        terms: Terms,
        since_ms: int,
    ) -> list[Receipt[ResultT]]:
        """Hand over jobs, a bounded number at once: each is settled on its own."""
        receipts: dict[int, Receipt[ResultT]] = {}
        errors: dict[int, DispatchError] = {}
        hand_over = self._handoffs().hand_over
        for start in range(0, len(new), _MOST_AT_ONCE):
            told = await asyncio.gather(
                *(hand_over(job, queue, one, terms) for one in new[start : start + _MOST_AT_ONCE]),
                return_exceptions=True,
            )
            for place, one in enumerate(told, start):
                if isinstance(one, DispatchError):
                    errors[place] = one
                elif isinstance(one, BaseException):
                    raise one
                else:
                    receipts[place] = HandoffReceipt(self, job, one, since_ms)
            if errors:
                raise _cut_short(errors, receipts, new)
        return [receipts[place] for place in range(len(new))]

    async def _hand_over_in_order(
        self,
        job: JobDefinition[DataT, ResultT],
        queue: JobQueue,
        new: Sequence[tuple[NewJob, Terms, str | None]],
        since_ms: int,
    ) -> list[Receipt[ResultT]]:
        """Hand over jobs, those of one order key one after another, up to one that fails."""
        receipts: dict[int, Receipt[ResultT]] = {}
        errors: dict[int, DispatchError] = {}
        hand_over = self._handoffs().hand_over

        async def one_after_another(places: Sequence[int]) -> None:
            for place in places:
                try:
                    arrival = await hand_over(job, queue, *new[place])
                except DispatchError as error:
                    errors[place] = error
                    return
                receipts[place] = HandoffReceipt(self, job, arrival, since_ms)

        groups: dict[Any, list[int]] = {}
        for place, (_, _, key) in enumerate(new):
            groups.setdefault(place if key is None else key, []).append(place)
        in_turn = list(groups.values())
        for start in range(0, len(in_turn), _MOST_AT_ONCE):
            await asyncio.gather(*map(one_after_another, in_turn[start : start + _MOST_AT_ONCE]))
            if errors:
                raise _cut_short(errors, receipts, [one for one, _, _ in new])
        return [receipts[place] for place in range(len(new))]

    def _way(
        self, job: JobDefinition[Any, Any], options: DispatchOptions, *, ordered: bool = False
    ) -> tuple[JobQueue, JobKind, Terms]:
        """Give where a job goes, and what it has in common with others dispatched like it."""
        key: Any = (job, True) if ordered else job
        if options is not AS_DEFINED:
            # True is not the same as 1 here, though equal. Ids and order keys vary.
            kinds = type(options.priority), type(options.attempts)
            key = (job, ordered, options[1:-1], kinds)
        ways = self._ways.here()
        way = ways.get(key)
        if way is None:
            queue = self._live_queue(job.queue)
            kind = _kind(job, queue, options)
            way = queue, kind, self._terms(job, queue, options, ordered=ordered)
            if options.deduplication_id is None:  # these vary
                if len(ways) >= _MOST_WAYS:
                    ways.clear()
                ways[key] = way
        return way

    def _terms(
        self,
        job: JobDefinition[Any, Any],
        queue: JobQueue,
        options: DispatchOptions,
        *,
        ordered: bool,
    ) -> Terms:
        try:
            return self._book.of(job, queue.spec, options.deadline, ordered=ordered)
        except ValueError as error:
            raise InvalidOptionError(f"{job.queue}/{job.name}: {error}") from error

    def _check_switch(self, job: JobDefinition[Any, Any], queue: JobQueue) -> None:
        if self._use_bullmq is not True or queue.spec.use_bullmq is not None:
            self._check_use(job, queue)

    def _check_use(self, job: JobDefinition[Any, Any], queue: JobQueue) -> None:
        if is_switched_off(self._use_bullmq, job, queue.spec):
            raise SettingsError(
                "USE_BULLMQ is off and no other engine is set up, so that the job "
                f"{job.queue}/{job.name} has nowhere to go; set USE_BULLMQ=true"
            )


def _kind(job: JobDefinition[Any, Any], queue: JobQueue, options: DispatchOptions) -> JobKind:
    try:
        return JobKind(job.name, job_options(job, queue.spec, options))
    except ValueError as error:
        raise InvalidOptionError(f"{job.queue}/{job.name}: {error}") from error


def _cut_short(
    errors: Mapping[int, DispatchError],
    receipts: Mapping[int, Receipt[Any]],
    new: Sequence[NewJob],
) -> DispatchError:
    """Put what became of the jobs into the first error."""
    error = errors[min(errors)]
    doubtful = [place for place, one in errors.items() if isinstance(one, DispatchInDoubt)]
    error.receipts = dict(receipts)
    error.queued = {place: receipt.id for place, receipt in receipts.items()}
    error.doubtful = {place: new[place].id for place in doubtful}
    if len(new) > 1:
        told = f"{error} Of {len(new):,} jobs {len(receipts):,} are queued"
        error.args = (told + (f", and {len(doubtful):,} may be." if doubtful else "."),)
    return error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
