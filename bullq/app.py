"""One application, wired: settings, jobs, queues, store and dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bullq.dispatch.dispatcher import BullmqDispatcher
from bullq.dispatch.flows import BullmqFlows
from bullq.dispatch.terms import TermsBook, UseBullmq
from bullq.engines.inngest.cron import trigger_of
from bullq.engines.inngest.server import InngestServer, is_configured
from bullq.errors import InvalidOptionError, JobDefinitionError, RemoteJobError, SettingsError
from bullq.jobs.discovery import discover
from bullq.jobs.dispatching import bind_dispatcher
from bullq.jobs.flow import bind_flows
from bullq.jobs.registry import JobRegistry
from bullq.jobs.remote import RemoteJob
from bullq.protocol.options import check_options
from bullq.queues.options import job_options
from bullq.queues.registry import QueueRegistry
from bullq.queues.spec import QueueSpec
from bullq.queues.timetable import Timetable
from bullq.settings import Settings, load_settings
from bullq.store.connection import Store
from bullq.telemetry.fallbacks import FallbackLog
from bullq.telemetry.hooks import Observer, Observers
from bullq.worker.heartbeat import Heartbeat
from bullq.worker.recurring import declared_schedule
from bullq.worker.sweeper import Delivery, Sweeper, sweeping
from bullq.worker.worker import Worker

if TYPE_CHECKING:
    from bullq.dispatch.canary import Canaries
    from bullq.dispatch.handoffs import Handoffs
    from bullq.dispatch.reconcile import Reconciliation
    from bullq.engines.inngest.events import EventSender
    from bullq.engines.inngest.functions import InngestFunctions
    from bullq.jobs.job import Job
    from bullq.queues.queue import JobQueue
    from bullq.store.arbiter import Parcel
    from bullq.store.embedded import EmbeddedServer
    from bullq.telemetry.otel import OpenTelemetry

_FLUSH_MS = 1_500  # for spans and metrics, at the end

_CANARY_MS = 30_000  # between canaries that are asked for without an interval

DEFAULT_PACKAGE = "jobs"
"""The package of jobs that is looked for in the current folder where no setting names one."""


class Bullq:
    """An application of jobs. Nothing is imported or connected before it is needed.

    *jobs* is a package of services, or the jobs themselves; *queues* are the application's own
    beside the standard ones. Without *settings* the environment and pyproject.toml are read.
    *telemetry* traces what is sent and run; None: as the setting BULLQ_OTEL says. *use_bullmq* is
    the flag, or is asked for each dispatched job; None: as the setting USE_BULLMQ says.
    *observer* hears how dispatches end; None: those that fall back are logged.
    Making one sets who dispatches for the process: `job.dispatch()` goes through the last one.
    """

    def __init__(
        self,
        *,
        jobs: str | Iterable[Job[Any, Any]] = DEFAULT_PACKAGE,
        queues: Iterable[QueueSpec] = (),
        settings: Settings | None = None,
        telemetry: OpenTelemetry | None = None,
        use_bullmq: UseBullmq | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        flag = self.settings.use_bullmq if use_bullmq is None else use_bullmq
        self._use_bullmq = flag
        self._observer = observer
        self._telemetry = telemetry
        self._jobs = jobs if isinstance(jobs, str) else list(jobs)
        self._specs = list(queues)
        self._embedded: EmbeddedServer | None = None
        self.dispatcher = BullmqDispatcher(
            self.queue,
            book=TermsBook(self.settings, can_fall_back=self._can_fall_back, use_bullmq=flag),
            handoffs=lambda: self.handoffs,
            use_bullmq=flag,
            elsewhere=self._inngest_takes if is_configured(self.settings) else None,
        )
        self.flows = self._flows_kind()(
            self.queue,
            self.dispatcher.receipt,
            self.dispatcher.run_sync,
            use_bullmq=flag is not False,
        )
        bind_dispatcher(lambda: self.dispatcher)
        self.schedules = Timetable(self.queue)
        bind_flows(lambda: self.flows)

    @cached_property
    def jobs(self) -> JobRegistry:
        """The application's jobs; raises JobDefinitionError with all that is wrong with them."""
        registry = discover(self._jobs) if isinstance(self._jobs, str) else JobRegistry(self._jobs)
        registry.recurring_on = self.settings.recurring_on
        problems: list[str] = []
        for job in registry:
            try:
                check_options(job_options(job, QueueSpec(name=job.queue)))
                declared_schedule(job)
                if registry.recurring_on == "inngest":
                    trigger_of(job)
            except JobDefinitionError as error:
                problems += error.problems
            except InvalidOptionError as error:
                problems.append(f"{job.location}: {error}")
        if problems:
            raise JobDefinitionError(problems)
        return registry

    @cached_property
    def queues(self) -> QueueRegistry:
        """The application's queues: the standard ones, its own, and those its jobs name."""
        return QueueRegistry(
            self._specs,
            job_queues=self.jobs.queues(),
            overrides=self.settings.queues,
            prefix=self.settings.prefix,
            **self._traced_queues(),
        )

    @cached_property
    def telemetry(self) -> OpenTelemetry | None:
        """What traces the application, or None."""
        if self._telemetry is not None or not self.settings.otel:
            return self._telemetry
        try:
            from bullq.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - it is an extra
        except ImportError as error:
            raise SettingsError(f"BULLQ_OTEL is on. {error}") from None
        return OpenTelemetry(metrics=True)

    def _flows_kind(self) -> Callable[..., BullmqFlows]:
        if self.telemetry is None:
            return BullmqFlows
        from bullq.dispatch.traced import TracedFlows  # noqa: PLC0415 - it needs the extra

        return partial(TracedFlows, self.telemetry)

    def _traced_queues(self) -> dict[str, Any]:
        if self.telemetry is None:
            return {}
        from bullq.queues.traced import TracedQueue  # noqa: PLC0415 - it needs the extra

        return {"new_queue": partial(TracedQueue, self.telemetry)}

    @property
    def own_queues(self) -> list[str]:
        """The queues that workers of this application work on: not those of RemoteJobs."""
        return [name for name in self.queues.names if not self.jobs.is_remote(name)]

    def check_own(self, queue: str) -> None:
        """Raise RemoteJobError where another service works on *queue*."""
        if self.jobs.is_remote(queue):
            names = ", ".join(sorted(job.name for job in self.jobs.on(queue)))
            raise RemoteJobError(
                f"Another service works on the queue {queue!r}, which has remote jobs ({names}): "
                "they have no body here, so that no bullq worker can run them. "
                "Start that service instead."
            )

    @cached_property
    def store(self) -> Store:
        """The way to Redis: the one REDIS_URL names, or else the project's embedded server."""
        if self.settings.redis_url is not None:
            return Store(self.settings.redis_url)
        from bullq.store.embedded import acquire_embedded  # noqa: PLC0415 - POSIX only

        self._embedded = acquire_embedded(Path.cwd())
        return Store(self._embedded.url)

    @property
    def embedded(self) -> EmbeddedServer | None:
        """The process' share in the embedded server, where it has one."""
        return self._embedded

    def queue(self, name: str) -> JobQueue:
        """Give a queue on the running event loop; raises UnknownQueueError."""
        return self.queues.live(name, self.store)

    def worker(self, queue: str, observer: Observer, **options: Any) -> Worker:
        """Make a worker of one queue, on the running event loop; *options* are Worker's own.

        Raises UnknownQueueError, RemoteJobError.
        """
        self.check_own(queue)
        if self.telemetry is not None:
            from bullq.worker.tracing import traced  # noqa: PLC0415 - it needs the extra

            options.setdefault("new_execution", traced(self.telemetry))
        if self._can_fall_back:
            options.setdefault("deliver", self._deliver)
        if self.settings.canary is not None:
            from bullq.worker.canary import CanaryTaker  # noqa: PLC0415 - off by default

            options.setdefault("beside", [CanaryTaker(self.queue(queue), observer).run])
        return Worker(
            self.queue(queue),
            self.jobs,
            self._measured(observer),
            heartbeat=self._heartbeat,
            **options,
        )

    @cached_property
    def _heartbeat(self) -> Heartbeat | None:
        """What all workers of the process share: their file is as old as the deafest of them."""
        file = self.settings.heartbeat_file
        return None if file is None else Heartbeat(file)

    def inngest(self, observer: Observer | None = None, *, threads: int = 20) -> InngestFunctions:
        """Give the jobs as functions of the Inngest server that the settings name.

        Sync jobs run in threads, *threads* of them at once. Importing the SDK takes a third of a
        second.
        """
        from bullq.engines.inngest.wiring import functions_of  # noqa: PLC0415 - see above

        return functions_of(
            self.settings,
            self.jobs,
            self.queues.spec,
            self.queue,
            observer=observer,
            threads=threads,
            canary=self._canary_answered if self.canaries is not None else None,
        )

    @cached_property
    def inngest_events(self) -> EventSender:
        """What sends events to the Inngest server that the settings name."""
        from bullq.engines.inngest.events import EventSender  # noqa: PLC0415 - httpx is heavy

        return EventSender(InngestServer.from_settings(self.settings))

    @property
    def _can_fall_back(self) -> bool:
        return InngestServer.from_settings(self.settings).event_key is not None

    @cached_property
    def handoffs(self) -> Handoffs:
        """What hands jobs to the one engine that runs them."""
        from bullq.dispatch.wiring import handoffs_of  # noqa: PLC0415 - needed by some dispatches

        return handoffs_of(
            self.settings,
            store=lambda: self.store,
            live_queue=self.queue,
            sender=self.inngest_events if self._can_fall_back else None,
            functions=self._functions,
            use_bullmq=self._use_bullmq,
            observer=self._measured(self._observer or FallbackLog()),
        )

    def _measured(self, observer: Observer) -> Observer:
        """Give *observer*, and with it what makes metrics of dispatches."""
        measures = None if self.telemetry is None else self.telemetry.dispatches
        return observer if measures is None else Observers([observer, measures])

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """Deliver what the outbox keeps, if there is one, until the end of the block."""
        relay = None if self.settings.outbox is None else self.handoffs.relay()
        if relay is None:
            yield
            return
        task = asyncio.create_task(relay.run(), name="bullq relay")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    @cached_property
    def canaries(self) -> Canaries | None:
        """What sends canaries, as BULLQ_CANARY says, or None."""
        return self.canaries_of(self.own_queues) if self.settings.canary is not None else None

    def canaries_of(self, queues: Iterable[str]) -> Canaries:
        """Make what sends canaries of *queues*."""
        from bullq.dispatch.canary import Canaries  # noqa: PLC0415 - off by default

        names = list(queues)
        return Canaries(
            lambda: [self.queue(name) for name in names],
            self.inngest_events if self._can_fall_back else None,
            (self.settings.canary or _CANARY_MS) / 1000,
        )

    @contextlib.asynccontextmanager
    async def watching(
        self, observer: Observer, queues: Iterable[str] | None = None
    ) -> AsyncIterator[None]:
        """Send canaries, where the settings say so, until the end of the block.

        *queues* are those that a worker works on; None: all that are ours.
        """
        # A web application has no share in the embedded server.
        if self.canaries is None or (queues is None and self.settings.redis_url is None):
            yield
            return
        canaries = self.canaries if queues is None else self.canaries_of(queues)
        told = self._measured(observer)
        task = asyncio.create_task(canaries.run(told), name="bullq canaries")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _canary_answered(self, queue: str, canary_id: str) -> None:
        if self.canaries is not None:
            await self.canaries.answer(self.queue(queue), canary_id)

    @contextlib.asynccontextmanager
    async def sweeping(self, observer: Observer) -> AsyncIterator[None]:
        """Send on what no worker begins in time, until the end of the block.

        Workers do so themselves: this is for a process that serves the engine which takes over.
        """
        if not self._can_fall_back or self.settings.redis_url is None:
            yield
            return
        queues = [self.queue(name) for name in self.own_queues]
        async with sweeping(queues, self._deliver, self._measured(observer)):
            yield

    def reconciliation(self) -> Reconciliation:
        """Give what settles, on the running event loop, what an outage has left in doubt."""
        from bullq.dispatch.reconcile import Reconciliation  # noqa: PLC0415 - rarely needed

        async def sweep(queue: JobQueue) -> bool:
            return await Sweeper(queue, self._deliver, self._observer or Observer()).sweep()

        return Reconciliation(
            map(self.queue, self.queues.names),
            self.handoffs.means.outbox,
            self.handoffs.relay(),
            sweep if self._can_fall_back else None,
        )

    async def _deliver(self, queue: str, parcel: Parcel, now_ms: int) -> Delivery:
        """Send the event of a job that no worker has begun, as a sweeper asks."""
        from bullq.dispatch.delivery import deliver  # noqa: PLC0415 - httpx is heavy

        fallback = self.handoffs.means.fallback
        if fallback is None:
            return Delivery.REFUSED
        return Delivery(await deliver(fallback, queue, parcel, now_ms))

    def _functions(self) -> list[str]:
        """Name the functions that an Inngest server has to know."""
        jobs = (job for job in self.jobs if not isinstance(job, RemoteJob))
        return [f"{job.queue}.{job.name}" for job in jobs]

    async def _close_here(self) -> None:
        """Close what the dispatches of the running event loop use."""
        if "handoffs" in self.__dict__:
            await self.handoffs.aclose()
        if "inngest_events" in self.__dict__:
            await self.inngest_events.aclose()
        if "store" in self.__dict__:
            await self.store.aclose()

    async def _inngest_takes(self, queue: JobQueue, job_id: str, event: str, payload: str) -> bool:
        from bullq.engines.inngest.signals import SignalSender  # noqa: PLC0415 - same

        return await SignalSender(self.inngest_events).takes(queue, job_id, event, payload)

    async def aclose(self) -> None:
        """Close the connections of the running event loop and of dispatch_sync's.

        What was traced is sent: a process may end at once after this.
        The process leaves the embedded server, where it has a share in one.
        """
        await asyncio.to_thread(self.dispatcher.close, self._close_here)
        await self._close_here()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.flush, _FLUSH_MS)
        if self._embedded is not None:
            self._embedded.release()
