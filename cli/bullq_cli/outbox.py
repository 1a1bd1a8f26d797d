"""`bullq outbox`: look at the jobs that no engine could take, deliver them, remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode, wrong_input
from bullq_cli.inputs import duration
from bullq_cli.session import with_app
from bullq_cli.usage import PlainCommand

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.dispatch.handoffs import Handoffs
    from bullq.dispatch.outbox import Kept, Outbox

app = typer.Typer(
    help="Look at jobs that no engine could take, and deliver them.", invoke_without_command=True
)
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@app.command("ls", cls=PlainCommand)
def ls(
    *,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Only jobs of this queue.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many jobs at most.")] = 100,
    to_json: Json = False,
) -> None:
    """List the jobs in the outbox, those that came first first."""

    async def act(app: Bullq) -> list[Kept]:
        return await _outbox(app)[1].jobs(queue, limit=limit)

    jobs = with_app(act)
    if to_json:
        output.as_json([_told(job) for job in jobs])
        return
    from bullq.clock import format_ms
    from bullq.dispatch.outbox import now_ms

    rows = [
        (job.queue, job.name, job.id, _whose(job), format_ms(now_ms() - job.kept_ms))
        for job in jobs
    ]
    columns = ("queue", "job", "id", "may have it", "kept for")
    output.table(columns, rows, numbers=1, notes=("problem", [job.problem for job in jobs]))


@app.command("flush", cls=PlainCommand)
def flush(
    *,
    deadline: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to try at most.")
    ] = "30s",
    to_json: Json = False,
) -> None:
    """Deliver the jobs in the outbox to whoever takes them."""
    from bullq.wording import counted

    seconds = duration("--deadline", deadline) or 0.0

    async def act(app: Bullq) -> tuple[int, int, int]:
        import asyncio
        import contextlib

        handoffs, outbox = _outbox(app)
        before, _ = await outbox.depth()
        relay = handoffs.relay()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if relay is not None:
                    await relay.run(until_empty=True)
        left, _ = await outbox.depth()
        held = sum(bool(job.problem) for job in await outbox.jobs(limit=left or 1))
        return max(0, before - left), left, held

    delivered, left, held = with_app(act)
    if to_json:
        output.as_json({"delivered": delivered, "left": left, "held_back": held})
    else:
        output.line(f"{counted(delivered, 'job')} delivered, {left:,} left")
    if left:
        why = f"{held:,} of them are held back: 'bullq outbox ls' says why.\n" if held else ""
        raise CommandError(
            f"{counted(left, 'job')} still in the outbox\n{why}Nobody took the others in time.",
            ExitCode.FAILED,
            "outbox-left",
            {"left": left, "held_back": held},
        )


@app.command("rm", cls=PlainCommand)
def rm(
    *,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The jobs' queue.")],
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The jobs' ids.")],
    to_json: Json = False,
) -> None:
    """Remove jobs from the outbox, undelivered."""
    from bullq.wording import counted

    async def act(app: Bullq) -> int:
        return await _outbox(app)[1].remove((queue, one) for one in ids)

    removed = with_app(act)
    if not removed:
        raise CommandError(
            f"The outbox has none of these jobs of the queue {queue!r}\n"
            "'bullq outbox ls' lists those that it has.",
            ExitCode.NOT_FOUND,
            "unknown-id",
        )
    if to_json:
        output.as_json({"queue": queue, "removed": removed})
    else:
        output.line(f"{counted(removed, 'job')} removed, not to run")


def _outbox(app: Bullq) -> tuple[Handoffs, Outbox]:
    outbox = app.handoffs.means.outbox
    if outbox is None:
        raise wrong_input(
            "This application has no outbox.\nBULLQ_OUTBOX names its file, as in "
            "BULLQ_OUTBOX=.bullq/outbox.db"
        )
    return app.handoffs, outbox


def _whose(job: Kept) -> str:
    """Name the engines that may have the job already."""
    engines = [name for name, has in (("bullmq", job.maybe), ("inngest", job.sent)) if has]
    return ", ".join(engines) or "nobody"


def _told(job: Kept) -> dict[str, object]:
    return {
        "queue": job.queue,
        "name": job.name,
        "id": job.id,
        "data": job.data,
        "kept_ms": job.kept_ms,
        "due_ms": job.due_ms,
        "may_be_on_bullmq": job.maybe,
        "may_be_on_inngest": job.sent,
        "may_go_to_inngest": job.may_leave,
        "problem": job.problem or None,
        "order_key": job.order_key or None,
    }
