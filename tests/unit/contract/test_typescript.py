"""What the types look like; that they mean what they should, the compiler says elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from bullq.contract.typescript import to_typescript


def declared(schema: dict[str, Any], **others: Any) -> str:
    """Give the declaration of one definition called It."""
    contract = {"properties": {}, "$defs": {"It": schema, **others}}
    text = to_typescript(contract)
    start = text.index('"bullmq";\n\n') + len('"bullmq";\n\n')
    return text[start : text.index("\n\n", start)].partition("\n\nexport")[0]


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({}, "unknown"),
        ({"type": "integer"}, "number"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"const": 'a"b'}, '"a\\"b"'),
        ({"enum": ["a", 1, None, True]}, '"a" | 1 | null | true'),
        ({"enum": [[1, "a"], {"b": 2}]}, '[1, "a"] | { b: 2 }'),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"anyOf": [{"type": "integer"}, {}]}, "unknown"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "number | null"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {}], "minItems": 1},
            "[string, unknown?, ...unknown[]]",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 1, "maxItems": 1},
            "[string]",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "null"}], "minItems": 1, "items": False},
            "[null]",
        ),
        ({"type": "array", "maxItems": 0, "minItems": 0}, "[]"),
        ({"type": "object"}, "{ [key: string]: unknown }"),
        ({"type": "object", "additionalProperties": False}, "{ [key: string]: never }"),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "string"}, "^b": {"const": 1}}},
            "{ [key: string]: string | 1 }",
        ),
        (
            {"type": "object", "additionalProperties": {"const": 1}, "propertyNames": {"const": 2}},
            "{ [K in 2]?: 1 }",
        ),
        ({"allOf": [{"type": "string"}, {"const": "a"}]}, 'string & "a"'),
    ],
)
def test_a_schema_is_written_as(schema: dict[str, Any], written: str) -> None:
    assert declared(schema) == f"export type It = {written};"


def test_an_object_is_an_interface_with_optional_and_quoted_fields() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b-c": {"type": "null"}},
        "required": ["a"],
        "additionalProperties": True,
    }
    assert declared(schema) == (
        'export interface It {\n  a: string;\n  "b-c"?: null;\n  [key: string]: unknown;\n}'
    )


def test_the_tag_of_a_union_has_to_be_there_even_if_it_has_a_default() -> None:
    cat = {"type": "object", "properties": {"kind": {"const": 1}, "lives": {"type": "number"}}}
    dog = {"type": "object", "properties": {"kind": {"const": 2}}, "required": ["kind"]}
    union = {
        "discriminator": {"propertyName": "kind", "mapping": {"1": "#/$defs/Cat"}},
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    }
    assert declared(union, Cat=cat, Dog=dog) == "export type It = (Cat & { kind: 1 }) | Dog;"


def test_comments_say_what_types_cannot() -> None:
    field = {
        "description": "How many.\nEnds here: */",
        "default": 3,
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
        "deprecated": True,
    }
    schema = {"description": "An it.", "type": "object", "properties": {"many": field, "b": field}}
    assert declared(schema | {"required": ["b"]}) == (
        "/** An it. */\n"
        "export interface It {\n"
        "  /**\n   * How many.\n   * Ends here: *\\/\n   * @default 3\n   * @minimum 1\n"
        "   * @deprecated\n   */\n  many?: number | null;\n"
        # What is always there has no use for a default.
        "  /**\n   * How many.\n   * Ends here: *\\/\n   * @minimum 1\n   * @deprecated\n   */\n"
        "  b: number | null;\n}"
    )
