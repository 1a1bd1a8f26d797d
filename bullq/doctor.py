"""Examine an application as a worker would meet it: settings, jobs, machine, Redis, queues."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib import metadata

from bullq.app import Bullq
from bullq.clock import format_ms
from bullq.errors import BullqError, JobDefinitionError, SettingsError, StoreUnavailable
from bullq.loading import load_app
from bullq.queues.checkup import examine_queue
from bullq.settings import Settings, load_settings
from bullq.store.checkup import examine_server
from bullq.store.lua import is_proven
from bullq.telemetry.findings import Finding, Level
from bullq.telemetry.hooks import Observer
from bullq.wording import counted
from bullq.worker.checkup import examine_machine

_PACKAGES = ("bullq", "bullmq", "redis", "hiredis")
_PROVEN = ("exchange-12", "addJobs-12")
"""The scripts that have shorter ways than BullMQ's own."""
_ENGINES = {"bullmq": "BullMQ", "inngest": "Inngest"}
_MEND = "No worker starts before this is mended."


@dataclass
class Diagnosis:
    """What was found, in the order in which a worker needs it."""

    findings: list[Finding] = field(default_factory=list)
    redis_is_there: bool = True

    def count(self, level: Level) -> int:
        """Tell how many findings are of a level."""
        return sum(finding.level is level for finding in self.findings)

    def add(
        self, subject: str, check: str, level: Level, message: str, advice: str | None = None
    ) -> None:
        """Note one more."""
        self.findings.append(Finding(subject, check, level, message, advice))


async def diagnose() -> Diagnosis:
    """Examine all that can be; what is broken is a finding, and only ends what depends on it."""
    diagnosis = Diagnosis()
    settings = _settings(diagnosis)
    _client(diagnosis)
    if settings is None:
        return diagnosis
    app = _jobs(diagnosis, settings)
    if app is not None:
        diagnosis.findings += examine_machine(app.queues.spec(name) for name in app.own_queues)
    await _redis(diagnosis, app or Bullq(jobs=(), settings=settings), with_jobs=app is not None)
    return diagnosis


def _settings(diagnosis: Diagnosis) -> Settings | None:
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in str(error).splitlines():
            diagnosis.add("settings", "values", Level.PROBLEM, problem, _MEND)
        return None
    shown = settings.shown()
    redis = shown.get("redis_url", "not set: the embedded server of this folder")
    message = f"REDIS_URL {redis}, prefix {settings.prefix!r}"
    diagnosis.add("settings", "values", Level.OK, message)
    if not settings.use_bullmq:
        diagnosis.add(
            "settings",
            "use-bullmq",
            Level.WARNING,
            "USE_BULLMQ is off: nothing is dispatched to BullMQ",
            "Unset it to use Redis.",
        )
    return settings


def _client(diagnosis: Diagnosis) -> None:
    found = {name: metadata.version(name) for name in _PACKAGES}
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    diagnosis.add("client", "versions", Level.OK, f"Python {platform.python_version()}, {told}")
    if all(is_proven(script) for script in _PROVEN):
        message = "BullMQ's scripts are the ones that bullq was proven against: fast path on"
        diagnosis.add("client", "scripts", Level.OK, message)
        return
    diagnosis.add(
        "client",
        "scripts",
        Level.WARNING,
        f"the scripts of bullmq {found['bullmq']} are not the ones that bullq was proven against: "
        "fast path off, all jobs go through BullMQ's own scripts",
        "Upgrade bullq, or pin the bullmq that its lock file names.",
    )


def _jobs(diagnosis: Diagnosis, settings: Settings) -> Bullq | None:
    """Load the application and its jobs; None where a worker could not."""
    try:
        app = load_app(settings)
        jobs, queues = len(app.jobs), len(app.queues.names)
    except JobDefinitionError as error:
        for problem in error.problems:
            diagnosis.add("jobs", "definitions", Level.PROBLEM, problem, _MEND)
    except BullqError as error:
        diagnosis.add("jobs", "application", Level.PROBLEM, str(error), _MEND)
    else:
        level = Level.OK if jobs else Level.WARNING
        advice = None if jobs else "Define one below jobs/<queue>/, or set BULLQ_APP."
        found = f"{counted(jobs, 'job')} on {counted(queues, 'queue')}"
        diagnosis.add("jobs", "definitions", level, found, advice)
        return app
    return None


async def _redis(diagnosis: Diagnosis, app: Bullq, *, with_jobs: bool) -> None:
    try:
        diagnosis.findings += await examine_server(app.store)
    except StoreUnavailable as error:
        fact, _, advice = str(error).partition(". ")
        advice = advice or "Look at the server's log."
        diagnosis.add("redis", "reachable", Level.PROBLEM, fact, advice)
        diagnosis.redis_is_there = False
    else:
        for name in app.queues.names:
            await _queue(diagnosis, app, name, with_jobs=with_jobs)
        await examine_canaries(diagnosis, app)
    finally:
        await app.aclose()


async def examine_canaries(diagnosis: Diagnosis, app: Bullq) -> None:
    """Send a canary per queue and engine, where the settings have them sent."""
    if app.canaries is None:
        return
    for event in await app.canaries.send(Observer()):
        subject, engine = f"queue {event.queue}", _ENGINES[event.engine]
        if event.came is None:
            told = f"no canary was sent by {engine}: {event.reason}"
            diagnosis.add(subject, f"canary-{event.engine}", Level.SKIPPED, told)
        elif event.came:
            told = f"a canary came back by {engine} within {format_ms(event.took_ms)}"
            diagnosis.add(subject, f"canary-{event.engine}", Level.OK, told)
        else:
            diagnosis.add(
                subject,
                f"canary-{event.engine}",
                Level.PROBLEM,
                f"a canary by {engine} did not come back: {event.reason}",
                "What is dispatched there would wait, too: look at who is to run it.",
            )


async def _queue(diagnosis: Diagnosis, app: Bullq, name: str, *, with_jobs: bool) -> None:
    known = None
    if with_jobs and not app.jobs.is_remote(name):
        known = {job.name for job in app.jobs.on(name)}
    try:
        diagnosis.findings += await examine_queue(app.queue(name), known)
    except StoreUnavailable as error:
        diagnosis.add(f"queue {name}", "jobs", Level.SKIPPED, str(error))
