from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what the developer's own environment says of bullq."""
    for name in list(os.environ):
        if name.startswith("BULLQ_") or name in {"REDIS_URL", "USE_BULLMQ"}:
            monkeypatch.delenv(name)
