"""The steps of a job that Inngest runs: Inngest remembers them, and asks for one after another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bullq.engines.calls import step_failure
from bullq.engines.engine import PERMANENT, Branch, Call, Child, Interrupt, Step, Steps
from bullq.engines.inngest import sdk
from bullq.engines.inngest.errors import Told, kept, kept_failure, read, read_output
from bullq.engines.inngest.shared import SIGNAL
from bullq.errors import StepFailed, StepMisuse, StoreUnavailable
from bullq.jobs.failure import is_one_of

if TYPE_CHECKING:
    from bullq.engines.inngest.children import Children
    from bullq.engines.inngest.run import Run
    from bullq.engines.inngest.shared import Shared

_FIRST_WAIT = 1  # seconds; each wait for an event is twice as long as the one before it


class Again(Interrupt):
    """Leaves the body so that Inngest asks for the same step once more, *wait_ms* from now."""

    def __init__(self, error: BaseException, wait_ms: int) -> None:
        self.error = error
        self.wait_ms = wait_ms
        super().__init__(str(error))


class InngestSteps(Steps):
    """The port over the SDK's steps, for one request of the server.

    A request makes one step at most: the SDK leaves the body by an interrupt as soon as it has
    something to tell the server, and the body comes back with the next request.
    """

    def __init__(self, run: Run, ctx: sdk.Context, shared: Shared, children: Children) -> None:
        self._run = run
        self._ctx = ctx
        self._shared = shared
        self._children = children
        self._left: BaseException | None = None
        self.calling = False
        """Whether a step's function runs: what it tells is new."""

    def repeats(self, line: str) -> bool:
        """Tell whether a line of steps repeats what an earlier request did.

        The server tells of steps alone, not where they are: of a branch it cannot be known.
        """
        if self.calling:
            return False
        return sdk.is_planned(self._ctx) or (not line and sdk.has_memos(self._ctx))

    @property
    def attempt(self) -> int:
        """Which attempt of the body this is."""
        return self._run.attempt

    @property
    def left(self) -> BaseException | None:
        """The interrupt that the body was left by, also where the body has swallowed it."""
        return self._left

    def check(self) -> None:
        """Raise the interrupt again that the body has swallowed."""
        if self._left is not None:
            raise self._left

    async def run(self, step: Step, call: Call) -> str:
        """Give the step's result, calling where it has none."""
        return await self._made(step, lambda: call(self._run.attempt))

    async def once(self, step: Step, key: str, call: Call) -> str:
        """Do the same, where no job of the queue has a result under *key*."""

        async def make() -> str:
            found = await self._shared.find_effect(key)
            if found is None:
                found = await self._shared.record_effect(key, await call(self._run.attempt))
            return found

        return await self._made(step, make)

    async def sleep(self, step: Step, milliseconds: int) -> None:
        """Pause, counted from when the step was first made."""
        with self._leaving():
            await self._ctx.step.sleep(step.key, timedelta(milliseconds=milliseconds))

    async def sleep_until(self, step: Step, at_ms: int) -> None:
        """Pause until *at_ms*."""
        with self._leaving():
            until = datetime.fromtimestamp(at_ms / 1000, UTC)
            await self._ctx.step.sleep_until(step.key, until)

    async def dispatch(self, step: Step, child: Child) -> str:
        """Queue the child and give its id."""

        async def send() -> str:
            await self._children.dispatch(child)
            return json.dumps(child.id)

        return str(json.loads(await self._made(step, send)))

    async def invoke(self, step: Step, child: Child) -> str:
        """Have Inngest run the child and give its result."""
        self._children.check(child)
        try:
            with self._leaving():
                result = await self._ctx.step.invoke_by_id(
                    step.key,
                    function_id=f"{child.job.queue}.{child.job.name}",
                    data=self._children.data_of(child),
                )
        except sdk.StepError as error:
            raise StepFailed(step.id, "JobFailed", error.message, error.stack or "") from None
        return read_output(result)

    async def wait_for(self, step: Step, event: str, timeout_ms: int) -> str | None:
        """Give the payload of the oldest event of that name that no step has taken.

        Inngest forgets events that nobody waits for yet, so they are kept in our own store too,
        and Inngest's waits are no more than what wakes the job. Each wait is twice as long as the
        one before: an event that falls between a look and the wait after it is found in the end.
        """
        waited, length, woken = 0, _FIRST_WAIT, None
        while True:
            if (payload := await self._look(step, event, waited, woken)) is not None:
                return payload
            left = -(-timeout_ms // 1000) - waited  # Inngest counts in whole seconds
            if left <= 0:
                return None
            length = min(length, left)
            with self._leaving():
                woken = await self._ctx.step.wait_for_event(
                    f"{step.key} (wait {waited})",
                    event=SIGNAL,
                    if_exp=f"async.data.job == {_quoted(self._run.job_id)} && "
                    f"async.data.event == {_quoted(event)}",
                    timeout=timedelta(seconds=length),
                )
            waited, length = waited + length, length * 2

    async def parallel(self, branches: Sequence[Branch]) -> list[Any]:
        """Run branches, and give their results in order once every one has one.

        The SDK plans what each branch comes to, and the server asks for all of it at once.
        """
        with self._leaving():
            results = await self._ctx.group.parallel(
                tuple(self._apart(branch) for branch in branches)
            )
            if len(results) < len(branches):  # the step that is asked for is nowhere in them
                raise sdk.SkipInterrupt("ctx.parallel")
        return list(results)

    async def _look(self, step: Step, event: str, waited: int, woken: Any) -> str | None:
        """Take an event that our store has, or the one that has woken the job and is not there."""
        sent: str | None = None if woken is None else woken.data["payload"]
        if sent is not None and not woken.data["kept"]:
            return sent

        async def look() -> str:
            try:
                return json.dumps(await self._shared.take_signal(event, step.key))
            except StoreUnavailable:
                return json.dumps(sent)

        key = f"{step.key} (look {waited})"
        text: str | None = json.loads(await self._made(Step(step.id, key), look))
        return text

    async def _made(self, step: Step, make: Callable[[], Awaitable[str]]) -> str:
        """Have the SDK give a step's result (JSON text) or make it; raises StepFailed."""
        try:
            with self._leaving():
                value = await self._ctx.step.run(step.key, self._attempt, step, make)
        except sdk.StepError as error:
            raise StepFailed(step.id, error.name, error.message, error.stack or "") from None
        return json.dumps(read(step.id, value))

    async def _attempt(self, step: Step, make: Callable[[], Awaitable[str]]) -> Any:
        """Make a step's attempt in the SDK's hands, and give what Inngest is to keep of it."""
        failures = self._run.attempt - 1
        self.calling = True
        try:
            return kept(json.loads(await make()), failures)
        except (Interrupt, StepMisuse, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # also SystemExit: a step ends no server
            wait_ms = self._run.wait_ms(error)
            if wait_ms is not None and not is_one_of(error, PERMANENT):
                raise Again(error, wait_ms) from error
            failed = step_failure(step.id, error)
            if self._run.is_last_request:
                told = (failed.name, failed.message, failed.trace)
                raise Told(*told, retriable=True) from None
            return kept_failure(failed, failures + 1)
        finally:
            self.calling = False

    def _apart(self, branch: Branch) -> Branch:
        """Give a branch that is left by its own interrupt, whether its code swallows it or not."""

        async def run() -> Any:
            before = self._put_left(None)
            try:
                result = await branch()
                self.check()
                return result
            finally:
                left = self._put_left(before)
                if isinstance(left, Again):  # it ends the request, whatever other branches do
                    self._put_left(left)

        return run

    def _put_left(self, interrupt: BaseException | None) -> BaseException | None:
        before, self._left = self._left, interrupt
        return before

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Note the interrupt by which the caller leaves the body."""
        try:
            yield
        except (sdk.ResponseInterrupt, sdk.SkipInterrupt, Interrupt) as interrupt:
            self._left = interrupt
            raise


def _quoted(text: str) -> str:
    """Write a text for an expression of Inngest's, which knows no escapes of half characters."""
    return json.dumps(text, ensure_ascii=False)
