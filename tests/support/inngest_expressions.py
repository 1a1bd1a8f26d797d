"""A double: what Inngest's server reads in functions' configurations: durations, expressions."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(duration: str) -> float:
    """Read a duration as the SDK writes it, such as '2s'."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhdw])", duration))


def holds(expression: str | None, *, event: dict[str, Any], awaited: dict[str, Any]) -> bool:
    """Tell whether an expression of equal paths holds; `async` is the event waited for."""
    if not expression:
        return True
    for part in expression.split("&&"):
        left, right = (_value(side.strip(), event, awaited) for side in part.split("=="))
        if left != right:
            return False
    return True


def _value(term: str, event: dict[str, Any], awaited: dict[str, Any]) -> Any:
    if term[0] in "'\"":
        return term[1:-1]
    root, *path = term.split(".")
    value: Any = {"event": event, "async": awaited}[root]
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def triggers(trigger: dict[str, Any], event: dict[str, Any]) -> bool:
    if trigger.get("event") != event["name"]:
        return False
    return holds(trigger.get("expression"), event=event, awaited={})
