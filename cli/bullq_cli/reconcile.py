"""`bullq reconcile`: after an outage, settle what is in doubt and say what cannot be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode
from bullq_cli.session import with_app

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.dispatch.reconcile import Finding


def reconcile(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what is in doubt, and change nothing.")
    ] = False,
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Settle what an outage has left in doubt.

    Looks through the outbox of this machine, and on every queue of the application for jobs that
    should have begun, or whose events were not accepted. What cannot be known is told.
    """
    from bullq.wording import counted

    async def act(app: Bullq) -> list[Finding]:
        reconciliation = app.reconciliation()
        return await (reconciliation.look() if dry_run else reconciliation.settle())

    findings = with_app(act)
    if to_json:
        output.as_json([one._asdict() for one in findings])
    elif findings:
        rows = [(one.queue, one.id, one.kept, "yes" if one.settled else "no") for one in findings]
        whats = [one.what for one in findings]
        output.table(("queue", "id", "kept in", "settled"), rows, notes=("what is known", whats))
    else:
        output.line("nothing is in doubt")
    left = sum(not one.settled for one in findings)
    if left and not dry_run:
        raise CommandError(
            f"{counted(left, 'job')} still in doubt\nThe list says what is known of each.\n"
            "'bullq outbox rm' removes those that are not to run.",
            ExitCode.FAILED,
            "in-doubt",
            {"left": left},
        )
