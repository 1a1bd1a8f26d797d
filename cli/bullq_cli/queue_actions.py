"""`bullq queues pause`, `resume`, `retry`, ...: run a whole queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.exits import wrong_input
from bullq_cli.inputs import duration
from bullq_cli.session import with_app
from bullq_cli.usage import PlainCommand

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.queues.queue import JobQueue

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Do it on a queue shared with BullMQ 5, too.")]


class Cleanable(StrEnum):
    """The states whose jobs can be cleaned: the library's, which --help must not import."""

    COMPLETED = "completed"
    FAILED = "failed"
    WAITING = "waiting"
    PRIORITIZED = "prioritized"
    DELAYED = "delayed"
    ACTIVE = "active"


def pause(*, queue: Queue, force: Force = False, to_json: Json = False) -> None:
    """Have all workers of a queue begin no more jobs."""

    async def act(live: JobQueue) -> None:
        await live.control.pause(force=force)

    _on(queue, act)
    _tell(to_json, f"paused {queue}; running jobs go on", queue=queue, paused=True)


def resume(*, queue: Queue, force: Force = False, to_json: Json = False) -> None:
    """Have the workers of a paused queue begin jobs again."""

    async def act(live: JobQueue) -> None:
        await live.control.resume(force=force)

    _on(queue, act)
    _tell(to_json, f"resumed {queue}", queue=queue, paused=False)


def drain(
    *,
    queue: Queue,
    delayed: Annotated[bool, typer.Option("--delayed", help="Remove delayed jobs, too.")] = False,
    to_json: Json = False,
) -> None:
    """Remove all jobs of a queue that wait.

    Active jobs, those that ended and the runs of schedules stay.
    """
    from bullq.wording import counted

    async def act(live: JobQueue) -> int:
        before = sum((await live.view.counts()).values())
        await live.control.drain(delayed=delayed)
        return before - sum((await live.view.counts()).values())

    removed = max(0, _on(queue, act))
    said = f"drained {queue}: {counted(removed, 'job')} removed"
    _tell(to_json, said, queue=queue, removed=removed)


def clean(
    *,
    queue: Queue,
    state: Annotated[
        Cleanable,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="completed, failed, waiting, prioritized, delayed or active jobs.",
        ),
    ] = Cleanable.COMPLETED,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="Only jobs that ended, or came, so long ago.")
    ] = "0s",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many jobs at most.")
    ] = None,
    to_json: Json = False,
) -> None:
    """Remove jobs of one state, say old ones that ended."""
    from bullq.wording import counted

    seconds = duration("--older-than", older_than)

    async def act(live: JobQueue) -> list[str]:
        from bullq.protocol.states import JobState

        return await live.control.clean(JobState(state.value), older_than=seconds or 0, limit=limit)

    ids = _on(queue, act)
    said = f"cleaned {queue}: {counted(len(ids), f'{state.value} job')} removed"
    _tell(to_json, said, queue=queue, state=state.value, removed=len(ids))


def retry(
    *,
    queue: Queue,
    completed: Annotated[
        bool, typer.Option("--completed", help="Run completed jobs again, not failed ones.")
    ] = False,
    to_json: Json = False,
) -> None:
    """Have all failed jobs of a queue wait again."""
    from bullq.wording import counted

    async def act(live: JobQueue) -> int:
        from bullq.protocol.states import JobState

        return await live.control.retry_all(JobState.COMPLETED if completed else JobState.FAILED)

    count = _on(queue, act)
    _tell(to_json, f"waiting again: {counted(count, 'job')} of {queue}", queue=queue, retried=count)


def promote(*, queue: Queue, to_json: Json = False) -> None:
    """Have all delayed jobs of a queue wait now."""

    async def act(live: JobQueue) -> int:
        return await live.control.promote_all()

    count = _on(queue, act)
    _tell(to_json, f"{count:,} delayed jobs of {queue} wait now", queue=queue, promoted=count)


def rescue(*, queue: Queue, to_json: Json = False) -> None:
    """Have lost jobs of a queue wait again.

    Those are jobs whose records are there, and that no list knows of: a client of BullMQ 5 that
    resumes a queue leaves such jobs behind.
    """
    from bullq.wording import counted

    async def act(live: JobQueue) -> list[str]:
        return await live.control.rescue()

    ids = _on(queue, act)
    said = f"waiting again: {counted(len(ids), 'lost job')} of {queue}"
    _tell(to_json, said, queue=queue, rescued=ids)


def obliterate(
    *,
    queue: Queue,
    yes: Annotated[bool, typer.Option("--yes", help="Say that you mean it.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do it while jobs are active, too.")
    ] = False,
    to_json: Json = False,
) -> None:
    """Remove a queue with all that it holds.

    Its jobs, schedules, events and settings are gone then, for every client.
    """
    if not yes:
        raise wrong_input(
            f"This removes the queue {queue!r} with all its jobs, for Node's clients as well.\n"
            f"If you mean it: bullq queues obliterate {queue} --yes"
        )

    async def act(live: JobQueue) -> None:
        await live.control.obliterate(force=force)

    _on(queue, act)
    _tell(to_json, f"obliterated {queue}", queue=queue, obliterated=True)


def limit(
    *,
    queue: Queue,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="How many jobs all workers together run at once."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="N/DURATION|none", help="How many jobs begin in that time, as 100/1m."
        ),
    ] = None,
    to_json: Json = False,
) -> None:
    """Limit what all workers of a queue do together.

    Without options it shows the limits.
    """
    jobs, per = _rate(rate)

    async def act(live: JobQueue) -> tuple[int | None, Any]:
        if concurrency is not None:
            await live.control.set_concurrency(_count("--concurrency", concurrency))
        if rate is not None:
            await live.control.set_rate_limit(jobs, per=per)
        return await live.control.concurrency(), await live.control.rate_limit()

    at_once, limited = _on(queue, act)
    said = f"{at_once} at once" if at_once else "any number at once"
    if limited:
        said += f", {limited.max:,} per {limited.per_ms / 1000:g} s"
    given = {"max": limited.max, "per_ms": limited.per_ms} if limited else None
    _tell(to_json, f"{queue}: {said}", queue=queue, concurrency=at_once, rate_limit=given)


def _count(option: str, text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise wrong_input(f"{option} is a whole number from 1, or none, not {text!r}.")
    return int(text)


def _rate(text: str | None) -> tuple[int | None, float]:
    """Give the jobs and the seconds of a rate such as 100/1m."""
    if text in (None, "none"):
        return None, 1.0
    count, _, time = str(text).partition("/")
    return _count("--rate", count), duration("--rate", time or "1s") or 0.0


def events(
    *,
    queue: Queue,
    since: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Events after this one; 0 for all that are kept."),
    ] = None,
    quiet_for: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="End once nothing has happened for so long."),
    ] = None,
    to_json: Annotated[bool, typer.Option("--json", help="One line of JSON per event.")] = False,
) -> None:
    """Print what happens on a queue, until Ctrl-C."""
    seconds = duration("--quiet-for", quiet_for)

    async def act(live: JobQueue) -> None:
        await live.store.check()  # later on, outages are waited for
        async for event in live.events(since=since, quiet_for=seconds):
            if to_json:
                output.as_json({"id": event.id, **event.fields})
            else:
                told = {name: text for name, text in event.fields.items() if name not in _SHOWN}
                rest = " ".join(f"{name}={text}" for name, text in told.items())
                output.line(f"{event.id} {event.name:<16} {event.job_id or '':<26} {rest}".rstrip())

    _on(queue, act)


_SHOWN = ("event", "jobId")
_COMMANDS = (pause, resume, limit, retry, promote, clean, drain, rescue, obliterate, events)


def add_to(group: typer.Typer) -> None:
    """Make these the commands of a group."""
    for command in _COMMANDS:
        group.command(cls=PlainCommand)(command)


def _on(queue: str, act: Callable[[JobQueue], Awaitable[Any]]) -> Any:
    """Do something to a queue of the application."""

    async def session(application: Bullq) -> Any:
        return await act(application.queue(queue))

    return with_app(session)


def _tell(to_json: bool, said: str, **answer: Any) -> None:
    if to_json:
        output.as_json(answer)
    else:
        output.line(said)
