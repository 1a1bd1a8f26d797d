from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bullq.errors import SettingsError
from bullq.settings import QueueOptions, Settings, load_settings, mask_url, nearest

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load settings of a folder with this pyproject.toml, in this environment."""

    def load_with(pyproject: str | None = None, **variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if pyproject is not None:
            (tmp_path / "pyproject.toml").write_text(pyproject)
        return load_settings(tmp_path)

    return load_with


def refusal(load: Load, pyproject: str | None = None, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(pyproject, **variables)
    return str(caught.value)


def test_with_nothing_said_the_defaults_hold(load: Load) -> None:
    settings = load()
    assert (settings.redis_url, settings.use_bullmq, settings.app) == (None, True, None)
    assert (settings.prefix, settings.queues, settings.log_format) == ("bull", {}, "text")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("off", False)])
def test_use_bullmq_is_read_as_people_write_a_switch(load: Load, text: str, value: bool) -> None:  # noqa: FBT001
    assert load(USE_BULLMQ=text).use_bullmq is value


def test_the_environment_beats_pyproject_option_by_option(load: Load) -> None:
    settings = load(
        """
        [tool.bullq]
        prefix = "mine"
        log_format = "json"
        [tool.bullq.queues.default]
        concurrency = 7
        lock_duration = "45s"
        """,
        BULLQ_PREFIX="theirs",
        BULLQ_QUEUES__DEFAULT__CONCURRENCY="9",
    )
    assert (settings.prefix, settings.log_format) == ("theirs", "json")
    assert settings.queues["default"].concurrency == 9
    assert settings.queues["default"].lock_duration == 45_000


def test_underscores_in_a_variable_name_a_queue_with_hyphens(load: Load) -> None:
    settings = load(BULLQ_QUEUES__DATA_SYNC__DRAIN_TIMEOUT="2m")
    assert settings.queues["data-sync"].drain_timeout == 120_000


def test_all_queues_can_be_set_by_one_json_variable(load: Load) -> None:
    settings = load(BULLQ_QUEUES='{"default": {"job_timeout": 1.5}}')
    assert settings.queues["default"].job_timeout == 1_500


def test_variables_of_the_test_suite_itself_are_no_settings(load: Load) -> None:
    assert load(BULLQ_TEST_REDIS="7").prefix == "bull"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("USE_BULLMQ", "maybe", "it should be true or false"),
        ("REDIS_URL", "", "it should have at least 1 character"),
        ("BULLQ_PREFIX", "", "it should have at least 1 character"),
        ("BULLQ_LOG_FORMAT", "xml", "it should be 'text' or 'json'"),
        ("BULLQ_APP", "a b", "it should be a package of jobs like 'shop.jobs', or 'module:app'"),
        ("BULLQ_QUEUES", "{", 'it should be a JSON object like {"default": {"concurrency": 50}}'),
        ("BULLQ_QUEUES__DEFAULT__CONCURRENCY", "0", "it should be greater than or equal to 1"),
        ("BULLQ_QUEUES__DEFAULT__CONCURRENCY", "ten", "it should be a valid integer"),
        ("BULLQ_QUEUES__DATA_SYNC__BACKOFF", "linear", "it should be 'fixed' or 'exponential'"),
        ("BULLQ_QUEUES__DEFAULT__BACKOFF_JITTER", "2", "it should be less than or equal to 1"),
        ("BULLQ_QUEUES__DEFAULT__LOCK_DURATION", "10ms", "it should be 1.0 s or more"),
        ("BULLQ_QUEUES__DEFAULT__LOCK_DURATION", "soon", "write it like 500ms, 30s, 5m"),
        ("BULLQ_QUEUES__DEFAULT__DRAIN_TIMEOUT", "-5", "write it like 500ms, 30s, 5m"),
    ],
)
def test_an_impossible_value_is_refused_by_variable_value_and_what_is_allowed(
    load: Load, variable: str, value: str, allowed: str
) -> None:
    sentence = refusal(load, **{variable: value})
    assert sentence.startswith(f"{variable}={value!r} is not possible: ")
    assert allowed in sentence


@pytest.mark.parametrize(
    ("option", "least", "too_little"),
    [
        ("concurrency", "1", "0"),
        ("lock_duration", "1s", "999ms"),
        ("stalled_interval", "1s", "999ms"),
        ("max_stalled_count", "0", "-1"),
        ("attempts", "1", "0"),
        ("backoff_jitter", "0", "-0.1"),
        ("rate_limit_max", "1", "0"),
        ("rate_limit_duration", "1ms", "0"),
        ("keep_completed", "0", "-1"),
        ("keep_completed_for", "1s", "999ms"),
        ("keep_failed", "0", "-1"),
        ("keep_failed_for", "1s", "999ms"),
        ("keep_logs", "1", "0"),
        ("job_timeout", "1ms", "0"),
        ("metrics_for", "1m", "59s"),
    ],
)
def test_each_option_of_a_queue_has_its_least_value(
    load: Load, option: str, least: str, too_little: str
) -> None:
    variable = f"BULLQ_QUEUES__DEFAULT__{option.upper()}"
    assert getattr(load(**{variable: least}).queues["default"], option) is not None
    assert f"{variable}={too_little!r} is not possible" in refusal(load, **{variable: too_little})


def test_every_option_of_a_queue_can_be_left_to_its_spec() -> None:
    assert set(QueueOptions().model_dump().values()) == {None}


def test_an_unknown_variable_is_refused_with_the_nearest_and_the_known_ones(load: Load) -> None:
    sentence = refusal(load, BULLQ_PREFX="x")
    assert sentence.startswith("BULLQ_PREFX='x' is no setting of bullq; did you mean BULLQ_PREFIX?")
    assert "BULLQ_QUEUES__<NAME>__<OPTION>" in sentence


def test_an_unknown_option_of_a_queue_is_refused_with_the_nearest(load: Load) -> None:
    sentence = refusal(load, BULLQ_QUEUES__DEFAULT__CONCURENCY="5")
    assert "BULLQ_QUEUES__DEFAULT__CONCURENCY=5 is no option of a queue" in sentence
    assert "did you mean concurrency?" in sentence


def test_an_unknown_key_of_pyproject_is_refused_with_the_nearest(load: Load) -> None:
    sentence = refusal(load, "[tool.bullq]\nprefx = 'x'")
    assert "[tool.bullq] prefx = 'x' in pyproject.toml is no setting" in sentence
    assert "did you mean prefix?" in sentence


def test_a_wrong_value_of_pyproject_is_placed_there(load: Load) -> None:
    sentence = refusal(load, "[tool.bullq.queues.default]\nlock_duration = -2")
    assert sentence.startswith("[tool.bullq] queues.default.lock_duration=-2 is not possible: ")


def test_every_problem_is_listed_not_only_the_first(load: Load) -> None:
    sentence = refusal(load, USE_BULLMQ="maybe", BULLQ_QUEUES__DEFAULT__ATTEMPTS="0")
    assert sentence.count("\n") == 1
    assert "USE_BULLMQ='maybe'" in sentence
    assert "BULLQ_QUEUES__DEFAULT__ATTEMPTS='0'" in sentence


def test_a_broken_pyproject_is_named(load: Load) -> None:
    assert "pyproject.toml cannot be read: " in refusal(load, "not toml [")


@pytest.mark.parametrize("pyproject", ["", "[tool.other]\nx = 1"])
def test_a_pyproject_without_a_table_of_ours_says_nothing(load: Load, pyproject: str) -> None:
    assert load(pyproject).prefix == "bull"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://:s3cret@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://user:s3cret@h:1/2?x=1", "rediss://user:***@h:1/2?x=1"),
        ("unix://user:s3cret@/run/redis.sock", "unix://user:***@/run/redis.sock"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("redis+sentinel://:s3cret@a:1,b:2/main", "redis+sentinel://:***@a:1,b:2/main"),
        ("redis://:s3@cret@h", "redis://:***@h"),
        ("redis://:s3/cret@h", "redis://:***@h"),
        ("redis://:s3#cret@h", "redis://:***@h"),
        ("user:s3cret@h:6379", "user:***@h:6379"),
        ("redis://h/0?db=1&password=s3cret&x=1", "redis://h/0?db=1&password=***&x=1"),
    ],
)
def test_the_password_of_a_url_is_masked_however_it_is_written(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_settings_show_no_secret(load: Load) -> None:
    settings = load(REDIS_URL="redis://:s3cret@h/0")
    assert settings.redis_url == "redis://:s3cret@h/0"
    for shown in (str(settings), repr(settings), str(settings.shown())):
        assert "s3cret" not in shown
        assert "redis://:***@h/0" in shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BULLQ_REDIS_URL", "redis://:s3cret@h"), ("BULLQ_PASSWORD", "s3cret")],
)
def test_a_misnamed_secret_is_not_shown(load: Load, variable: str, value: str) -> None:
    sentence = refusal(load, **{variable: value})
    assert variable in sentence
    assert "s3cret" not in sentence


def test_nearest_says_nothing_where_nothing_is_near() -> None:
    assert nearest("emial", ["email", "report"]) == "did you mean email? "
    assert nearest("xyz", ["email", "report"]) == ""
    assert nearest("email", []) == ""
