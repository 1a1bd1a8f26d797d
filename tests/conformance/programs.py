"""Jobs drawn by chance: what they do is a list of operations, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from bullq import Context, GiveUp, Job, StepFailed
from bullq.testing.conformance import Bench
from bullq.testing.conformance.kit import Input, on

Program = list[tuple[str, Any]]

_KINDS = ("run", "fails", "gives up", "sleep", "parallel", "invoke", "once", "look", "log", "catch")
_DEEPEST = 2


def drawn(seed: int) -> Program:
    """Draw a program: operations and a number each, or the programs inside them."""
    chance = random.Random(seed)

    def program(depth: int) -> Program:
        return [operation(depth) for _ in range(chance.randint(1, 4))]

    def operation(depth: int) -> tuple[str, Any]:
        kind = chance.choice(_KINDS if depth < _DEEPEST else _KINDS[:4])
        if kind == "parallel":
            return kind, [program(depth + 1) for _ in range(chance.randint(0, 3))]
        if kind == "catch":
            return kind, program(depth + 1)
        return kind, chance.randint(0, 9)

    return program(0)


@on(name="leaf")
async def leaf(data: Input) -> int:
    """Give a number back, or give up."""
    if data.n % 4 == 3:
        raise GiveUp(f"no {data.n}")
    return data.n


def job_of(program: Program, bench: Bench) -> Job[Input, list[Any]]:
    """Make the job that does what a program says."""

    @on()
    async def body(data: Input, ctx: Context) -> list[Any]:
        return await _Performance(ctx, bench).all_of(program)

    return body


class _Performance:
    def __init__(self, ctx: Context, bench: Bench) -> None:
        self._ctx = ctx
        self._operations: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "run": lambda n: ctx.run(f"run {n}", int, n),
            "fails": lambda n: ctx.run(f"fails {n}", self._flaky),
            "gives up": lambda n: ctx.run(f"gives up {n}", self._give_up, n),
            "sleep": lambda n: ctx.sleep(f"sleep {n}", bench.pause if n > 4 else 0),
            "parallel": lambda all_: ctx.parallel(*[partial(self.all_of, one) for one in all_]),
            "invoke": lambda n: ctx.invoke(f"invoke {n}", leaf, Input(n=n)),
            "once": lambda n: ctx.once(f"once {n}", int, n),
            "look": lambda n: ctx.wait_for(f"look {n}", "nothing", 0),
            "log": self._log,
            "catch": self._caught,
        }

    async def all_of(self, program: Program) -> list[Any]:
        return [await self._operations[kind](n) for kind, n in program]

    async def _flaky(self) -> int:
        if self._ctx.attempt == 1:
            raise ValueError("not yet")
        return self._ctx.attempt

    async def _give_up(self, n: int) -> int:
        if n < 4:
            raise GiveUp(f"no {n}")
        return n

    async def _log(self, n: int) -> None:
        self._ctx.log(f"log {n}")

    async def _caught(self, program: Program) -> Any:
        try:
            return await self.all_of(program)
        except StepFailed as failed:
            return f"{failed.step}: {failed.name}: {failed.message}"
