from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from bullq import Bullq, Job, QueueSpec
from bullq.settings import Settings
from tests.support.servers import RedisServer, running_server

pytest_plugins = ["tests.support.no_silent_skips"]

AppFactory = Callable[..., Bullq]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what the developer's own environment says of bullq: no test touches their Redis."""
    for name in list(os.environ):
        own = name.startswith("BULLQ_") and not name.startswith("BULLQ_TEST_")
        if own or name in {"REDIS_URL", "USE_BULLMQ"} or name.startswith("INNGEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Valkey for all tests that do not harm it; each takes a prefix of its own."""
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Valkey that this test may kill, pause and restart; what it holds is on disk."""
    with running_server(tmp_path_factory.mktemp("own"), "--appendonly", "yes") as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
async def make_app(valkey: RedisServer, prefix: str) -> AsyncIterator[AppFactory]:
    """Make applications on the shared server, under this test's prefix."""
    apps: list[Bullq] = []

    def make(
        *jobs: Job[Any, Any],
        queues: Iterable[QueueSpec] = (),
        url: str | None = None,
        **settings: Any,
    ) -> Bullq:
        values = {"REDIS_URL": url or valkey.url, "BULLQ_PREFIX": prefix, **settings}
        app = Bullq(jobs=jobs, queues=queues, settings=Settings(**values))
        apps.append(app)
        return app

    yield make
    for app in apps:
        await app.aclose()
