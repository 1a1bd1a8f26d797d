"""Find the Lua: our scripts, and BullMQ's own in the installed official client."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path

_OFFICIAL = re.compile(r"^--- @official (?P<script>(?P<name>\w+)-\d+)$", re.MULTILINE)


@cache
def official(script: str) -> str:
    """Read a script of the installed `bullmq` package, such as 'moveToActive-11'."""
    return (resources.files("bullmq") / "commands" / f"{script}.lua").read_text(encoding="utf-8")


@cache
def script(name: str) -> str:
    """Read a script of ours, such as 'exchange-12', ready to be sent.

    A line `--- @official NAME-N` in it becomes a local function NAME(KEYS, ARGV) around the
    unchanged text of that official script.
    """
    text = (_folder() / f"{name}.lua").read_text(encoding="utf-8")
    return _OFFICIAL.sub(_wrapped, text)


def _wrapped(directive: re.Match[str]) -> str:
    body = official(directive["script"])
    return f"local function {directive['name']}(KEYS, ARGV)\n{body}\nend"


def _folder() -> Path:
    """Give the folder of our scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "lua"
    return installed if installed.is_dir() else package.parent / "lua"
