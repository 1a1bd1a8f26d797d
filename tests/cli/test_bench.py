from __future__ import annotations

import asyncio
import json
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import redis
from bullq_cli.bench.figures import Point, Run, curve, steady_rate
from bullq_cli.bench.knee import env_lines, knee, next_better, recommend, words
from bullq_cli.bench.plan import BUCKETS_PER_SECOND, LADDER, Kind, Load, Plan
from bullq_cli.bench.svg import Picture, draw
from bullq_cli.bench.sweep import Sweep
from bullq_cli.bench.terminal import bar, chart

from tests.support.commands import Project

QUICK = ("--time", "3s", "--rounds", "1", "--concurrency", "1,4", "--processes", "1")


def point(processes: int, concurrency: int, *rates: float) -> Point:
    runs = [Run(rate=rate, redis_us=30, memory=50_000_000, pickups=(1.0, 2.0)) for rate in rates]
    return Point(processes, concurrency, runs)


def saturating(processes: int = 1, limit: float = 9_000) -> list[Point]:
    """Give the curve of jobs that wait 10 ms, up to a *limit*."""
    return [point(processes, one, min(one * 90.0 * processes, limit)) for one in LADDER]


def kept(database: redis.Redis) -> list[str]:
    return list(database.scan_iter(match="bullq-bench-*", count=1_000))


def test_the_knee_of_a_curve_is_where_more_jobs_gain_less_than_a_twentieth() -> None:
    assert knee(saturating()).concurrency == 100
    flat = [point(1, one, rate) for one, rate in ((1, 195), (2, 200), (5, 201))]
    assert knee(flat).concurrency == 1
    noisy = [point(1, one, rate) for one, rate in ((1, 100), (10, 980), (20, 940), (50, 1_000))]
    assert knee(noisy).concurrency == 10


def test_few_processes_are_recommended_unless_more_are_faster() -> None:
    no_gain = [*saturating(1), *saturating(2)]
    chosen = recommend(no_gain).chosen
    assert (chosen.processes, chosen.concurrency) == (1, 100)
    gain = [*saturating(1), *saturating(2, limit=17_000)]
    chosen = recommend(gain).chosen
    assert (chosen.processes, chosen.concurrency) == (2, 100)


def test_the_recommendation_reaches_its_part_of_the_best() -> None:
    points = [*saturating(1), *saturating(2, limit=9_300)]
    found = recommend(points)
    assert (found.chosen.processes, found.best.rate) == (1, 9_300)
    assert found.share == pytest.approx(9_000 / 9_300)
    assert next_better(points, found.chosen) is found.best


def test_a_rate_that_still_rises_is_told() -> None:
    rising = [point(1, one, one * 90.0) for one in LADDER]
    found = recommend(rising)
    assert found.unfinished
    assert "--concurrency 1000,2000" in " ".join(words("default", found))
    assert not recommend(saturating()).unfinished


def test_a_recommendation_is_told_in_words_and_as_settings() -> None:
    found = recommend([*saturating(1), *saturating(2, limit=17_000)])
    told = words("data-sync", found)
    assert told[0].startswith("Queue data-sync: 100 jobs at once in 2 processes: 17,000 jobs/s")
    assert env_lines("data-sync", found) == [
        "BULLQ_QUEUES__DATA_SYNC__CONCURRENCY=100",
        "WORKER_REPLICAS_DATA_SYNC=2",
    ]
    assert env_lines("default", recommend(saturating())) == [
        "BULLQ_QUEUES__DEFAULT__CONCURRENCY=100"
    ]


def test_medians_and_spread_come_from_all_runs() -> None:
    one = point(1, 10, 100, 300, 200)
    assert (one.slowest, one.rate, one.fastest) == (100, 200, 300)
    assert (one.pickup(50), one.pickup(99)) == (2.0, 2.0)
    assert curve([point(2, 5, 1), point(1, 9, 1), point(1, 3, 1), Point(1, 7)], 1) == [
        point(1, 3, 1),
        point(1, 9, 1),
    ]


def test_a_rate_leaves_out_how_a_run_begins_and_ends() -> None:
    steady = dict.fromkeys(range(1_000, 1_100), 10)
    assert steady_rate(steady, 100) == pytest.approx(1_000)
    # A slow start and a straggler change nothing.
    assert steady_rate({900: 1, **steady, 1_900: 1}, 100) == pytest.approx(1_000)
    assert steady_rate({5: 20}, 100) == pytest.approx(2_000)


def test_the_time_is_shared_among_the_runs() -> None:
    plan = Plan(processes=(1, 2), seconds=90)
    runs = len(plan.concurrencies) * len(plan.processes) * plan.rounds
    assert 0.3 <= plan.window * runs / plan.seconds <= 0.4
    assert Plan(concurrencies=(1,), rounds=1, seconds=3_600).window == 2.0


class FastQueue(Sweep):
    """Stands for a queue of 12,000 jobs/s, too fast for the bucket that a few jobs fill."""

    def __init__(self) -> None:
        nobody: Any = None
        load, plan = Load(kind=Kind.NOOP, queue="default"), Plan(seconds=9.0)
        super().__init__(nobody, "noop", crew=(), site=nobody, load=load, plan=plan)
        self.drained: list[int] = []

    async def _drain(self, point: Point, expected: float) -> Run:
        count = self._jobs(point, expected)
        self.drained.append(count)
        rate = min(12_000, count * BUCKETS_PER_SECOND)
        return Run(rate=rate, redis_us=30, memory=50_000_000)

    async def _pickups(self, *_: object) -> tuple[float, ...]:
        return ()


def test_a_run_of_far_too_few_jobs_does_not_count() -> None:
    queue = FastQueue()
    run = asyncio.run(queue._measure(Point(1, 1), 100.0))
    assert queue.drained[0] * BUCKETS_PER_SECOND < run.rate == 12_000
    assert queue.drained == sorted(queue.drained)
    assert len(queue.drained) < 5


def test_the_drawing_is_well_formed_and_marks_the_knee() -> None:
    points = [*saturating(1), *saturating(2, limit=17_000)]
    found = recommend(points)
    text = draw([Picture(title='a "<job>" & more', points=points, found=found)], "T<>", "sub")
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert 'a "<job>" & more' in texts
    assert "100 at once: 17,000 jobs/s" in texts
    assert {"1 process", "2 processes"} <= set(texts)
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 6  # rate, p50 and p99, each of both numbers of processes
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for line in lines:
        for pair in line.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_one_setting_alone_can_be_drawn() -> None:
    points = [point(1, 1, 5.0)]
    ET.fromstring(draw([Picture(title="t", points=points, found=recommend(points))], "T", "s"))


def test_the_terminal_shows_a_bar_each_and_marks_the_knee() -> None:
    points = saturating()
    lines = chart(points, recommend(points))
    marked = [line for line in lines if "<- knee" in line]
    assert [line.split()[1] for line in marked] == ["100"]
    assert (bar(1.0, 4), bar(0.5, 4), bar(0.0, 4)) == ("████", "██", "")


def test_a_measurement_is_told_and_leaves_nothing_behind(
    project: Project, database: redis.Redis, tmp_path: Path
) -> None:
    done = project.run("bench", "io", *QUICK, "--svg", "io.svg")
    assert done.returncode == 0, done.stderr
    assert "<- knee" in done.stdout
    assert "BULLQ_QUEUES__DEFAULT__CONCURRENCY=4" in done.stdout
    assert kept(database) == []
    ET.parse(project.folder / "io.svg")


def test_all_figures_are_there_as_json(project: Project) -> None:
    answer = project.answer("bench", "noop", "cpu", *QUICK, "--cpu-time", "2ms")
    noop, cpu = answer["measured"]
    assert (noop["kind"], cpu["kind"]) == ("noop", "cpu")
    assert [(one["processes"], one["concurrency"]) for one in noop["points"]] == [(1, 1), (1, 4)]
    for one in (*noop["points"], *cpu["points"]):
        assert one["slowest"] <= one["jobs_per_second"] <= one["fastest"]
        assert 0 < one["pickup_ms"]["p50"] <= one["pickup_ms"]["p99"]
        assert one["redis_us_per_job"] > 0
        assert one["memory_bytes"] > 10_000_000
    # One interpreter computes for one job at a time: 2 ms are 500 jobs/s at most, by far.
    assert all(one["jobs_per_second"] < 700 for one in cpu["points"])


def test_a_job_of_one_s_own_is_measured_with_its_queue(
    project: Project, database: redis.Redis
) -> None:
    answer = project.answer("bench", "--job", "pull-orders", "--data", '{"number": 3}', *QUICK)
    [measured] = answer["measured"]
    assert (measured["job"], measured["failures"]) == ("data-sync/pull-orders", None)
    assert measured["recommended"]["env"][0].startswith("BULLQ_QUEUES__DATA_SYNC__CONCURRENCY=")
    assert kept(database) == []


def test_failing_jobs_are_told(project: Project) -> None:
    answer = project.answer("bench", "--job", "fail", *QUICK)
    [measured] = answer["measured"]
    assert "jobs failed, the first because: the till is closed" in measured["failures"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_measurement_leaves_nothing_behind(
    project: Project, database: redis.Redis, number: signal.Signals, code: int
) -> None:
    with project.running("bench", "io", "--concurrency", "1,2,4", "--processes", "1") as process:
        process.wait_for("1 at once in 1 process")
        assert kept(database) != []
        process.signal(number)
        assert process.wait() == code, process.output
    assert "Traceback" not in process.output
    assert kept(database) == []


def test_without_a_server_named_the_embedded_one_serves(project: Project) -> None:
    del project.environment["REDIS_URL"]
    answer = project.answer("bench", "noop", *QUICK)
    assert answer["measured"][0]["points"][0]["jobs_per_second"] > 0


@pytest.mark.parametrize(
    ("words_", "told"),
    [
        (("--concurrency", "0,5"), "--concurrency takes whole numbers from 1 to 10,000"),
        (("--processes", "two"), "--processes takes whole numbers from 1 to 64"),
        (("--rounds", "0"), "--rounds is a whole number from 1, not 0"),
        (("--time", "soon"), "--time cannot be read"),
        (("--io-time", "0"), "--io-time is more than 0"),
        (("io", "--job", "hello"), "either kinds of jobs or, with --job, one of yours"),
        (("--data", "{}"), "name the job with --job"),
        (("job",), "Name it with --job"),
        (("--svg", "no/such/folder.svg"), "is no folder"),
    ],
)
def test_wrong_input_is_told_in_words(project: Project, words_: Any, told: str) -> None:
    done = project.run("bench", *words_)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_a_job_that_nobody_knows_and_data_that_does_not_fit(project: Project) -> None:
    assert project.run("bench", "--job", "helo", *QUICK).returncode == 4
    wrong = project.run("bench", "--job", "hello", "--data", '{"name": 3}', "--json", *QUICK)
    assert wrong.returncode == 2
    assert json.loads(wrong.stderr.splitlines()[-1])["error"]["code"] == "payload"
