"""A type checker must accept the API as users write it, and find their mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typing.pages import PAGES, blocks, place, program

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEADLINE = 300.0  # seconds; the first run reads pydantic and redis, later ones a cache


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write down the programs that are on the pages of README and docs."""
    folder = tmp_path_factory.mktemp("pages")
    written = {}
    for page in PAGES:
        if blocks(page):
            name = f"{page.relative_to(ROOT)}".removesuffix(".md").replace("/", "_").lower()
            written[f"{page.relative_to(ROOT)}"] = folder / f"page_{name}.py"
            written[f"{page.relative_to(ROOT)}"].write_text(program(page), encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def errors(programs: dict[str, Path]) -> dict[str, list[tuple[int, str]]]:
    """Check all files in one strict run, as a user's project would: no settings of ours."""
    files = [HERE / "api.py", HERE / "mistakes.py", *programs.values()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *("--cache-dir", str(ROOT / ".mypy_cache" / "typing"), "--no-error-summary"),
            *("--hide-error-context", "--show-error-codes", "--no-pretty"),
            *map(str, files),
        ],
        cwd=HERE,
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found: dict[str, list[tuple[int, str]]] = {file.name: [] for file in files}
    for line in done.stdout.splitlines():
        match = re.match(r"(?P<file>.+?):(?P<line>\d+): error: (?P<message>.*)", line)
        if match:
            name = Path(match["file"]).name
            found.setdefault(name, []).append((int(match["line"]), match["message"]))
    return found


def test_the_api_as_users_write_it_is_accepted(errors: dict[str, list[tuple[int, str]]]) -> None:
    assert errors["api.py"] == []


def test_nothing_is_reported_outside_the_users_files(
    errors: dict[str, list[tuple[int, str]]], programs: dict[str, Path]
) -> None:
    pages = {file.name for file in programs.values()}
    assert set(errors) == {"api.py", "mistakes.py", *pages}


def test_the_python_of_every_page_is_accepted(
    errors: dict[str, list[tuple[int, str]]], programs: dict[str, Path]
) -> None:
    told = [
        f"{page}, {place(file.read_text(encoding='utf-8'), line)}: {message}"
        for page, file in programs.items()
        for line, message in errors[file.name]
    ]
    assert "\n".join(told) == ""
    assert len(programs) >= 8


def test_exactly_the_seeded_mistakes_are_found(errors: dict[str, list[tuple[int, str]]]) -> None:
    lines = (HERE / "mistakes.py").read_text().splitlines()
    seeded = [number for number, text in enumerate(lines, 1) if text.endswith("# wrong")]
    assert len(seeded) >= 5
    assert sorted({line for line, _ in errors["mistakes.py"]}) == seeded
