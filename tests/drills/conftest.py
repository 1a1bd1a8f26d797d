from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.drills.history import History
from tests.drills.jobs import write_to
from tests.drills.site import Site, say, site
from tests.support.servers import RedisServer

LONG = os.environ.get("BULLQ_TEST_DRILLS") == "long"
"""Whether the drills are run at length, for figures (docs/reliability.md)."""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    page = write_to(tmp_path / "history.jsonl")
    yield page
    page.close()


@pytest.fixture
async def place(valkey: RedisServer, prefix: str, history: History) -> AsyncIterator[Site]:
    """A site on the server that all tests share."""
    async with site(valkey, prefix, history) as made:
        yield made


@pytest.fixture
async def own_place(own_server: RedisServer, prefix: str, history: History) -> AsyncIterator[Site]:
    """A site on a server that the drill may harm; what it holds is on disk."""
    async with site(own_server, prefix, history) as made:
        yield made


@pytest.fixture
def seed() -> int:
    """What all chance of a drill follows from; BULLQ_TEST_SEED repeats one."""
    number = int(os.environ.get("BULLQ_TEST_SEED") or random.randrange(2**32))
    say(f"seed {number}")
    return number


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)
