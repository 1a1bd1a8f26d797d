from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from bullq.store.lua import official, script

LUA = Path(__file__).parents[3] / "lua"
OURS = sorted(file.stem for file in LUA.glob("*.lua"))
WRAPPED = [
    (name, directive)
    for name in OURS
    for directive in re.findall(
        r"^--- @official (\S+)$", (LUA / f"{name}.lua").read_text(), re.MULTILINE
    )
]


def test_there_are_scripts_of_ours_and_they_wrap_official_ones() -> None:
    assert OURS
    assert WRAPPED


@pytest.mark.parametrize(("name", "directive"), WRAPPED)
def test_the_text_of_an_official_script_is_wrapped_unchanged(name: str, directive: str) -> None:
    text = (resources.files("bullmq") / "commands" / f"{directive}.lua").read_text("utf-8")
    function = directive.rpartition("-")[0]
    assert f"local function {function}(KEYS, ARGV)\n{text}\nend\n" in script(name)


@pytest.mark.parametrize("name", OURS)
def test_no_directive_is_left_in_what_is_sent(name: str) -> None:
    assert not re.findall(r"^--- @(?:official|include)\b.*$", script(name), re.MULTILINE)


@pytest.mark.parametrize("name", OURS)
def test_what_is_sent_holds_all_else_of_the_file(name: str) -> None:
    sent = script(name)
    text = (LUA / f"{name}.lua").read_text()
    for part in re.split(r"^--- @\w+ \S+$", text, flags=re.MULTILINE):
        assert part.strip() in sent


@pytest.mark.parametrize("read", [official, script])
def test_a_script_that_is_not_there_is_an_error(read: Callable[[str], str]) -> None:
    with pytest.raises(FileNotFoundError):
        read("nothing-1")
