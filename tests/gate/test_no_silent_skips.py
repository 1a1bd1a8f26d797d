"""Skips are visible everywhere and failures in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deadline import DEADLINE

ROOT = Path(__file__).parents[2]
MODULE = """
import pytest
from tests.support import no_silent_skips as skips

ABSENT = skips.Need("a unicorn", "catch one", lambda: False, optional_in_ci={optional})
skips.NEEDS = (*skips.NEEDS, ABSENT)

def test_needs():
    skips.need(ABSENT)
"""


def run(folder: Path, source: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "tests.support.no_silent_skips"]
    return subprocess.run(
        [
            *command,
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            str(folder),
            str(folder),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
    )


def test_a_skip_outside_ci_is_listed_with_its_reason(tmp_path: Path) -> None:
    result = run(tmp_path, MODULE.format(optional=False), ci="")
    assert result.returncode == 0
    assert "needs a unicorn: catch one" in result.stdout
    assert "1 skipped" in result.stdout


def test_an_absent_need_fails_in_ci(tmp_path: Path) -> None:
    result = run(tmp_path, MODULE.format(optional=False), ci="true")
    assert result.returncode == 1
    assert "Skipped in CI (needs a unicorn: catch one)" in result.stdout


def test_an_optional_need_may_be_absent_in_ci(tmp_path: Path) -> None:
    result = run(tmp_path, MODULE.format(optional=True), ci="true")
    assert result.returncode == 0
    assert "needs a unicorn: catch one" in result.stdout


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it():\n    pytest.skip('tired')\n",
        "import pytest\n@pytest.mark.skip(reason='tired')\ndef test_it(): ...\n",
        "import pytest\npytest.skip('tired', allow_module_level=True)\n",
    ],
    ids=["body", "marker", "module"],
)
def test_any_other_skip_fails_in_ci(tmp_path: Path, source: str) -> None:
    result = run(tmp_path, source, ci="true")
    assert result.returncode != 0
    assert "Skipped in CI (tired)" in result.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n"
    result = run(tmp_path, source, ci="true")
    assert result.returncode == 0
    assert "1 xfailed" in result.stdout
