from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shop_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the shop writes to in this test."""
    monkeypatch.setenv("SHOP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
