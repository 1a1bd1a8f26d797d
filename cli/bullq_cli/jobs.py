"""`bullq jobs`: list the jobs of a queue, show one with everything that is known of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bullq_cli import output
from bullq_cli.exits import CommandError, ExitCode
from bullq_cli.session import with_app
from bullq_cli.usage import PlainCommand

if TYPE_CHECKING:
    from bullq.app import Bullq
    from bullq.queues.inspect import JobDetail

app = typer.Typer(help="Look at jobs, and change them.", invoke_without_command=True)


class State(StrEnum):
    """The states that can be asked for: the library's, which --help must not import."""

    WAITING = "waiting"
    ACTIVE = "active"
    PRIORITIZED = "prioritized"
    DELAYED = "delayed"
    WAITING_CHILDREN = "waiting-children"
    COMPLETED = "completed"
    FAILED = "failed"


@app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@app.command("ls", cls=PlainCommand)
def ls(
    *,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.")],
    state: Annotated[
        list[State] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Only waiting, active, prioritized, delayed, waiting-children, completed or "
            "failed jobs; repeat for more.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many jobs of each state at most.")
    ] = 20,
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """List the jobs of a queue.

    They come state by state; those that ended, the newest first.
    """

    async def look(application: Bullq) -> list[JobDetail]:
        from bullq.protocol.states import LISTED_STATES, JobState
        from bullq.queues.inspect import list_jobs

        states: list[JobState] = [JobState(one.value) for one in state or ()]
        application.queues.spec(queue)
        return await list_jobs(application.queue(queue), states or list(LISTED_STATES), limit)

    jobs = [_facts(queue, detail) for detail in with_app(look)]
    if to_json:
        output.as_json(jobs)
    elif jobs:
        columns = ["id", "name", "state", "tries", "added", "took"]
        reasons = [" ".join((job["failed_reason"] or "").split()) for job in jobs]
        output.table(columns, [_row(job) for job in jobs], notes=("reason", reasons))
    else:
        output.note(f"no jobs on {queue}" + (f" that are {', '.join(state)}" if state else ""))


@app.command("show", cls=PlainCommand)
def show(
    *,
    job: Annotated[
        str,
        typer.Argument(metavar="ID", help="The job: queue/id, or id to search all queues."),
    ],
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Show all that is known of a job.

    That is all its fields, the rows of its log and the tracebacks of failed attempts.
    """

    async def look(application: Bullq) -> list[dict[str, Any]]:
        from bullq.queues.inspect import show_job

        queues, job_id = places(application, job)
        found = [(name, await show_job(application.queue(name), job_id)) for name in queues]
        if not any(detail for _, detail in found):
            raise CommandError(
                f"No job has the id {job_id!r} on {', '.join(queues)}.\n"
                "It was never queued there, or its record was removed after it ended.\n"
                f"'bullq jobs ls {queues[0]}' lists the jobs of a queue.",
                ExitCode.NOT_FOUND,
                "unknown-id",
            )
        return [_facts(name, detail) for name, detail in found if detail]

    found = with_app(look)
    if to_json:
        output.as_json(found[0] if len(found) == 1 else found)
        return
    for position, facts in enumerate(found):
        if position:
            output.line()
        _show(facts)


def places(application: Bullq, reference: str) -> tuple[list[str], str]:
    """Tell the queues to search, and the id; an id may itself hold a slash."""
    names = application.queues.names
    queue, slash, job_id = reference.partition("/")
    if slash and queue in names:
        return [queue], job_id
    return names, reference


_FIELDS = {
    "options": "options",
    "attempts": "attempts",
    "attempts_made": "attempts_made",
    "attempts_started": "attempts_started",
    "stalled": "stalled_count",
    "priority": "priority",
    "delay_ms": "delay",
    "added_ms": "timestamp",
    "started_ms": "processed_on",
    "finished_ms": "finished_on",
    "worker": "processed_by",
    "schedule": "scheduler_id",
    "progress": "progress",
    "failed_reason": "failed_reason",
    "stacktrace": "stacktrace",
}
"""What a job's fields are called for programs, and on its record."""


_TRIES = ("attempts_made", "attempts")


def _facts(queue: str, detail: JobDetail) -> dict[str, Any]:
    """Give what is known of a job, for programs; times in ms since the epoch, None for never.

    A field that holds what no client writes is None, and said to be a problem.
    """
    from bullq.engines.memo import read_steps
    from bullq.protocol.record import CorruptRecord

    record = detail.record
    facts: dict[str, Any] = {
        "id": record.id,
        "queue": queue,
        "name": record.name,
        "state": detail.state.value,
        "data": _parsed(record.data),
    }
    problems: list[str] = []
    for name, attribute in _FIELDS.items():
        try:
            value = getattr(record, attribute)
        except CorruptRecord as error:
            value = None
            if str(error) not in problems:
                problems.append(str(error))
        facts[name] = None if value == 0 and name.endswith("ed_ms") else value
    result = record.return_value
    return {
        **facts,
        "result": None if result is None else _parsed(result),
        "parked_until_ms": _parsed(record.fields.get("parked", "null")),
        "steps": read_steps(record.fields),
        "logs": detail.logs,
        "problems": problems,
    }


def _parsed(text: str) -> Any:
    """Read JSON; give the text itself where it is none, so that a broken job can be looked at."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _row(job: dict[str, Any]) -> list[str]:
    return [
        job["id"],
        job["name"],
        job["state"],
        _tries(job, "/"),
        _ago(job["added_ms"]),
        _took(job),
    ]


def _show(job: dict[str, Any]) -> None:
    from bullq.wording import counted

    due = job["state"] == "delayed" and (
        job["parked_until_ms"] or (job["added_ms"] or 0) + (job["delay_ms"] or 0)
    )
    lines = {
        "job": f"{job['queue']}/{job['name']}",
        "id": job["id"],
        "state": job["state"],
        "attempts": _tries(job, " of "),
        "priority": job["priority"] or None,
        "stalled": counted(int(job["stalled"]), "time") if job["stalled"] else None,
        "schedule": job["schedule"],
        "added": _moment(job["added_ms"]),
        "due": _moment(due or None),
        "started": _moment(job["started_ms"]),
        "finished": _moment(job["finished_ms"]),
        "took": _took(job),
        "worker": job["worker"],
        "progress": None if job["progress"] in (0, None) else _compact(job["progress"]),
        "payload": _compact(job["data"]),
        "result": None if job["state"] != "completed" else _compact(job["result"]),
        "reason": job["failed_reason"],
        "options": _compact(job["options"]),
    }
    for name, value in lines.items():
        if value not in (None, ""):
            _field(name, str(value))
    for problem in job["problems"]:
        _field("problem", problem)
    for key, step in job["steps"].items():
        _field("step", f"{key}: {_step(step)}")
    for row in job["logs"]:
        _field("log", row)
    traces = job["stacktrace"] or []
    for number, entry in enumerate(traces, start=1):
        output.line(f"\ntraceback {number} of {len(traces)}")
        for text in entry.rstrip().splitlines():
            output.line(f"  {text}")


def _field(name: str, value: str) -> None:
    """Print a field; the further lines of its value below the first one."""
    output.line(f"{name:<10}" + value.replace("\n", f"\n{'':<10}"))


def _step(step: Any) -> str:
    """Tell what a step has come to."""
    from bullq.wording import counted

    if not isinstance(step, dict):
        return _compact(step)
    if "result" in step:
        return _compact(step["result"])
    if error := step.get("error"):
        return f"failed: {error['name']}: {error['message']}"
    parts = {
        "failed": counted(int(step["failures"]), "time") if step.get("failures") else None,
        "until": _moment(step.get("until")),
        "waits for the job": step.get("child"),
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value) or "begun"


def _tries(job: dict[str, Any], between: str) -> str:
    made, attempts = ("?" if job[name] is None else job[name] for name in _TRIES)
    return f"{made}{between}{attempts}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _moment(ms: int | None) -> str | None:
    if not ms:
        return None
    return f"{datetime.fromtimestamp(ms / 1000, UTC).astimezone():%Y-%m-%d %H:%M:%S} ({_ago(ms)})"


def _ago(ms: int | None) -> str:
    from bullq.clock import format_ms

    if not ms:
        return "never"
    distance = round(time.time() * 1000) - ms
    return f"{format_ms(distance)} ago" if distance >= 0 else f"in {format_ms(-distance)}"


def _took(job: dict[str, Any]) -> str:
    from bullq.clock import format_ms

    if not job["started_ms"] or not job["finished_ms"]:
        return ""
    return format_ms(max(0, job["finished_ms"] - job["started_ms"]))
