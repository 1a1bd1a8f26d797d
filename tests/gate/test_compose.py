"""compose.yaml says what the deployment promises, and the schema check can fail."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gate.dockerfile import ROOT, read_stages
from tests.support.deadline import DEADLINE

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
QUEUES = ("default", "data-sync", "scheduled")
WORKERS = [f"worker-{queue}" for queue in QUEUES]
INNGEST = ["inngest", "inngest-redis", "serve"]
SECONDS = {"s": 1, "m": 60, "h": 3600}
MARGIN = 10  # seconds between the end of the drain and SIGKILL: returning jobs, closing, exiting


def seconds(duration: str) -> int:
    return sum(int(n) * SECONDS[unit] for n, unit in re.findall(r"(\d+)([smh])", duration))


def option(service: dict[str, Any], name: str) -> str:
    command = service["command"]
    return str(command[command.index(name) + 1])


def replicas(expression: str, **environment: str) -> int:
    """Substitute ``${NAME:-fallback}``, nested, as Compose does."""
    innermost = re.compile(r"\$\{(\w+):-([^${}]*)\}")
    while match := innermost.search(expression):
        value = environment.get(match[1]) or match[2]
        expression = expression[: match.start()] + value + expression[match.end() :]
    return int(expression)


def validate(document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "compose.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    checker = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_there_is_one_worker_service_per_standard_queue_beside_redis() -> None:
    assert sorted(SERVICES) == sorted(["redis", "dashboard", *INNGEST, *WORKERS])
    assert [option(SERVICES[name], "--queue") for name in WORKERS] == list(QUEUES)


@pytest.mark.parametrize("name", [*WORKERS, "serve"])
def test_the_grace_period_outlasts_the_drain(name: str) -> None:
    grace = seconds(SERVICES[name]["stop_grace_period"])
    assert grace >= seconds(option(SERVICES[name], "--drain-timeout")) + MARGIN


@pytest.mark.parametrize("name", WORKERS)
def test_replicas_come_from_worker_replicas(name: str) -> None:
    expression = SERVICES[name]["deploy"]["replicas"]
    own = f"WORKER_REPLICAS_{name.removeprefix('worker-').upper().replace('-', '_')}"
    assert replicas(expression) == 1
    assert replicas(expression, WORKER_REPLICAS="3") == 3
    assert replicas(expression, WORKER_REPLICAS="3", **{own: "5"}) == 5


@pytest.mark.parametrize("name", [*WORKERS, "dashboard", "serve"])
def test_it_may_write_nowhere_and_gain_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [entry.split(":")[0] for entry in service["tmpfs"]] == ["/tmp"]
    assert "user" not in service, "the image's own user is the non-root one"


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_waits_for_redis_and_keeps_the_image_s_health_check(name: str) -> None:
    service = SERVICES[name]
    assert service["depends_on"]["redis"]["condition"] == "service_healthy"
    assert "healthcheck" not in service
    assert read_stages()[-1].last("HEALTHCHECK").value.startswith("--interval")
    assert service["environment"]["BULLQ_HEARTBEAT_FILE"].startswith("/tmp/")
    assert service["environment"]["SHOP_DATA"].startswith("/tmp/")
    assert service["restart"] == "unless-stopped"
    assert option(service, "--log-format") == "json"


def test_the_dashboard_is_started_when_asked_for_and_reached_from_this_machine_alone() -> None:
    service = SERVICES["dashboard"]
    assert service["profiles"] == ["dashboard"]
    assert [port.rpartition(":")[0].partition(":")[0] for port in service["ports"]] == ["127.0.0.1"]
    assert service["ports"][0].endswith(f":{option(service, '--port')}")
    # Bound to all of the container's addresses it demands a token, which the file must not hold.
    assert option(service, "--host") == "0.0.0.0"
    assert service["environment"]["BULLQ_DASHBOARD_TOKEN"] is None
    worker = SERVICES["worker-default"]
    for variable in ("REDIS_URL", "BULLQ_APP"):
        assert service["environment"][variable] == worker["environment"][variable]
    assert service["build"]["args"]["WORKER_IMAGE"] == worker["image"]


def test_inngest_is_started_when_asked_for_and_its_keys_are_in_no_file() -> None:
    assert [SERVICES[name]["profiles"] for name in INNGEST] == [["inngest"]] * len(INNGEST)
    server, serve = SERVICES["inngest"], SERVICES["serve"]
    for key in ("INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY"):
        assert (server["environment"][key], serve["environment"][key]) == (None, None)
    assert [port.split(":")[0] for port in server["ports"]] == ["127.0.0.1"]
    assert serve["environment"]["INNGEST_BASE_URL"] == "http://inngest:8288"
    assert serve["environment"]["INNGEST_SERVE_ORIGIN"] == f"http://serve:{option(serve, '--port')}"
    # A server whose queue is in BullMQ's Redis would fail with it.
    assert server["environment"]["INNGEST_REDIS_URI"] == "redis://inngest-redis:6379"
    assert "health/live" in serve["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", ["redis", "inngest-redis"])
def test_redis_loses_nothing(name: str) -> None:
    redis = SERVICES[name]
    assert option(redis, "--appendonly") == "yes"
    assert option(redis, "--maxmemory-policy") == "noeviction"
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    volume = redis["volumes"][0].split(":")[0]
    assert volume in COMPOSE["volumes"]


def test_the_schema_accepts_the_file_itself(tmp_path: Path) -> None:
    result = validate(COMPOSE, tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("services", "worker-default", "stop_grace_perod"), "45s"),
        (("services", "worker-default", "deploy", "replicas"), ["three"]),
        (("services", "redis", "healthcheck", "retries"), {"at most": 3}),
        (("services", "redis", "restart"), True),
        (("volume",), {"redis-data": None}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_the_schema_refuses_unknown_keys_and_wrong_types(
    tmp_path: Path, keys: tuple[str, ...], value: object
) -> None:
    document = copy.deepcopy(COMPOSE)
    *parents, last = keys
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    result = validate(document, tmp_path)
    assert result.returncode == 1
    assert last in result.stdout


def test_both_environments_take_their_replicas_from_their_secret() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
    (step,) = [
        one for one in workflow["jobs"]["deploy"]["steps"] if "replicas" in str(one.get("name"))
    ]
    for environment, suffix in (("production", "PROD"), ("staging", "STAG")):
        secret = f"WORKER_REPLICAS_{suffix}"
        assert step["env"][secret] == f"${{{{ secrets.{secret} }}}}"
        assert re.search(rf"{environment}\) WORKER_REPLICAS=\$\{{{secret}:\?", step["run"])
    services = workflow[True]["workflow_dispatch"]["inputs"]["service"]["options"]
    assert services == ["all", *WORKERS]
