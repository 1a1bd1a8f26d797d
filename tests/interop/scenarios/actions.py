"""What people do to jobs and queues, in programs and in dashboards."""

from __future__ import annotations

from bullq import RateLimit
from tests.interop.cell import Ends, Phase, Scenario
from tests.interop.scenarios.acts import FAILS, HOUR, OK, adding, done, to_job, to_queue

ACTIONS = [
    Scenario(
        "retry a failed job",
        (
            Phase(adding(({"failures": 1}, {})), (Ends("failed"),)),
            Phase(to_job("retry", "failed")),
        ),
    ),
    Scenario(
        "retry a completed job",
        (Phase(adding((OK, {}))), Phase(to_job("retry", "completed"), (Ends(count=2),))),
    ),
    Scenario(
        "retry all failed jobs",
        (
            Phase(adding(*[({"failures": 1}, {})] * 3), (Ends("failed", 3),)),
            Phase(to_queue("retry_all", "failed"), (Ends(count=3),)),
        ),
    ),
    done("promote a job", adding((OK, {"delay": HOUR})), to_job("promote")),
    done(
        "promote all jobs", adding(*[(OK, {"delay": HOUR})] * 3), to_queue("promote_all"), count=3
    ),
    done("change a delay", adding((OK, {"delay": HOUR})), to_job("change_delay", 50)),
    done(
        "change a priority",
        adding((OK, {"priority": 1}), (OK, {"priority": 2})),
        to_job("change_priority", 5),
        count=2,
    ),
    done(
        "change a priority, LIFO",
        adding((OK, {"priority": 3}), (OK, {"priority": 2})),
        to_job("change_priority_lifo", 2),
        count=2,
    ),
    done(
        "edit a job's data",
        adding(({"result": "old"}, {})),
        to_job("update_data", {"result": "new"}),
    ),
    done(
        "set progress, add log rows and clear them",
        adding((OK, {})),
        *(to_job("log", row) for row in ("one", "two", "three")),
        to_job("clear_logs", 2),
        to_job("update_progress", {"half": True}),
    ),
    done("remove a job", adding((OK, {}), (OK, {})), to_job("remove")),
    done(
        "drain",
        adding((OK, {}), (OK, {"priority": 1}), (OK, {"delay": HOUR})),
        to_queue("drain"),
        count=0,
    ),
    done(
        "drain with delayed jobs",
        adding((OK, {}), (OK, {"delay": HOUR})),
        to_queue("drain_delayed"),
        count=0,
    ),
    Scenario(
        "clean completed jobs",
        (
            Phase(adding(*[(OK, {})] * 3), (Ends(count=3),)),
            Phase(to_queue("clean", "completed", 2), ()),
        ),
    ),
    Scenario(
        "clean failed jobs",
        (Phase(adding((FAILS, {})), (Ends("failed"),)), Phase(to_queue("clean", "failed", 0), ())),
    ),
    done(
        "clean waiting, prioritised and delayed jobs",
        adding(*[(OK, {})] * 3, (OK, {"priority": 1}), (OK, {"delay": HOUR})),
        *(to_queue("clean", state, 0) for state in ("waiting", "prioritized", "delayed")),
        count=0,
    ),
    Scenario(
        "obliterate",
        (Phase(adding((OK, {}), (OK, {}))), Phase(to_queue("obliterate"), ())),
        is_heard_later=False,
    ),
]

LIMITS = [
    done("pause and resume", to_queue("pause"), adding((OK, {})), to_queue("resume")),
    done(
        "global concurrency",
        to_queue("set_concurrency", 1),
        adding(*[({"pause_ms": 20}, {})] * 3),
        count=3,
        concurrency=4,
    ),
    done(
        "global concurrency and rate limit taken away",
        to_queue("set_concurrency", 1),
        to_queue("set_rate_limit", 1, 60_000),
        to_queue("remove_concurrency"),
        to_queue("remove_rate_limit"),
        adding(*[(OK, {})] * 2),
        count=2,
    ),
    done(
        "global rate limit",
        to_queue("set_rate_limit", 1, 100),
        adding(*[(OK, {})] * 3),
        count=3,
        tells_drained=False,
    ),
    done(
        "rate limit of the worker",
        adding(*[(OK, {})] * 3),
        count=3,
        spec={"rate_limit": RateLimit(1, 0.1)},
        worker={"limiter": {"max": 1, "duration": 100}},
        tells_drained=False,
    ),
    done(
        "rate limit used up by hand (rateLimit)",
        to_queue("set_rate_limit", 100, 100),
        to_queue("hold_back", 150),
        adding((OK, {})),
    ),
]
