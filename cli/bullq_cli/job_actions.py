"""`bullq jobs retry`, `promote`, `remove`, `tree`: change one job, or see what it waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode
from bullq_cli.jobs import places
from bullq_cli.session import with_app
from bullq_cli.usage import PlainCommand

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.queues.editing import JobEditor
    from bullq.queues.trees import TreeNode

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


def tree(
    *,
    job: Job,
    depth: Annotated[int, typer.Option(min=1, metavar="N", help="How many levels to show.")] = 10,
    to_json: Json = False,
) -> None:
    """Show a job with its children, and theirs."""

    async def look(application: Bullq) -> TreeNode:
        queue, job_id = await _found(application, job)
        return await application.queue(queue).tree(job_id, depth=depth)

    root = with_app(look)
    if to_json:
        output.as_json(_facts(root))
    else:
        for text in _lines(root):
            output.line(text)


def _lines(node: TreeNode, indent: str = "") -> Iterator[str]:
    name = node.record.name if node.record else "(its record is gone)"
    yield f"{indent}{node.queue}/{name} {node.id} {node.state.value}"
    for child in node.children:
        yield from _lines(child, f"{indent}  ")
    if node.unread:
        yield f"{indent}  and {node.unread:,} more"


def _facts(node: TreeNode) -> dict[str, Any]:
    return {
        "queue": node.queue,
        "id": node.id,
        "name": node.record.name if node.record else None,
        "state": node.state.value,
        "children": [_facts(child) for child in node.children],
        "unread": node.unread,
    }


def add_to(group: typer.Typer) -> None:
    """Make these the commands of a group."""
    for command in (retry, promote, remove, tree):
        group.command(cls=PlainCommand)(command)


def _change(
    reference: str, act: Callable[[JobEditor, str], Awaitable[None]], what: str, *, to_json: bool
) -> None:
    """Change the job called so, on the one queue that has it."""

    async def session(application: Bullq) -> tuple[str, str]:
        queue, job_id = await _found(application, reference)
        await act(application.queue(queue).jobs, job_id)
        return queue, job_id

    queue, job_id = with_app(session)
    if to_json:
        output.as_json({"queue": queue, "id": job_id, "done": what})
    else:
        output.line(f"{queue}/{job_id} {what}")


async def _found(application: Bullq, reference: str) -> tuple[str, str]:
    """Give the one queue that has the job called so, and the job's id."""
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
    return found[0], job_id
