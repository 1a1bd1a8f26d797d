"""The jobs of an application as functions of Inngest, under the policy of job and queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.engines.inngest import sdk
from bullq.engines.inngest.attempt import Attempt
from bullq.engines.inngest.canary import canary_function
from bullq.engines.inngest.cancelling import on_cancel
from bullq.engines.inngest.cron import trigger_of
from bullq.engines.inngest.messages import ENVELOPE, event_name
from bullq.engines.inngest.run import Run, attempts_of
from bullq.engines.threads import ThreadPool
from bullq.jobs.remote import RemoteJob
from bullq.telemetry.hooks import Observer, Observers

if TYPE_CHECKING:
    from bullq.engines.inngest.canary import Answer
    from bullq.engines.inngest.children import Children
    from bullq.engines.inngest.server import InngestServer
    from bullq.engines.inngest.shared import Shared
    from bullq.jobs.job import Job
    from bullq.jobs.registry import JobRegistry
    from bullq.queues.spec import QueueSpec, RateLimit

_sdk_log = logging.getLogger("bullq.inngest.sdk")
_sdk_log.setLevel(logging.CRITICAL)  # what it has to say is in answers, and told by observers

SharedOf = Callable[["Job[Any, Any]", str], "Shared"]
"""Gives the part of our own store that belongs to a job and its id."""


class InngestFunctions:
    """What an endpoint or a worker serves: a client of the SDK and a function for each job.

    Ordinary functions run in threads of their own, so that they cannot take those of the web
    application around them: as jobs *threads* at once, whatever their steps need beside that.
    Recurring jobs get a trigger where *recurring*.
    """

    def __init__(
        self,
        server: InngestServer,
        jobs: JobRegistry,
        spec_of: Callable[[str], QueueSpec],
        *,
        shared_of: SharedOf,
        children: Children,
        observer: Observer | None = None,
        recurring: bool = False,
        threads: int = 20,
        canary: Answer | None = None,
    ) -> None:
        self.server = server
        self.client = _Client.of(server)
        self._spec_of = spec_of
        self._shared_of = shared_of
        self._children = children
        self._observer = Observers([observer or Observer()])
        self._recurring = recurring
        self._threads = ThreadPool(threads)
        self._sync_jobs = asyncio.Semaphore(threads)
        self._jobs = [job for job in jobs if not isinstance(job, RemoteJob)]
        self.functions = [self._function(job) for job in self._jobs]
        if canary is not None:
            self.functions.append(canary_function(self.client, canary))

    @property
    def ids(self) -> list[str]:
        """The functions' ids, without the application's: `<queue>.<job>`."""
        return [function_id(job) for job in self._jobs]

    async def aclose(self) -> None:
        """Close the connections, and let the threads end once what they do is done."""
        self._threads.close()
        await self._children.aclose()
        await sdk.close(self.client)

    def _function(self, job: Job[Any, Any]) -> sdk.Function[Any]:
        spec = self._spec_of(job.queue)
        label = f"bullq {job.queue}/{job.name}"

        async def perform(ctx: sdk.Context) -> Any:
            run = Run.read(job, spec, ctx)
            attempt = Attempt(
                job,
                run,
                ctx,
                shared=self._shared_of(job, run.job_id),
                children=self._children,
                in_thread=lambda function: self._threads.call(label, function, ()),
                observer=self._observer,
            )
            async with contextlib.nullcontext() if job.is_async else self._sync_jobs:
                return await attempt.perform()

        create = self.client.create_function(
            fn_id=function_id(job),
            trigger=list(self._triggers(job)),
            retries=attempts_of(job, spec) - 1,
            # The slots of a queue are shared by its jobs; a sleeping one holds none.
            concurrency=[
                sdk.Concurrency(limit=spec.concurrency, key=f'"{spec.name}"', scope="env")
            ],
            cancel=on_cancel(),
            throttle=None if spec.rate_limit is None else _throttle(spec.rate_limit),
            # A JSON number is a float to the server, which ignores what is not an int.
            priority=sdk.Priority(run=f"int(event.data.{ENVELOPE}.head_start)"),
        )
        return create(perform)

    def _triggers(self, job: Job[Any, Any]) -> Iterable[sdk.TriggerEvent | sdk.TriggerCron]:
        yield sdk.TriggerEvent(event=event_name(job.queue, job.name))
        if self._recurring and (cron := trigger_of(job)) is not None:
            yield sdk.TriggerCron(cron=cron)


class _Client(sdk.Inngest):
    """The SDK's client; it reads its second key from the environment alone."""

    _second_key: str | None = None

    @classmethod
    def of(cls, server: InngestServer) -> _Client:
        """Make the client of a server."""
        client = cls(
            app_id=server.app,
            api_base_url=server.api_url,
            event_api_base_url=server.event_url,
            env=server.env,
            event_key=server.event_key,
            signing_key=server.signing_key,
            is_production=server.production,
            logger=_sdk_log,
        )
        client._second_key = server.signing_key_fallback
        return client

    @property
    def signing_key_fallback(self) -> str | None:
        """The key that is still good while the other one is being replaced."""
        return self._second_key


def function_id(job: Job[Any, Any]) -> str:
    """Give the id of a job's function, as its application knows it."""
    return f"{job.queue}.{job.name}"


def _throttle(limit: RateLimit) -> sdk.Throttle:
    """Map a queue's rate limit: Inngest's own rate limits drop what is above them."""
    seconds = math.ceil(to_ms(limit.per) / 1000)
    allowed = max(1, math.floor(limit.max * seconds * 1000 / to_ms(limit.per)))
    return sdk.Throttle(limit=allowed, period=seconds * 1000, burst=allowed)
