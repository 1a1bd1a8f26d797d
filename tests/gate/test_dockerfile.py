"""The image keeps its promises: two stages, non-root, exec form, a health check that can tell."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.gate.dockerfile import ROOT, read_stages
from tests.support.deadline import DEADLINE

if TYPE_CHECKING:
    from pathlib import Path

BUILDER, FINAL = read_stages()
STALE = 120.0  # seconds, past the minute that the check allows


def health(heartbeat: Path) -> int:
    command = FINAL.last("HEALTHCHECK").value.split(" CMD ", 1)[1]
    environment = {"PATH": os.environ["PATH"], "BULLQ_HEARTBEAT_FILE": str(heartbeat)}
    return subprocess.run(
        json.loads(command), check=False, timeout=DEADLINE, env=environment
    ).returncode


def test_the_final_stage_holds_only_the_slim_base_and_the_built_environment() -> None:
    assert FINAL.base == "python:3.11-slim"
    copies = [(one.flags.get("from"), one.arguments) for one in FINAL.all("COPY")]
    assert (BUILDER.name, ["/opt/bullq", "/opt/bullq"]) in copies
    assert all(source == BUILDER.name or args[0].startswith("examples/") for source, args in copies)


def test_it_runs_as_a_fixed_user_other_than_root() -> None:
    assert FINAL.last("USER").value == "10001:10001"
    assert "--uid 10001" in FINAL.last("RUN").value


def test_bullq_itself_is_pid_1_and_is_told_to_stop_by_sigterm() -> None:
    assert FINAL.last("STOPSIGNAL").value == "SIGTERM"
    for keyword in ("ENTRYPOINT", "CMD"):
        assert FINAL.last(keyword).value.startswith("["), "the shell form would put sh at PID 1"
    assert FINAL.last("ENTRYPOINT").words == ["bullq"]
    assert FINAL.last("CMD").words == ["worker", "--queue", "default"]


def test_nothing_is_installed_without_a_hash() -> None:
    installs = [one.value for one in BUILDER.all("RUN") if "pip install" in one.value]
    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command


def test_every_copied_path_exists_and_is_not_ignored() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for one in [*BUILDER.all("COPY"), *FINAL.all("COPY")]:
        if "from" in one.flags:
            continue
        for source in one.arguments[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in allowed, source


@pytest.mark.parametrize(("age", "status"), [(0.0, 0), (STALE, 1)], ids=["fresh", "stale"])
def test_the_health_check_reads_the_age_of_the_heartbeat(
    tmp_path: Path, age: float, status: int
) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    then = time.time() - age
    os.utime(heartbeat, (then, then))
    assert health(heartbeat) == status


def test_a_worker_that_never_fetched_is_unhealthy(tmp_path: Path) -> None:
    assert health(tmp_path / "missing") == 1
