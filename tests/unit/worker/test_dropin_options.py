"""The official worker's options mean what they mean there, or are refused with a remedy."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bullq.errors import InvalidOptionError
from bullq.worker.dropin.options import REMEDIES, TAKEN, check_processor, read_options
from bullq.worker.dropin.worker import Worker
from bullq.worker.wakeup import LONGEST_BLOCK


def test_without_options_it_is_the_official_worker() -> None:
    options = read_options("any:name", {})
    spec = options.spec
    assert (options.address, options.prefix) == ("redis://localhost:6379/0", "bull")
    assert (spec.name, spec.concurrency, spec.max_stalled_count) == ("any:name", 1, 1)
    assert spec.lock_duration == spec.stalled_interval == timedelta(seconds=30)
    assert options.renew_locks_every == timedelta(seconds=15)
    assert options.autorun
    assert options.longest_block == LONGEST_BLOCK
    assert options.name is options.backoff_strategy is spec.metrics_for is spec.rate_limit is None
    assert options.retention == {}


def test_every_option_is_read() -> None:
    def strategy() -> None: ...

    options = read_options(
        "q",
        {
            "autorun": False,
            "backend": "redis",
            "concurrency": 7,
            "connection": "redis://cache:1/2",
            "drainDelay": 0.5,
            "limiter": {"max": 3, "duration": 250},
            "lockDuration": 100,
            "lockRenewTime": 20,
            "maxStalledCount": 0,
            "metrics": {"maxDataPoints": 60},
            "name": "w",
            "prefix": "p",
            "removeOnComplete": True,
            "removeOnFail": {"age": 5},
            "runRetryDelay": 0,
            "settings": {"backoffStrategy": strategy},
            "skipVersionCheck": True,
            "skipWaitingForReady": True,
            "stalledInterval": 50,
            "telemetry": None,
        },
    )
    spec = options.spec
    assert (options.address, options.prefix, options.name) == ("redis://cache:1/2", "p", "w")
    assert (spec.concurrency, spec.max_stalled_count, spec.lock_duration_ms) == (7, 0, 100)
    assert spec.stalled_interval == timedelta(milliseconds=50)
    assert spec.rate_limit is not None
    assert spec.rate_limit.limiter == {"max": 3, "duration": 250}
    assert options.renew_locks_every == timedelta(milliseconds=20)
    assert (options.autorun, options.longest_block, spec.metrics_minutes) == (False, 0.5, 60)
    assert options.retention == {"removeOnComplete": True, "removeOnFail": {"age": 5}}
    assert options.backoff_strategy is strategy


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"concurency": 3}, "has no option 'concurency': did you mean 'concurrency'"),
        ({"zzz": 3}, "has no option 'zzz': there are autorun, backend, concurrency"),
        ({"concurrency": 0}, "'concurrency' is a number from 1, not 0"),
        ({"concurrency": True}, "'concurrency' is a number from 1, not True"),
        ({"concurrency": float("inf")}, "'concurrency' is a number from 1, not inf"),
        ({"concurrency": 1.5}, "'concurrency' is a whole number, not 1.5"),
        ({"concurrency": "3"}, "'concurrency' is a number from 1, not '3'"),
        ({"lockDuration": 0}, "'lockDuration' is a number from 1, not 0"),
        ({"lockRenewTime": 0}, "'lockRenewTime' is a number from 1, not 0"),
        ({"stalledInterval": None}, "'stalledInterval' is a number from 1, not None"),
        ({"drainDelay": -1}, "'drainDelay' is a number from 0, not -1"),
        ({"removeOnComplete": "all"}, "'removeOnComplete' is True, False, how many jobs to keep"),
        ({"removeOnFail": {"ages": 5}}, "'removeOnFail' is .* 'age' .* not {'ages': 5}"),
        ({"removeOnFail": {"age": "5"}}, "'removeOnFail' is .* not {'age': '5'}"),
        ({"maxStalledCount": -1}, "'maxStalledCount' is a number from 0, not -1"),
        ({"runRetryDelay": "x"}, "'runRetryDelay' is a number"),
        ({"name": 5}, "'name' is text, not 5"),
        ({"limiter": {"max": 1}}, "'limiter' is a dict of 'max' and 'duration'"),
        ({"limiter": {"max": 0, "duration": 5}}, "'max' is a number from 1, not 0"),
        ({"metrics": 5}, "'metrics' is a dict of 'maxDataPoints', not 5"),
        ({"settings": {"repeatStrategy": 1}}, "'settings' is a dict of 'backoffStrategy'"),
        ({"settings": {"backoffStrategy": 1}}, "'backoffStrategy' is a function, not 1"),
        ({"backend": "postgres"}, "'backend' is 'postgres', .* keep bullmq.Worker"),
        ({"schema": "s"}, "'schema' is not supported, leave it out: .* keep bullmq.Worker"),
        ({"skipLockRenewal": True}, "'skipLockRenewal' is not supported, leave it out: without"),
        ({"telemetry": object()}, "'telemetry' is not supported, leave it out"),
        ({"connection": 5}, "'connection' is a URL"),
        ({"connection": "http://x"}, "option 'connection': 'http://x' is no address of a Redis"),
        ({"connection": "redis+cluster://x"}, "'redis.cluster://x' names a cluster"),
    ],
)
def test_what_cannot_be_honoured_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidOptionError, match=sentence):
        read_options("q", given)


@pytest.mark.parametrize("kept", [True, False, None, 0, 5, -1, {}, {"age": 5, "count": 2}])
def test_how_long_jobs_are_kept_is_taken_in_all_forms(kept: Any) -> None:
    assert read_options("q", {"removeOnComplete": kept}).retention == {"removeOnComplete": kept}


def test_an_idle_queue_is_not_asked_without_a_pause() -> None:
    assert read_options("q", {"drainDelay": 0}).longest_block == 0.05


def test_a_processor_is_a_function() -> None:
    check_processor(None)
    check_processor(print)
    with pytest.raises(InvalidOptionError, match=r"not 5$"):
        check_processor(5)
    with pytest.raises(InvalidOptionError, match=r"not 'jobs\.py'\. Files are for Node's worker"):
        Worker("q", "jobs.py", {"autorun": False})  # type: ignore[arg-type] # as Node's takes it


def test_a_queue_has_a_name() -> None:
    name: Any = None
    with pytest.raises(InvalidOptionError, match="A queue's name is text, not None"):
        read_options(name, {})


def test_the_page_says_what_becomes_of_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "drop-in.md").read_text(encoding="utf-8")
    section = page.partition("## Options")[2].partition("## ")[0]
    told = set(re.findall(r"`(\w+)", section))
    assert {*TAKEN, *REMEDIES} <= told
    assert read_options("q", dict.fromkeys(REMEDIES)).retention == {}
