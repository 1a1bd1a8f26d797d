"""Judge how soon something happens on a machine that is busy with other things, too."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

TRIES = 12


async def soonest(once: Callable[[], Awaitable[float]], within: float) -> float:
    """Measure *once* again and again until it is *within*, and give the least it has been.

    Whatever else the machine does makes one try late or another; a defect makes all of them late.
    """
    measured: list[float] = []
    while len(measured) < TRIES:
        measured.append(await once())
        if measured[-1] < within:
            break
    if len(measured) > 1:  # shown by pytest with -s, or of a test that fails
        sys.stdout.write(f"late at first, within {within:g}: {measured}\n")
    return min(measured)
