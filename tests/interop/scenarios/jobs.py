"""Jobs and how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.interop.cell import Ends, Phase, Scenario
from tests.interop.scenarios.acts import (
    FAILS,
    HOUR,
    OK,
    adding,
    all_of,
    done,
    putting,
    to_queue,
    worked,
)

_RETRY = {"attempts": 2, "backoff": {"type": "fixed", "delay": 50}}
_EXPONENTIAL = {"attempts": 3, "backoff": {"type": "exponential", "delay": 20}}
_LATER = {"delay": 2_100}
_TEXT = 'żółć ✓ 漢字 \U0001f389 \u2028 \x00 \x1f \\ "'

JOBS = [
    worked("payload and result with Unicode", ({"result": {"a": [1, None, _TEXT]}}, {})),
    worked("payload and result of 1 MB", ({"result": "x" * 1_000_000}, {})),
    worked("result null", ({}, {})),
    worked("progress and logs", ({"progress": {"page": 3}, "log": ["a", "b"], "result": "x"}, {})),
    worked("keepLogs", ({"log": ["a", "b", "c"]}, {"keepLogs": 2})),
    worked("failure", (FAILS, {}), event="failed"),
    worked("failure after all attempts", (FAILS, {"attempts": 3}), event="failed"),
    worked("failure for good (UnrecoverableError)", ({"give_up": "no"}, _RETRY), event="failed"),
    worked("stackTraceLimit", (FAILS, {"attempts": 3, "stackTraceLimit": 1}), event="failed"),
    worked("retry with fixed backoff", ({"failures": 1, "result": 2}, _RETRY)),
    worked("retry with exponential backoff", ({"failures": 2}, _EXPONENTIAL)),
    worked("retry at once", ({"failures": 1, "result": 2}, {"attempts": 2})),
    worked("retry at once, LIFO", ({"failures": 1}, {"attempts": 2, "lifo": True})),
    worked("retry of a prioritised job", ({"failures": 1}, {"priority": 2, **_RETRY})),
    worked("delay", (OK, {"delay": 60})),
    worked("priorities", (OK, {"priority": 9}), (OK, {"priority": 1}), (OK, {}), count=3),
    worked("LIFO", (OK, {}), (OK, {"lifo": True}), (OK, {"lifo": True}), count=3),
    worked("removeOnComplete: true", (OK, {"removeOnComplete": True})),
    worked("removeOnComplete: count", *[(OK, {"removeOnComplete": 2})] * 4, count=4),
    worked(
        "removeOnComplete: count and age",
        *[(OK, {"removeOnComplete": {"age": 60, "count": 1}})] * 3,
        count=3,
    ),
    worked(
        "removeOnComplete: age",
        (OK, {"removeOnComplete": {"age": 1}}),
        (OK, {"removeOnComplete": {"age": 1}, **_LATER}),
        count=2,
        tells_drained=False,
    ),
    worked("removeOnFail: true", (FAILS, {"removeOnFail": True}), event="failed"),
    worked("removeOnFail: count", *[(FAILS, {"removeOnFail": 1})] * 3, event="failed", count=3),
    Scenario(
        "job that has stalled too often",
        (
            Phase(
                all_of(
                    adding((OK, {"attempts": 3})),
                    putting(defa="job stalled more than allowable limit", stc="2", ats="2"),
                ),
                (Ends("failed"),),
            ),
        ),
    ),
    Scenario(
        "attempts counted by an older client (attemptsMade)",
        (
            Phase(
                all_of(adding((FAILS, {"attempts": 3})), putting(attemptsMade="2")),
                (Ends("failed"),),
            ),
        ),
    ),
    worked("the same id twice", *[(OK, {"jobId": "same"})] * 2),
    Scenario(
        "metrics",
        (
            Phase(adding((OK, {}), (FAILS, {}), (OK, {})), (Ends(count=2), Ends("failed"))),
            Phase(adding((OK, {"jobId": "more"})), (Ends(id="more"),)),
        ),
        spec={"metrics_for": timedelta(minutes=10)},
        worker={"metrics": {"maxDataPoints": 10}},
    ),
    worked("many jobs in order", *[(OK, {})] * 30, count=30),
    worked(
        "many jobs side by side",
        *[({"failures": n % 3 == 0}, {"attempts": n % 2 + 1}) for n in range(60)],
        count=50,
        concurrency=10,
        jobs_apart=True,
    ),
]


def _once(**options: Any) -> dict[str, Any]:
    return {"deduplication": {"id": "one", **options}}


_LAST = _once(keepLastIfActive=True)

DEDUPLICATION = [
    worked("deduplication", *[(OK, _once())] * 2),
    worked("deduplication: ttl (throttle)", *[(OK, _once(ttl=60_000))] * 2),
    worked(
        "deduplication: extend and replace (debounce)",
        *[
            ({"result": n}, {**_once(ttl=60_000, extend=True, replace=True), "delay": 60})
            for n in (1, 2)
        ],
    ),
    worked(
        "deduplication: replace",
        *[({"result": n}, {**_once(replace=True), "delay": 60}) for n in (1, 2)],
    ),
    Scenario(
        "deduplication: keepLastIfActive",
        (
            Phase(
                # As long as two jobs take to be added, on the busiest of machines.
                adding(({"result": 1, "pause_ms": 2_000}, _LAST)),
                (Ends(count=2),),
                begun=Ends("active"),
                meanwhile=adding(
                    ({"result": 2}, {"jobId": "next-2", **_LAST}),
                    ({"result": 3}, {"jobId": "next-3", **_LAST}),
                ),
            ),
        ),
    ),
    done(
        "deduplication key removed",
        adding((OK, {**_once(), "delay": HOUR})),
        to_queue("forget_deduplication", "one"),
        adding((OK, {"jobId": "second", **_once()})),
        tells_drained=False,
    ),
]
