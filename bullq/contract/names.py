"""Give the definitions of a contract names that are identifiers, short, and each its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_TYPESCRIPT = """any as async await bigint boolean break case catch class const continue debugger
declare default delete do else enum export extends false finally for function if implements import
in infer instanceof interface keyof let module namespace never new null number object package
private protected public readonly return static string super switch symbol this throw true try
type typeof undefined unique unknown var void while with yield Omit Promise bullmq"""

_OURS = """Handlers JobData JobName JobResult Queues QueueName TypedJob TypedQueue
TypedQueueConstructor"""

RESERVED = frozenset(f"{_TYPESCRIPT} {_OURS}".split())
"""What no definition can be called: the language's words, and those of the written module."""


def identifiers(keys: Iterable[str]) -> dict[str, str]:
    """Give a name for each of pydantic's keys, such as `Order-Input` or `shop__mail__Order`.

    Where modules have types of one name, the names of the modules tell them apart.
    """
    ordered = sorted(keys)
    paths = Counter(key.partition("-")[0] for key in ordered)
    spelled = {key: _spellings(key, paths) for key in ordered}
    depths = dict.fromkeys(spelled, 0)
    while clashing := _clashing(spelled, depths):
        for key in clashing:
            depths[key] += 1
    taken: set[str] = set(RESERVED)
    named: dict[str, str] = {}
    for key, spellings in spelled.items():
        named[key] = _free(spellings[depths[key]], taken)
        taken.add(named[key])
    return named


def _clashing(spelled: dict[str, list[str]], depths: dict[str, int]) -> list[str]:
    """List the keys that share their name with others and have a longer one left."""
    counts = Counter(spelled[key][depth] for key, depth in depths.items())
    return [
        key
        for key, depth in depths.items()
        if counts[spelled[key][depth]] > 1 and depth + 1 < len(spelled[key])
    ]


def _spellings(key: str, paths: Counter[str]) -> list[str]:
    """List what a type may be called: its own name, then with ever more of its module's.

    Whether it is written or read is said where one of the same path (*paths*) is the other.
    """
    path, _, mode = key.partition("-")
    *modules, own = [part for part in path.rstrip("_").split("__") if part.strip("_")] or [path]
    mode = re.sub(r"\W|_", "", mode) if paths[path] > 1 else ""
    # A generic's key, as `Box_int_`, is no name that somebody has given.
    name = _joined(own) if path.endswith("_") or not own.isidentifier() else own
    spellings = [name + mode]
    for module in reversed(modules):
        name = _joined(module) + name
        spellings.append(name + mode)
    return spellings


def _joined(text: str) -> str:
    """Write `send_receipt` as `SendReceipt`."""
    words = re.split(r"[\W_]+", text)
    joined = "".join(word[:1].upper() + word[1:] for word in words)
    return joined if joined[:1].isidentifier() else f"T{joined}"


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    name = f"{name}Model"
    number = 2
    while (other := name if number == 2 else f"{name}{number}") in taken:  # noqa: PLR2004 - the first
        number += 1
    return other
