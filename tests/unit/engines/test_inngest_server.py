from __future__ import annotations

import pytest

from bullq.engines.inngest.server import InngestServer, is_configured
from bullq.errors import SettingsError
from bullq.settings import Settings, load_settings

KEY = "signkey-prod-00ff"


def server(**variables: str) -> InngestServer:
    return InngestServer.from_settings(Settings(**variables))  # type: ignore[arg-type]


def test_without_a_word_it_is_the_cloud_and_asks_for_keys() -> None:
    cloud = server()
    assert (cloud.production, cloud.app) == (True, "bullq")
    assert (cloud.api_url, cloud.event_url) == ("https://api.inngest.com", "https://inn.gs")
    with pytest.raises(SettingsError, match="anybody could run jobs here"):
        cloud.check_can_serve()
    with pytest.raises(SettingsError, match="INNGEST_EVENT_KEY is not set"):
        cloud.check_can_send()


def test_a_dev_server_needs_no_keys() -> None:
    dev = server(INNGEST_DEV="1")
    assert (dev.production, dev.api_url) == (False, "http://127.0.0.1:8288")
    dev.check_can_send()
    dev.check_can_serve()


def test_a_named_server_beats_the_default_and_a_named_part_beats_the_server() -> None:
    named = server(INNGEST_BASE_URL="http://inngest:8288/", INNGEST_API_BASE_URL="http://api:1")
    assert (named.api_url, named.event_url) == ("http://api:1", "http://inngest:8288")
    assert server(INNGEST_DEV="http://dev:8288").event_url == "http://dev:8288"


def test_keys_are_told_to_nobody() -> None:
    known = server(INNGEST_EVENT_KEY="secret", INNGEST_SIGNING_KEY=KEY)
    assert (known.event_key, known.signing_keys) == ("secret", [KEY])
    assert "secret" not in repr(known)
    assert "00ff" not in repr(known)


def test_what_names_a_server_makes_it_an_engine() -> None:
    assert not is_configured(Settings())
    assert is_configured(Settings(INNGEST_DEV="1"))  # type: ignore[arg-type]
    assert is_configured(Settings(INNGEST_EVENT_KEY="k"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("INNGEST_DEV", "maybe", "it should be 1, 0 or the URL of a dev server"),
        ("INNGEST_BASE_URL", "inngest:8288", "it should be a URL like 'http://127.0.0.1:8288'"),
        ("INNGEST_SERVE_ORIGIN", "shop", "it should be a URL like 'http://127.0.0.1:8288'"),
        ("BULLQ_RECURRING_ON", "node", "it should be 'bullmq' or 'inngest'"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{name}={value!r} is not possible: {allowed}"


@pytest.mark.parametrize("name", ["INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK"])
def test_an_impossible_key_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "signkey-prod-mistyped")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "mistyped" not in str(caught.value)
    assert f"{name}='***' is not possible: it should be a signing key" in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("0", False), ("", False), ("TRUE", True)])
def test_dev_is_read_as_the_sdk_reads_it(
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    value: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setenv("INNGEST_DEV", text)
    assert load_settings().inngest_dev is value
