from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.interop.node_side import NodeProcess, NodeSide
from tests.interop.pairings import NEWEST, PACKAGES
from tests.support.no_silent_skips import NODE, need
from tests.support.servers import RedisServer

BOTH_VERSIONS = pytest.mark.parametrize("node", [NEWEST, "5.81"], indirect=True)

StartNode = Callable[[], NodeProcess]


@pytest.fixture(scope="session")
def node_processes(
    valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], NodeProcess]]:
    """One Node process per version of BullMQ, started when a test first needs it."""
    running: dict[str, NodeProcess] = {}

    def process(version: str) -> NodeProcess:
        if version not in running:
            folder = tmp_path_factory.mktemp("node")
            running[version] = NodeProcess(PACKAGES[version], valkey.port, folder)
        return running[version]

    yield process
    for one in running.values():
        one.kill()


@pytest.fixture
async def node(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NodeSide]:
    """The Node side of a test, with BullMQ 6.7 or the version it is parametrised with."""
    need(NODE)
    processes = request.getfixturevalue("node_processes")
    side = NodeSide(processes(getattr(request, "param", NEWEST)), prefix)
    yield side
    await side.ask("forget")
