"""Write what a schema says of itself as a doc comment: its words, its default, its bounds."""

from __future__ import annotations

import json
from typing import Any

_TAGS = (
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
)
"""What a type in TypeScript cannot say, in the words of JSON Schema."""

_WIDE = 100  # characters of a comment on one line


def comment(schema: Any, indent: str, *, has_default: bool = False) -> str:
    """Give a doc comment on lines of its own, or nothing where there is nothing to say.

    *has_default* says that what is left out has the schema's default.
    """
    if not isinstance(schema, dict):
        return ""
    lines = str(schema.get("description", "")).strip().splitlines()
    if has_default and schema.get("default") is not None:
        lines.append(f"@default {json.dumps(schema['default'], ensure_ascii=False)}")
    bounded = _bounded(schema)
    lines += [f"@{tag} {_written(bounded[tag])}" for tag in _TAGS if tag in bounded]
    if schema.get("deprecated"):
        lines.append("@deprecated")
    lines = [line.rstrip().replace("*/", "*\\/") for line in lines]
    if not lines:
        return ""
    if len(lines) == 1 and len(indent) + len(lines[0]) < _WIDE:
        return f"{indent}/** {lines[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the part of a schema that has the bounds: of `X | null` it is X's."""
    members = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(members) == 1:
        return dict(members[0])
    is_tuple = "prefixItems" in schema or schema.get("maxItems") == 0
    return {} if is_tuple else schema


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
