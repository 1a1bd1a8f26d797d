"""Judge from Redis' own records whether every job ended as it should, and how fast."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bullq import Bullq
from bullq.protocol.states import LISTED_STATES, JobState
from bullq.queues.inspect import JobDetail, list_jobs
from examples.shop.demo.plan import Expected, Plan
from examples.shop.demo.tally import RECURRING

RECURRING_RUNS = 2
"""How often the recurring job has to be seen."""

_ALL = 100_000
_SECOND = 1_000  # ms


@dataclass(frozen=True, slots=True)
class Figures:
    """What one queue did; latencies are from when a job was due to its pickup, in ms."""

    queue: str
    completed: int
    failed: int
    retried: int
    p50: int
    p99: int
    best_second: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of each queue, how many jobs of each kind did well, and what was wrong."""

    figures: list[Figures]
    kinds: Counter[str]
    problems: list[str]


async def judge(app: Bullq, plan: Plan, queues: list[str], shop_data: Path) -> Verdict:
    """Compare the records of all jobs, and what the jobs left behind, with the plan."""
    figures: list[Figures] = []
    kinds: Counter[str] = Counter()
    problems = list(plan.problems)
    for queue in queues:
        details = await list_jobs(app.queue(queue), list(LISTED_STATES), _ALL)
        found = {detail.record.id: detail for detail in details}
        figures.append(measure(queue, [one for one in details if one.state.is_final]))
        for expected in (one for one in plan.expected if one.queue == queue):
            wrong = compare(expected, found.pop(expected.id, None))
            problems += wrong
            kinds[expected.kind] += not wrong
        runs, unplanned = judge_others(list(found.values()))
        problems += [f"{queue}: {problem}" for problem in unplanned]
        if runs:
            kinds["recurring runs"] += runs
    if kinds["recurring runs"] < RECURRING_RUNS:
        problems.append(f"the recurring job ran {kinds['recurring runs']} times, not twice")
    return Verdict(figures, kinds, problems + judge_shop(plan, shop_data))


def compare(expected: Expected, detail: JobDetail | None) -> list[str]:
    """Say how a job differs from what was expected of it."""
    if detail is None:
        return [f"{expected.queue} {expected.id} ({expected.kind}): no such job"]
    record, outcome = detail.record, expected.outcome
    wrong: list[str] = []
    if detail.state is not outcome.state:
        wrong.append(f"is {detail.state}, not {outcome.state} ({record.failed_reason})")
    if record.attempts_made != outcome.attempts:
        wrong.append(f"took {record.attempts_made} attempts, not {outcome.attempts}")
    if outcome.reason not in (record.failed_reason or ""):
        wrong.append(f"says {record.failed_reason!r}, not {outcome.reason!r}")
    if record.stalled_count:
        wrong.append(f"stalled {record.stalled_count} times")
    return [f"{record.name} {record.id} ({expected.kind}): {text}" for text in wrong]


def judge_others(details: list[JobDetail]) -> tuple[int, list[str]]:
    """Count the runs of recurring jobs among the jobs nobody dispatched, and list the rest.

    A recurring job's next run waits for its time.
    """
    runs, problems = 0, []
    for detail in details:
        if detail.record.id.startswith(RECURRING) and detail.state is JobState.COMPLETED:
            runs += 1
        elif not detail.record.id.startswith(RECURRING) or detail.state is not JobState.DELAYED:
            problems.append(f"{detail.record.name} {detail.record.id} is {detail.state}, unplanned")
    return runs, problems


def judge_shop(plan: Plan, shop_data: Path) -> list[str]:
    """Compare what the jobs have done to the shop with the plan: neither too little nor twice."""
    file = shop_data / "shop.sqlite3"
    if not file.exists():
        return ["the shop has no database: none of its jobs has come so far"]
    with closing(sqlite3.connect(file)) as database:
        [payments] = database.execute("SELECT count(*) FROM payments").fetchone()
        [products] = database.execute("SELECT count(*) FROM products").fetchone()
    rows = {
        "emails": (len(list((shop_data / "mail").glob("*.eml"))), plan.mails()),
        "payments": (payments, plan.payments()),
        "products": (products, 240 + 120),
        "sales reports": (len(list((shop_data / "reports").glob("sales-*.txt"))), 1),
    }
    return [f"{are} {what}, not {should}" for what, (are, should) in rows.items() if are != should]


def measure(queue: str, ended: list[JobDetail]) -> Figures:
    """Work a queue's figures out of the records of its finished jobs."""
    states = Counter(detail.state for detail in ended)
    records = [detail.record for detail in ended]
    # A retried job's record tells of its last pickup only, which its backoff has put off.
    latencies = sorted(
        max(0, one.processed_on - one.timestamp - int(one.options.get("delay") or 0))
        for one in records
        if one.attempts_started == 1
    )
    return Figures(
        queue=queue,
        completed=states[JobState.COMPLETED],
        failed=states[JobState.FAILED],
        retried=sum(one.attempts_started > 1 for one in records),
        p50=percentile(latencies, 50),
        p99=percentile(latencies, 99),
        best_second=most_within(sorted(one.finished_on for one in records), _SECOND),
    )


def percentile(ordered: list[int], percent: int) -> int:
    """Give the least value that *percent* of the values do not exceed; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def most_within(times: list[int], span: int) -> int:
    """Count the times in the fullest window of *span*; *times* are in order."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - span:
            first += 1
        most = max(most, last - first + 1)
    return most
