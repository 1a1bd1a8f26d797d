"""What the environment and pyproject.toml say: read once, checked, told with secrets masked."""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from bullq.clock import format_ms, parse_duration, to_ms
from bullq.errors import SettingsError

_VARIABLES = {
    "redis_url": "REDIS_URL",
    "use_bullmq": "USE_BULLMQ",
    "app": "BULLQ_APP",
    "prefix": "BULLQ_PREFIX",
    "queues": "BULLQ_QUEUES",
    "log_format": "BULLQ_LOG_FORMAT",
    "heartbeat_file": "BULLQ_HEARTBEAT_FILE",
    "dispatch_deadline": "BULLQ_DISPATCH_DEADLINE",
    "redis_timeout": "BULLQ_REDIS_TIMEOUT",
    "pickup_timeout": "BULLQ_PICKUP_TIMEOUT",
    "fallback_rate": "BULLQ_FALLBACK_RATE",
    "outbox": "BULLQ_OUTBOX",
    "canary": "BULLQ_CANARY",
    "otel": "BULLQ_OTEL",
    "dashboard_token": "BULLQ_DASHBOARD_TOKEN",
    "recurring_on": "BULLQ_RECURRING_ON",
    "inngest_app": "BULLQ_INNGEST_APP",
    "inngest_dev": "INNGEST_DEV",
    "inngest_env": "INNGEST_ENV",
    "inngest_base_url": "INNGEST_BASE_URL",
    "inngest_api_base_url": "INNGEST_API_BASE_URL",
    "inngest_event_api_base_url": "INNGEST_EVENT_API_BASE_URL",
    "inngest_serve_origin": "INNGEST_SERVE_ORIGIN",
    "inngest_event_key": "INNGEST_EVENT_KEY",
    "inngest_signing_key": "INNGEST_SIGNING_KEY",
    "inngest_signing_key_fallback": "INNGEST_SIGNING_KEY_FALLBACK",
}
"""Each setting's name in [tool.bullq], and its environment variable."""

_QUEUE_VARIABLE = "BULLQ_QUEUES__<NAME>__<OPTION>"
_TEST_VARIABLES = "BULLQ_TEST_"


def _milliseconds(value: Any) -> Any:
    if isinstance(value, str):
        return to_ms(parse_duration(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_ms(value)
    return value


Milliseconds = Annotated[int, BeforeValidator(_milliseconds)]
"""Whole milliseconds inside; written '500ms', '30s', '5m', '1h' or a number of seconds."""


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("it should be a URL like 'http://127.0.0.1:8288'")
    return url.rstrip("/")


def _check_signing_key(key: SecretStr) -> SecretStr:
    # Inngest's SDK reads what follows the prefix as hexadecimal digits, two a byte.
    if not re.fullmatch(r"(signkey-\w+-)?([0-9a-fA-F]{2})+", key.get_secret_value()):
        raise ValueError("it should be a signing key of Inngest, 'signkey-<name>-<hexadecimal>'")
    return key


def _read_dev(value: Any) -> bool | str:
    switch = str(value).strip().lower()
    if switch in {"", "0", "false", "1", "true"}:
        return switch in {"1", "true"}
    if "//" not in switch:
        raise ValueError("it should be 1, 0 or the URL of a dev server")
    return _check_url(str(value))


Url = Annotated[str, AfterValidator(_check_url)]
"""An address of a server, without a slash at its end."""

SigningKey = Annotated[SecretStr, AfterValidator(_check_signing_key)]
"""A key by which an Inngest server and an endpoint know each other."""

Dev = Annotated[bool | str, BeforeValidator(_read_dev)]
"""Whether an Inngest dev server is used, which signs nothing, or its address."""


class QueueOptions(BaseModel):
    """What the settings say of one queue. None leaves what the queue's own spec says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    concurrency: int | None = Field(None, ge=1, le=10_000)
    lock_duration: Milliseconds | None = Field(None, ge=1_000)
    stalled_interval: Milliseconds | None = Field(None, ge=1_000)
    max_stalled_count: int | None = Field(None, ge=0)
    attempts: int | None = Field(None, ge=1)
    backoff: Literal["fixed", "exponential"] | None = None
    backoff_delay: Milliseconds | None = Field(None, ge=0)
    backoff_jitter: float | None = Field(None, ge=0, le=1)
    rate_limit_max: int | None = Field(None, ge=1)
    rate_limit_duration: Milliseconds | None = Field(None, ge=1)
    keep_completed: int | None = Field(None, ge=0)
    keep_completed_for: Milliseconds | None = Field(None, ge=1_000)
    keep_failed: int | None = Field(None, ge=0)
    keep_failed_for: Milliseconds | None = Field(None, ge=1_000)
    keep_logs: int | None = Field(None, ge=1)
    job_timeout: Milliseconds | None = Field(None, ge=1)
    drain_timeout: Milliseconds | None = Field(None, ge=0)
    metrics_for: Milliseconds | None = Field(None, ge=60_000)
    use_bullmq: bool | None = None
    confirm: bool | None = None
    fallback: bool | None = None
    pickup: Literal["alive", "started"] | None = None
    on_data_loss: Literal["raise", "rerun", "drop"] | None = None
    durability: Literal["default", "strict"] | None = None


class _Environment(EnvSettingsSource):
    """The environment, with queue names written as they are: DATA_SYNC is 'data-sync'."""

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        queues = values.get("BULLQ_QUEUES")
        if isinstance(queues, dict):
            values["BULLQ_QUEUES"] = {
                name.lower().replace("_", "-"): options for name, options in queues.items()
            }
        return values


class Settings(BaseSettings):
    """The settings of one process; load_settings() makes them."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_nested_delimiter="__")

    redis_url: str | None = Field(None, alias="REDIS_URL", min_length=1)
    use_bullmq: bool = Field(default=True, alias="USE_BULLMQ")
    app: str | None = Field(None, alias="BULLQ_APP", pattern=r"^[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$")
    prefix: str = Field("bull", alias="BULLQ_PREFIX", min_length=1)
    queues: dict[str, QueueOptions] = Field(default_factory=dict, alias="BULLQ_QUEUES")
    log_format: Literal["text", "json"] = Field("text", alias="BULLQ_LOG_FORMAT")
    heartbeat_file: Path | None = Field(None, alias="BULLQ_HEARTBEAT_FILE")
    dispatch_deadline: Milliseconds = Field(2, alias="BULLQ_DISPATCH_DEADLINE", ge=50)
    redis_timeout: Milliseconds = Field(0.4, alias="BULLQ_REDIS_TIMEOUT", ge=10)  # type: ignore[assignment] # read as if it was written
    pickup_timeout: Milliseconds = Field(1, alias="BULLQ_PICKUP_TIMEOUT", ge=10)
    fallback_rate: int = Field(500, alias="BULLQ_FALLBACK_RATE", ge=1)
    outbox: Path | None = Field(None, alias="BULLQ_OUTBOX")
    canary: Milliseconds | None = Field(None, alias="BULLQ_CANARY", ge=1_000)
    otel: bool = Field(default=False, alias="BULLQ_OTEL")
    dashboard_token: SecretStr | None = Field(None, alias="BULLQ_DASHBOARD_TOKEN", min_length=16)
    recurring_on: Literal["bullmq", "inngest"] = Field("bullmq", alias="BULLQ_RECURRING_ON")
    inngest_app: str = Field("bullq", alias="BULLQ_INNGEST_APP", min_length=1)
    inngest_dev: Dev = Field(default=False, alias="INNGEST_DEV")
    inngest_env: str | None = Field(None, alias="INNGEST_ENV", min_length=1)
    inngest_base_url: Url | None = Field(None, alias="INNGEST_BASE_URL")
    inngest_api_base_url: Url | None = Field(None, alias="INNGEST_API_BASE_URL")
    inngest_event_api_base_url: Url | None = Field(None, alias="INNGEST_EVENT_API_BASE_URL")
    inngest_serve_origin: Url | None = Field(None, alias="INNGEST_SERVE_ORIGIN")
    inngest_event_key: SecretStr | None = Field(None, alias="INNGEST_EVENT_KEY", min_length=1)
    inngest_signing_key: SigningKey | None = Field(None, alias="INNGEST_SIGNING_KEY")
    inngest_signing_key_fallback: SigningKey | None = Field(
        None, alias="INNGEST_SIGNING_KEY_FALLBACK"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - given by position
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, and what load_settings() found in pyproject.toml second."""
        return _Environment(settings_cls), init_settings

    def shown(self) -> dict[str, Any]:
        """Give the settings for people and logs, with secrets masked."""
        shown = self.model_dump(exclude_none=True)
        if self.redis_url:
            shown["redis_url"] = mask_url(self.redis_url)
        return shown

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    __str__ = __repr__


def load_settings(folder: Path | None = None) -> Settings:
    """Read the environment, then `[tool.bullq]` of the pyproject.toml in *folder* (None: here).

    Raises SettingsError with a sentence per unknown or impossible value.
    """
    table = _pyproject_table((folder or Path.cwd()) / "pyproject.toml")
    if problems := [*_unknown_variables(), *_unknown_keys(table)]:
        raise SettingsError("\n".join(problems))
    try:
        return Settings(**{_VARIABLES[key]: value for key, value in table.items()})
    except UnreadableVariable:
        raise SettingsError(
            f"BULLQ_QUEUES={os.environ.get('BULLQ_QUEUES')!r} is not possible: it should be a JSON "
            'object like {"default": {"concurrency": 50}}; '
            f"{_QUEUE_VARIABLE} sets one option"
        ) from None
    except ValidationError as error:
        sentences = [_sentence(item["loc"], item) for item in error.errors(include_url=False)]
        raise SettingsError("\n".join(sentences)) from None


def mask_url(url: str) -> str:
    """Hide the password of a URL, also of one that is not well-formed.

    Whatever stands before the last '@' may hold the password: an unescaped '/' or '#' in it is
    a mistake that must not show it.
    """
    url = re.sub(r"([?&](?:\w+_)?password=)[^&#]*", r"\1***", url, flags=re.IGNORECASE)
    before, at, rest = url.rpartition("@")
    scheme, separator, secret = before.rpartition("://")
    if not at or secret.startswith("/"):  # a path of a Unix socket may have an '@' in it
        return url
    return f"{scheme}{separator}{secret.partition(':')[0]}:***@{rest}"


def nearest(word: str, known: list[str]) -> str:
    """Say 'did you mean ...? ' where a known word is near, nothing otherwise."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}? " if near else ""


def _pyproject_table(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from None
    table = document.get("tool", {})
    table = table.get("bullq", {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        raise SettingsError(f"[tool.bullq] in {file} is a table of settings, not {table!r}")
    return table


def _unknown_variables() -> list[str]:
    known = list(_VARIABLES.values())
    prefix = f"{_VARIABLES['queues']}__"
    return [
        f"{name}={_shown(name, value)!r} is no setting of bullq; {nearest(name, known)}"
        f"known: {', '.join(known)}, {_QUEUE_VARIABLE}"
        for name, value in os.environ.items()
        if name.startswith("BULLQ_")
        and name not in known
        and not name.startswith((prefix, _TEST_VARIABLES))
    ]


def _unknown_keys(table: dict[str, Any]) -> list[str]:
    known = list(_VARIABLES)
    return [
        f"[tool.bullq] {key} = {_shown(key, value)!r} in pyproject.toml is no setting of bullq; "
        f"{nearest(key, known)}known: {', '.join(known)}"
        for key, value in table.items()
        if key not in _VARIABLES
    ]


def _sentence(location: tuple[int | str, ...], item: Any) -> str:
    """Name the variable, its value and what is allowed."""
    variable = "__".join(str(part).upper().replace("-", "_") for part in location)
    if variable in os.environ or str(location[0]) in os.environ:
        place = variable
    else:
        keys = {alias: key for key, alias in _VARIABLES.items()}
        rest = ".".join(map(str, location[1:]))
        place = f"[tool.bullq] {keys[str(location[0])]}{'.' + rest if rest else ''}"
    value = item["input"]
    if item["type"] == "extra_forbidden":
        known = list(QueueOptions.model_fields)
        hint = nearest(str(location[-1]), known)
        return f"{place}={value!r} is no option of a queue; {hint}known: {', '.join(known)}"
    shown = _shown("redis_url" if location[0] == "REDIS_URL" else str(location[-1]), value)
    return f"{place}={shown!r} is not possible: {_allowed(location, item)}"


def _allowed(location: tuple[int | str, ...], item: Any) -> str:
    """Say what a setting's value may be, for the person who has to write another one."""
    field = QueueOptions.model_fields.get(str(location[-1]))
    match item:
        case {"type": "value_error"}:
            return str(item["ctx"]["error"])
        case {"type": "bool_parsing"}:
            return "it should be true or false"
        case {"type": "string_pattern_mismatch"}:
            return "it should be a package of jobs like 'shop.jobs', or 'module:app'"
        case {"type": "too_short"}:
            return f"it should have {item['ctx']['min_length']} characters or more"
        case {"type": "greater_than_equal"} if field and Milliseconds in get_args(field.annotation):
            return f"it should be {format_ms(item['ctx']['ge'])} or more"
        case _:
            return re.sub("^(Input|String) ", "it ", str(item["msg"]))


def _shown(name: str, value: Any) -> Any:
    """Give a value as messages may show it: what looks like a secret is masked."""
    if re.search("password|secret|token|key", name, re.IGNORECASE):
        return "***"
    return mask_url(value) if isinstance(value, str) else value
