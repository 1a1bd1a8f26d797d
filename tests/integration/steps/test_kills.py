"""A worker that is killed between two steps costs no effect and repeats none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.conftest import AppFactory
from tests.integration.steps.dying_worker import QUEUE, STEPS, Place, many_steps
from tests.support.deadline import DEADLINE
from tests.support.servers import RedisServer

ROOT = Path(__file__).parents[3]


async def test_a_job_killed_at_every_boundary_has_each_effect_once(
    make_app: AppFactory, valkey: RedisServer, prefix: str, tmp_path: Path
) -> None:
    make_app(many_steps, queues=[QUEUE])
    receipt = await many_steps.dispatch(Place(folder=str(tmp_path)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.steps.dying_worker",
        valkey.url,
        prefix,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(DEADLINE):
        killed, _ = await process.communicate()
    assert process.returncode == 0
    assert int(killed) == STEPS + 1  # before each step, and after the last
    assert await receipt.result(timeout=DEADLINE) == STEPS
    effects = (tmp_path / "effects").read_text(encoding="ascii").split()
    assert effects == [str(number) for number in range(STEPS)]
