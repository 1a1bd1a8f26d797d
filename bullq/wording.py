"""Say numbers in words."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Say how many there are: '1 job', '1,200 jobs'; *plural* is for nouns that take no s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
