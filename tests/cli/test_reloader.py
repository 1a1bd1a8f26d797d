from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from bullq_cli.exits import CommandError
from bullq_cli.reloader import OwnCode, Reloader

from tests.support.deadline import DEADLINE


async def test_a_folder_that_cannot_be_watched_ends_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: Any, **__: Any) -> AsyncIterator[set[Any]]:
        raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    with pytest.raises(CommandError, match="cannot be watched: OS file watch limit reached"):
        await asyncio.wait_for(Reloader(["--version"], 1.0).run(), DEADLINE)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("jobs/default/hello_service.py", True),
        ("README.md", False),
        (".venv/lib/site.py", False),
        (".bullq/data/x.py", False),
        ("node_modules/gyp/x.py", False),
        ("jobs/__pycache__/x.py", False),
    ],
)
def test_only_code_that_somebody_edits_here_is_watched(path: str, seen: bool) -> None:  # noqa: FBT001
    changed = str(Path.cwd() / path)
    assert OwnCode()(watchfiles.Change.modified, changed) is seen
