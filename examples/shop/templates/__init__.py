"""The texts that the shop fills in."""

from __future__ import annotations

from importlib.resources import files


def read_template(name: str) -> str:
    """Read one of the files beside this one."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
