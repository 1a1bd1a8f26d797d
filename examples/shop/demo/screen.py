"""Show the demo: live bars on a terminal, plain lines elsewhere, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from examples.shop.demo.tally import QueueTally
from examples.shop.demo.verdict import Verdict

_LINE_EVERY = 1.0  # seconds between plain lines
_PROBLEMS = 20  # lines of them that are shown


class Screen:
    """The output of one run of the demo."""

    def __init__(self, console: Console, queues: list[str]) -> None:
        self.console = console
        self._began = time.monotonic()
        self._line_due = 0.0
        self._progress = Progress(
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=26, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=12,
        )
        self._bars = {
            queue: self._progress.add_task(queue, total=None, note="") for queue in queues
        }

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the bars as they are: what is printed from now on comes below them."""
        self._progress.stop()

    def log(self, text: str) -> None:
        """Print lines of a log as they are, below the bars."""
        self.stop()
        self.console.print(f"\n{text}", markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line, above the bars."""
        self.console.print(text, highlight=False)

    def show(self, tallies: Mapping[str, QueueTally], totals: Mapping[str, int]) -> None:
        """Show how far each queue is; its total grows while jobs are dispatched."""
        for queue, tally in tallies.items():
            done = len(tally.ended) - tally.recurring
            self._progress.update(
                self._bars[queue], completed=done, total=totals[queue], note=_note(tally)
            )
        if self.console.is_terminal or not any(totals.values()):
            return
        if time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + _LINE_EVERY
            parts = [
                f"{queue} {len(tally.ended) - tally.recurring}/{totals[queue]}"
                for queue, tally in tallies.items()
            ]
            self.say(f"{time.monotonic() - self._began:5.1f} s  {'   '.join(parts)}")

    def conclude(self, verdict: Verdict) -> None:
        """Print what was done, the figures, and what was wrong."""
        seconds = time.monotonic() - self._began
        self.stop()
        self.say("\n[bold]Jobs that ended as they should[/bold]\n")
        self.console.print(_kinds(verdict))
        self.console.print()
        self.console.print(_table(verdict))
        self.say(
            "[dim]  pickup: from when a job was due until it began, its wait in line included\n"
            "  jobs/s: in the queue's busiest second[/dim]\n"
        )
        jobs = sum(one.completed + one.failed for one in verdict.figures)
        if verdict.problems:
            self.fail(f"Not every one of {jobs} jobs ended as it should:", verdict.problems)
        else:
            self.say(f"[green]All {jobs} jobs ended as they should[/green], in {seconds:.1f} s.")

    def fail(self, sentence: str, details: list[str]) -> None:
        """Print what went wrong."""
        self.stop()
        self.say(f"[red]{sentence}[/red]")
        for detail in details[:_PROBLEMS]:
            self.console.print(f"  {detail}", markup=False, highlight=False)
        if len(details) > _PROBLEMS:
            self.say(f"  ... and {len(details) - _PROBLEMS} more")


def _note(tally: QueueTally) -> str:
    notes = {"failed": tally.failed, "retried": tally.retried, "recurring": tally.recurring}
    return ", ".join(f"{count} {what}" for what, count in notes.items() if count)


def _kinds(verdict: Verdict) -> Table:
    grid = Table.grid(padding=(0, 2))
    kinds = [f"[bold]{count:>4}[/bold]  {kind}" for kind, count in verdict.kinds.items()]
    half = -(-len(kinds) // 2)
    for row in range(half):
        grid.add_row(*kinds[row::half])
    return grid


def _table(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("  queue")
    for heading in ("completed", "failed", "retried", "pickup p50", "p99", "jobs/s"):
        table.add_column(heading, justify="right")
    for one in verdict.figures:
        table.add_row(
            f"  {one.queue}",
            f"{one.completed:,}",
            f"{one.failed:,}",
            f"{one.retried:,}",
            f"{one.p50:,} ms",
            f"{one.p99:,} ms",
            f"{one.best_second:,}",
        )
    return table
