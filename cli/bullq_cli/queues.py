"""`bullq queues`: how many jobs are where, and who works on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.session import with_app
from bullq_cli.usage import PlainCommand

if TYPE_CHECKING:
    from bullq.app import Bullq

app = typer.Typer(help="Look at queues, and run them.", invoke_without_command=True)

_COLUMNS = {
    "waiting": "waiting",
    "active": "active",
    "delayed": "delayed",
    "prioritized": "priority",
    "failed": "failed",
    "completed": "completed",
}
"""The states shown, and the columns' heads, which leave room for 80 columns in all."""


@app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@app.command("ls", cls=PlainCommand)
def ls(to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False) -> None:
    """List the application's queues.

    For each: its jobs by state, whether it is paused, its workers in Python and Node, and how
    many jobs a worker started here would run at once (slots).
    """
    rows = with_app(_look)
    if to_json:
        output.as_json(rows)
        return
    output.table(
        ["queue", *_COLUMNS.values(), "paused", "workers", "slots"],
        [
            [
                row["name"],
                *(row[state] for state in _COLUMNS),
                "yes" if row["paused"] else "no",
                len(row["workers"]),
                row["concurrency"],
            ]
            for row in rows
        ],
        numbers=len(_COLUMNS) + 3,
    )


async def _look(application: Bullq) -> list[dict[str, Any]]:
    from bullq.queues.inspect import overview

    rows = []
    for name in application.queues.names:
        seen = await overview(application.queue(name))
        counts = {state.value: count for state, count in seen.counts.items()}
        rows.append(
            {
                "name": seen.name,
                **counts,
                "paused": seen.paused,
                "workers": seen.workers,
                "concurrency": application.queues.spec(name).concurrency,
            }
        )
    return rows
