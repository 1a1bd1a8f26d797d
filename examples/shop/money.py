"""Amounts of money: whole cents inside, euros for people."""

from __future__ import annotations


def euros(cents: int) -> str:
    """Write an amount as people read it."""
    return f"{cents / 100:,.2f} EUR"
