"""Tell the types whose values can hold NaN or infinity, which JSON has not, from all others."""

from __future__ import annotations

from typing import Any

_WITHOUT = frozenset(
    {
        *("bool", "bytes", "date", "datetime", "decimal", "int", "literal", "none", "str"),
        *("time", "timedelta", "url", "uuid"),
        *("dict", "frozenset", "list", "nullable", "set", "tagged-union", "tuple", "union"),
        *("computed-field", "dataclass", "dataclass-args", "dataclass-field", "model"),
        *("model-field", "model-fields", "typed-dict", "typed-dict-field"),
        *("default", "definition-ref", "definitions"),
        # Validators: what they give is written by the type that they stand around.
        *("function-after", "function-before", "function-wrap"),
    }
)
"""pydantic's kinds of types that hold no such number, but for what is inside them."""

_NO_TYPES = frozenset({"cls", "config", "default", "expected", "function", "metadata"})
"""Where a schema of pydantic's keeps other things than types."""


def may_hold_nan(schema: Any) -> bool:
    """Tell whether a value of a type, by pydantic's schema of it, can hold NaN or infinity.

    Yes where that is not certain: for any kind of type unknown here, for serializers of the
    user's own, for fields that are not declared, and for a schema that is not built yet.
    """
    return not isinstance(schema, dict) or _may(schema)


def _may(schema: Any) -> bool:
    if isinstance(schema, list | tuple):
        return any(map(_may, schema))
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in _WITHOUT:
        return True
    if "serialization" in schema or "allow" in _extras(schema):
        return True
    return any(_may(part) for name, part in schema.items() if name not in _NO_TYPES)


def _extras(schema: dict[str, Any]) -> set[Any]:
    config = schema.get("config") or {}
    return {schema.get("extra_behavior"), config.get("extra_fields_behavior")}
