"""A password appears in nothing that a worker, a dispatch or a setting prints."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from bullq import Bullq, BullqError, SettingsError, StoreUnavailable, job
from bullq.settings import load_settings
from bullq.store.connection import Store
from bullq.telemetry.logging import LoggingObserver
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer, free_port, running_server

SECRET = "s3cr3t-p4ss"


class Nothing(BaseModel):
    pass


@job(queue="default", name="fine")
async def fine(data: Nothing) -> str:
    return "fine"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BULLQ_") or name in {"REDIS_URL", "USE_BULLMQ"}:
            monkeypatch.delenv(name)


def printed(error: BaseException) -> str:
    """Give all that a traceback shows of *error* and what led to it."""
    texts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        texts += [str(current), repr(current), *getattr(current, "__notes__", [])]
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "\n".join(texts)


async def test_a_wrong_password_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path, "--requirepass", "another") as server:
        monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{server.port}/0")
        app = Bullq(jobs=[fine])
        with pytest.raises(StoreUnavailable, match="refuses our credentials") as refused:
            await fine.dispatch(Nothing())
        with pytest.raises(StoreUnavailable) as started:
            await app.worker("default", LoggingObserver(stream=io.StringIO())).run()
        await app.aclose()
    shown = [printed(refused.value), printed(started.value), repr(app.settings), repr(app.store)]
    shown += [str(app.settings), str(app.settings.shown())]
    assert not [text for text in shown if SECRET in text]
    assert all("***" in text for text in shown[2:])


async def test_a_worker_logs_an_outage_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path, "--requirepass", SECRET) as server:
        monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{server.port}/0")
        app = Bullq(jobs=[fine])
        log = io.StringIO()
        worker = app.worker("default", LoggingObserver("json", "debug", log))
        task = asyncio.create_task(worker.run())
        assert await (await fine.dispatch(Nothing())).result(timeout=DEADLINE) == "fine"
        server.kill()
        async with asyncio.timeout(DEADLINE):
            while "redis lost" not in log.getvalue():  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable) as lost:
            await fine.dispatch(Nothing())
        worker.stop()
        await asyncio.wait_for(task, DEADLINE)
        await app.aclose()
    out, err = capfd.readouterr()
    assert "connection refused" in log.getvalue() + printed(lost.value)
    for text in (log.getvalue(), printed(lost.value), repr(worker), out, err):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", f"http://:{SECRET}@host"),
        ("REDIS_URL", f"redis://:{SECRET}@host:port/0"),
        ("REDIS_URL", f"redis://:{SECRET}/with#odd?marks@host:6379/0"),
        ("REDIS_URL", f"redis://user:{SECRET}@host:6379/nine"),
        ("REDIS_URL", f"redis://host:6379/nine?password={SECRET}"),
        ("REDIS_URL", f"redis+cluster://:{SECRET}@host:6379"),
        ("REDIS_URL", f"redis://:[{SECRET}@host:6379"),
        ("BULLQ_REDIS_URL", f"redis://:{SECRET}@host:6379"),
        ("BULLQ_PASSWORD", SECRET),
    ],
)
def test_a_wrong_setting_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as wrong:
        Store(load_settings(tmp_path).redis_url or "")
    assert SECRET not in printed(wrong.value)


async def test_an_address_that_nobody_has_is_told_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://user:{SECRET}@127.0.0.1:{free_port()}/0")
    app = Bullq(jobs=[fine])
    with pytest.raises(BullqError) as lost:
        await app.worker("default", LoggingObserver(stream=io.StringIO())).run()
    assert SECRET not in printed(lost.value)


def test_the_environment_comes_before_pyproject(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valkey: RedisServer
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.bullq]\nprefix = "from-file"\nredis_url = "redis://file:1"\n'
        "[tool.bullq.queues.default]\nconcurrency = 7\nattempts = 9\n"
    )
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("BULLQ_QUEUES__DEFAULT__CONCURRENCY", "3")
    settings = load_settings(tmp_path)
    assert (settings.redis_url, settings.prefix) == (valkey.url, "from-file")
    spec = Bullq(jobs=[fine], settings=settings).queues.spec("default")
    assert (spec.concurrency, spec.attempts) == (3, 9)
