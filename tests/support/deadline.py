"""How long a test waits for what must happen: how soon it does is not what the test is about."""

from __future__ import annotations

DEADLINE = 60.0
"""Seconds. An idle machine needs a fraction of one; a machine that many share, many times that."""
