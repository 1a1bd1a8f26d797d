"""The context of a job on every engine: the rules for steps, over an engine's own Steps."""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bullq.clock import Duration, format_ms, to_ms
from bullq.engines.blocking import Waiting
from bullq.engines.calls import InThread, call, declared, encode, result_type
from bullq.engines.engine import Call, Child, Interrupt, Step, Steps
from bullq.engines.lines import Line, child_id, is_step_id
from bullq.errors import PayloadError, ResultError, StepMisuse
from bullq.jobs.context import Context
from bullq.jobs.limits import MOST_STATE_BYTES, MOST_STEPS, format_bytes, size_of
from bullq.jobs.payload import Result
from bullq.jobs.retry import MAX_WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bullq.jobs.blocking import BlockingSteps
    from bullq.jobs.invocable import Invocable


_LATEST_MS = 253_402_300_799_000  # the last second that a datetime has


@dataclass(frozen=True, slots=True)
class _Inside:
    """The step whose function runs here."""

    context: StepContext
    step: str
    attempt: int


_LINE: ContextVar[Line | None] = ContextVar("bullq line of steps", default=None)
_INSIDE: ContextVar[_Inside | None] = ContextVar("bullq step", default=None)


class StepContext(Context):
    """A context with steps; an adapter gives it the port and says where logs and progress go.

    *misuse* is what no engine can keep: an adapter fails the job for it, even where the body has
    caught it. *ended* is set by an adapter once the body has; a thread that goes on makes no step
    any more. *body_deadline* bounds the body between two steps, each of which has the time of
    *step_timeout_ms* for itself.
    """

    loop: asyncio.AbstractEventLoop
    misuse: StepMisuse | None = None
    step_timeout_ms: int | None = None
    body_deadline: asyncio.Timeout | None = None
    ended = False
    in_thread: InThread
    _line: Line | None = None
    _made = 0
    _state_bytes = 0
    _under_way = 0

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """The engine's port, made when it is first asked for."""

    @property
    def attempt(self) -> int:
        """Which attempt this is: of the step inside one, else of the body since a step."""
        inside = _INSIDE.get()
        return inside.attempt if inside and inside.context is self else self.steps.attempt

    @property
    def sync(self) -> BlockingSteps:
        """The steps for ordinary functions."""
        return Waiting(self, self.loop, self.in_thread, self.refuse)

    def refuse(self, sentence: str) -> StepMisuse:
        """Note that the job uses steps in a way that cannot be kept; give the error to raise."""
        error = StepMisuse(sentence)
        self.misuse = self.misuse or error
        return error

    def check_left(self) -> None:
        """Note a misuse where the body has ended before a step of it."""
        if self._line is not None and self._line.busy is not None:
            self._refuse_left(self._line)

    def run(self, step: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call *function* once and give what it returns."""

        async def make(made: Step) -> Any:
            result = self._result_type(made.id, function)
            work = self._call(made, function, args, kwargs, result)
            return result.decode(self._counted(await self.steps.run(made, work)))

        return self._step(step, make)

    def once(self, key: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Do the same as run(), once for all jobs of the queue."""

        async def make(made: Step) -> Any:
            result = self._result_type(made.id, function)
            work = self._call(made, function, args, kwargs, result)
            return result.decode(self._counted(await self.steps.once(made, key, work)))

        return self._step(key, make)

    def sleep(self, step: str, duration: Duration) -> Coroutine[Any, Any, None]:
        """Pause for *duration*."""
        milliseconds = _pause_ms(duration)
        return self._step(step, lambda made: self.steps.sleep(made, milliseconds))

    def sleep_until(self, step: str, time: datetime) -> Coroutine[Any, Any, None]:
        """Pause until *time*."""
        if time.utcoffset() is None:
            raise self.refuse(
                f"The step {step!r} sleeps until {time}, which has no time zone; give it one, as "
                "by datetime.now(UTC)"
            )
        at_ms = min(round(time.timestamp() * 1000), _LATEST_MS)
        return self._step(step, lambda made: self.steps.sleep_until(made, at_ms))

    def dispatch(self, step: str, job: Invocable[Any, Any], payload: Any) -> Any:
        """Queue another job and give its id."""
        return self._step(
            step, lambda made: self.steps.dispatch(made, self._child(made, job, payload))
        )

    def invoke(self, step: str, job: Invocable[Any, Any], payload: Any) -> Any:
        """Queue another job and give its result."""

        async def make(made: Step) -> Any:
            child = self._child(made, job, payload)
            return job.result.decode(self._counted(await self.steps.invoke(made, child)))

        return self._step(step, make)

    def wait_for(self, step: str, event: str, timeout: Duration, type: Any = Any) -> Any:  # noqa: A002
        """Wait for an event sent to this job."""
        timeout_ms = _pause_ms(timeout)
        payload = declared(type)

        async def make(made: Step) -> Any:
            text = await self.steps.wait_for(made, event, timeout_ms)
            if text is None:
                return None
            try:
                return payload.decode(self._counted(text))
            except ResultError as error:
                what = f"the event {event!r}, for which the step {step!r} has waited"
                raise PayloadError(f"{what}: {str(error).removeprefix('result: ')}") from error

        return self._step(step, make)

    def parallel(self, *branches: Callable[[], Awaitable[Any]]) -> Any:
        """Run branches at once and give all results."""
        if not all(map(callable, branches)):
            for branch in filter(inspect.iscoroutine, branches):
                branch.close()
            raise self.refuse(
                "ctx.parallel takes functions, so that each run of the body can begin them "
                "anew: write ctx.parallel(lambda: ctx.run(...), lambda: ctx.run(...))"
            )
        return self._split(branches)

    async def _split(self, branches: tuple[Callable[[], Awaitable[Any]], ...]) -> tuple[Any, ...]:
        line = self.here()
        with self._alone(line, "ctx.parallel"):
            self._go_on()
            lines = line.split(len(branches))
            outcomes = await self.steps.parallel(
                [self._branch(*pair) for pair in zip(lines, branches, strict=True)]
            )
        for _, error in outcomes:
            if error is not None:
                raise error
        return tuple(value for value, _ in outcomes)

    def _branch(
        self, line: Line, function: Callable[[], Any]
    ) -> Callable[[], Coroutine[Any, Any, tuple[Any, Exception | None]]]:
        async def run() -> tuple[Any, Exception | None]:
            token = _LINE.set(line)
            try:
                value = function()
                value = await value if inspect.isawaitable(value) else value
                return value, None if line.busy is None else self._refuse_left(line)
            except Exception as error:  # noqa: BLE001 - it is raised once all branches have ended
                return None, error
            finally:
                _LINE.reset(token)

        return run

    def _refuse_left(self, line: Line) -> StepMisuse:
        return self.refuse(
            f"The step {line.busy!r} was still under way when the code that began it ended: what "
            "it does would be lost. Await it"
        )

    def _step(self, step: str, make: Callable[[Step], Awaitable[Any]]) -> Coroutine[Any, Any, Any]:
        running = asyncio._get_running_loop()  # noqa: SLF001 - its public form costs an exception
        if running is self.loop:
            return self._take(step, make)
        if running is None:
            raise self.refuse(
                f"The step {step!r}: an ordinary function takes its steps by ctx.sync, as in "
                "ctx.sync.run(...); ctx.run(...) is to be awaited in an async one"
            )
        raise self.refuse(
            f"The step {step!r} is taken on another event loop than its job's, as under "
            "asyncio.run: an ordinary function takes its steps by ctx.sync, as in ctx.sync.run(...)"
        )

    async def _take(self, step: str, make: Callable[[Step], Awaitable[Any]]) -> Any:
        if not is_step_id(step):
            raise self.refuse(f"A step's id is a text that is not empty, not {step!r}")
        line = self.here()
        with self._alone(line, step):
            self._go_on()
            self._made += 1
            if self._made > MOST_STEPS:
                raise self.refuse(
                    f"The job has more than {MOST_STEPS:,} steps; make several jobs of it. "
                    "(Ids of steps that are drawn by chance have that effect, too.)"
                )
            with self._stopped_clock():
                return await make(Step(step, line.next_key(step)))

    def _go_on(self) -> None:
        """Raise an interrupt where nothing more may be done in this run of the body."""
        if self.ended:
            raise Interrupt("the attempt has ended")
        self.steps.check()

    def here(self) -> Line:
        """Give the line of steps that the caller belongs to."""
        line = _LINE.get()
        if line is not None and line.context is self:
            return line
        if self._line is None:
            self._line = Line(self)
        return self._line

    @contextmanager
    def _alone(self, line: Line, step: str) -> Iterator[None]:
        """Refuse a step inside a step, and one beside another one of the same line."""
        inside = _INSIDE.get()
        if inside is not None and inside.context is self:
            raise self.refuse(
                f"The step {step!r} begins inside the step {inside.step!r}: steps do not nest. "
                f"Take it after {inside.step!r}, in the job's body"
            )
        if line.busy is not None:
            raise self.refuse(
                f"The step {step!r} begins before the step {line.busy!r} has ended, as under "
                "asyncio.gather: engines would make them twice. Steps at once go through "
                "ctx.parallel(lambda: ctx.run(...), lambda: ctx.run(...))"
            )
        line.busy = step
        try:
            yield
        finally:
            line.busy = None

    @contextmanager
    def _stopped_clock(self) -> Iterator[None]:
        """Let the body's time begin anew after a step."""
        if self.body_deadline is None or self.step_timeout_ms is None:
            yield
            return
        self._under_way += 1
        _reschedule(self.body_deadline, None)
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                _reschedule(self.body_deadline, self.loop.time() + self.step_timeout_ms / 1000)

    def _counted(self, text: str) -> str:
        """Give a step's result, or refuse it where all of them are more than an engine takes."""
        self._state_bytes += size_of(text)
        if self._state_bytes > MOST_STATE_BYTES:
            raise self.refuse(
                f"The job's steps have given more than {format_bytes(MOST_STATE_BYTES)} in all; "
                "store what is big elsewhere, and give where it is"
            )
        return text

    def _result_type(self, step: str, function: Any) -> Result[Any]:
        try:
            if callable(function):
                return result_type(step, function)
        except StepMisuse as error:
            raise self.refuse(str(error)) from error
        if inspect.iscoroutine(function):
            function.close()
        raise self.refuse(
            f"The step {step!r} takes a function and what to call it with, not what it gave: "
            "ctx.run('mail', send, order), without calling send"
        )

    def _call(
        self,
        step: Step,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Result[Any],
    ) -> Call:
        async def work(attempt: int) -> str:
            token = _INSIDE.set(_Inside(self, step.id, attempt))
            try:
                value = await self._in_time(call(function, args, kwargs, self.in_thread))
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise  # whoever runs the attempt ends it
                cause = "the step was cancelled from within: it raised CancelledError"
                raise RuntimeError(cause) from error
            finally:
                _INSIDE.reset(token)
            return encode(step.id, result, value)

        return work

    async def _in_time(self, work: Awaitable[Any]) -> Any:
        if self.step_timeout_ms is None:
            return await work
        try:
            async with asyncio.timeout(self.step_timeout_ms / 1000) as deadline:
                return await work
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TimeoutError(
                f"the step ran longer than the job's timeout of {self.step_timeout_ms / 1000:g} s"
            ) from None

    def _child(self, step: Step, job: Invocable[Any, Any], payload: Any) -> Child:
        job.payload.write(payload)  # raises PayloadError
        return Child(child_id(self.job_id, step.key), job, payload)


def _pause_ms(duration: Duration) -> int:
    """Give a pause in ms; raises ValueError for one that is negative, or longer than any."""
    milliseconds = to_ms(duration)
    if milliseconds > MAX_WAIT_MS:
        most = format_ms(MAX_WAIT_MS)
        raise ValueError(f"a pause is {most} at most, not {duration}")
    return milliseconds


def _reschedule(deadline: asyncio.Timeout, when: float | None) -> None:
    if not deadline.expired():
        deadline.reschedule(when)
