"""`bullq jobs retry`, `promote`, `remove`: change one job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode
from bullq_cli.jobs import places
from bullq_cli.session import with_app

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.queues.editing import JobEditor

Job = Annotated[
    str, typer.Argument(metavar="ID", help="The job: queue/id, or id to search all queues.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def retry(
    *,
    job: Job,
    completed: Annotated[
        bool, typer.Option("--completed", help="Run a completed job again, not a failed one.")
    ] = False,
    reset_attempts: Annotated[
        bool, typer.Option("--reset-attempts", help="Give it all its attempts again.")
    ] = False,
    to_json: Json = False,
) -> None:
    """Have a failed job wait again.

    Attempts already made still count, so that it has one left, unless they are reset.
    """

    async def act(jobs: JobEditor, job_id: str) -> None:
        from bullq.protocol.states import JobState

        await jobs.retry(
            job_id,
            JobState.COMPLETED if completed else JobState.FAILED,
            reset_attempts=reset_attempts,
        )

    _change(job, act, "waits again", to_json=to_json)


def promote(*, job: Job, to_json: Json = False) -> None:
    """Have a delayed job wait now."""

    async def act(jobs: JobEditor, job_id: str) -> None:
        await jobs.promote(job_id)

    _change(job, act, "waits now", to_json=to_json)


def remove(
    *,
    job: Job,
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave the job's children where they are.")
    ] = False,
    to_json: Json = False,
) -> None:
    """Remove a job and its children, unless one is active."""

    async def act(jobs: JobEditor, job_id: str) -> None:
        await jobs.remove(job_id, with_children=not alone)

    _change(job, act, "removed", to_json=to_json)


def add_to(group: typer.Typer) -> None:
    """Make these the commands of a group."""
    for command in (retry, promote, remove):
        group.command()(command)


def _change(
    reference: str, act: Callable[[JobEditor, str], Awaitable[None]], what: str, *, to_json: bool
) -> None:
    """Change the job called so, on the one queue that has it."""

    async def session(application: Bullq) -> tuple[str, str]:
        queues, job_id = places(application, reference)
        found = [name for name in queues if await application.queue(name).view.job(job_id)]
        if not found:
            raise CommandError(
                f"No job has the id {job_id!r} on {', '.join(queues)}.\n"
                "It was never queued there, or its record was removed after it ended.\n"
                f"'bullq jobs ls {queues[0]}' lists the jobs of a queue.",
                ExitCode.NOT_FOUND,
                "unknown-id",
            )
        if len(found) > 1:
            choices = ", ".join(f"{name}/{job_id}" for name in found)
            raise CommandError(
                f"Several queues have a job {job_id!r}; say which: {choices}",
                ExitCode.WRONG_INPUT,
                "usage",
            )
        await act(application.queue(found[0]).jobs, job_id)
        return found[0], job_id

    queue, job_id = with_app(session)
    if to_json:
        output.as_json({"queue": queue, "id": job_id, "done": what})
    else:
        output.line(f"{queue}/{job_id} {what}")
