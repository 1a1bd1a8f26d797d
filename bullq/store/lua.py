"""Find the Lua: our scripts, and BullMQ's own in the installed official client."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path

_OFFICIAL = re.compile(r"^--- @official (?P<script>(?P<name>\w+)-\d+)$", re.MULTILINE)
_OURS = re.compile(r"^--- @script (?P<script>(?P<name>\w+)-\d+)$", re.MULTILINE)
_INCLUDE = re.compile(r"^--- @include (?P<name>\w+)$", re.MULTILINE)

_PROVEN = frozenset({"4a9f03206acf69dd", "c21475e1a0b38c71"})
"""Fingerprints of official scripts beside which lua/includes/plain*.lua leave the same.

A differential test proves it for the installed ones, and tells the fingerprint to put here.
"""


@cache
def official(script: str) -> str:
    """Read a script of the installed `bullmq` package, such as 'moveToActive-11'."""
    return (resources.files("bullmq") / "commands" / f"{script}.lua").read_text(encoding="utf-8")


@cache
def script(name: str) -> str:
    """Read a script of ours, such as 'exchange-12', ready to be sent.

    A line `--- @official NAME-N` in it becomes a local function NAME(KEYS, ARGV) around the
    unchanged text of that official script, and `--- @script NAME-N` one around a script of ours;
    `--- @include NAME` the text of includes/NAME.lua.
    """
    text = _OFFICIAL.sub(_wrapped, _INCLUDE.sub(_included, _read(name)))
    return _OURS.sub(lambda found: _function(found["name"], script(found["script"])), text)


@cache
def fingerprint(name: str) -> str:
    """Tell apart the official scripts that a script of ours wraps, by their text."""
    texts = [official(directive["script"]) for directive in _OFFICIAL.finditer(_read(name))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def is_proven(name: str) -> bool:
    """Tell whether a script's shorter ways were proven against the installed official scripts."""
    return fingerprint(name) in _PROVEN


def _wrapped(directive: re.Match[str]) -> str:
    return _function(directive["name"], official(directive["script"]))


def _function(name: str, body: str) -> str:
    return f"local function {name}(KEYS, ARGV)\n{body}\nend"


def _included(directive: re.Match[str]) -> str:
    return _read(f"includes/{directive['name']}")


def _read(name: str) -> str:
    return (_folder() / f"{name}.lua").read_text(encoding="utf-8")


def _folder() -> Path:
    """Give the folder of our scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "lua"
    return installed if installed.is_dir() else package.parent / "lua"
