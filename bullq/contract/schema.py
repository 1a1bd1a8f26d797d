"""Describe all jobs in one JSON Schema: what their data is on the wire, and their results."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from bullq.contract.names import identifiers
from bullq.jobs.job import SERVICE_SUFFIX, Job
from bullq.jobs.remote import RemoteJob

_DEFINITIONS = "#/$defs/"

Mode = Literal["validation", "serialization"]


def contract_schema(jobs: Iterable[Job[Any, Any]]) -> dict[str, Any]:
    """Give the JSON Schema of an object `{queue: {job: {data, result}}}`, the same every time.

    What other programs write is described as bullq reads it: data of jobs that run here,
    results of jobs that run elsewhere. What they read is described as bullq writes it.
    """
    ordered = sorted(jobs, key=lambda job: (job.queue, job.name))
    described, definitions = _described(ordered)
    queues: dict[str, dict[str, Any]] = {}
    for job, (data, result) in zip(ordered, described, strict=True):
        entry = _object({"data": data, "result": result})
        if text := description(job):
            entry["description"] = text
        queues.setdefault(job.queue, {})[job.name] = entry
    same = _same(definitions)
    names = identifiers(set(same.values()))
    names = {key: names[other] for key, other in same.items()}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Queues",
        "description": "What each job takes and gives, by its queue and its name.",
        **_renamed(_object({queue: _object(jobs) for queue, jobs in queues.items()}), names),
        "$defs": {
            name: _renamed(definitions[key], names)
            for key, name in sorted(names.items(), key=itemgetter(1))
            if same[key] == key
        },
    }


def description(job: Job[Any, Any]) -> str | None:
    """Say what a job is for: in its function's words, or in those of its service's module."""
    if text := inspect.cleandoc(job.__doc__ or ""):
        return text
    module = sys.modules.get(job.__module__)
    if module is None or not module.__name__.endswith(SERVICE_SUFFIX):
        return None
    return inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0] or None


class WireSchema(GenerateJsonSchema):
    """Pydantic's schema, with what is always written said to be always there."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - theirs

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - the signature is pydantic's
    ) -> bool:
        """Tell whether a field is always there; one with a default is always written."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        """Take a type that has no schema for one of which nothing is known."""
        try:
            return super().handle_invalid_for_json_schema(schema, error_info)
        except PydanticInvalidForJsonSchema:
            return {}


def _described(jobs: list[Job[Any, Any]]) -> tuple[list[list[Any]], dict[str, Any]]:
    """Give the schemas of each job's data and result, and the definitions they all share."""
    inputs: list[tuple[tuple[str, str, str], Mode, TypeAdapter[Any]]] = []
    for job in jobs:
        write, read = _modes(job)
        place = (job.queue, job.name)
        inputs.append(((*place, "data"), write, TypeAdapter(job.payload.annotation)))
        inputs.append(((*place, "result"), read, TypeAdapter(job.result.annotation)))
    schemas, shared = TypeAdapter.json_schemas(inputs, schema_generator=WireSchema)
    ordered = [schemas[place, mode] for place, mode, _ in inputs]
    return [ordered[i : i + 2] for i in range(0, len(ordered), 2)], shared.get("$defs", {})


def _modes(job: Job[Any, Any]) -> tuple[Mode, Mode]:
    """Tell as what pydantic describes a job's data and its result."""
    if isinstance(job, RemoteJob):
        return "serialization", "validation"
    return "validation", "serialization"


def _same(definitions: dict[str, Any]) -> dict[str, str]:
    """Tell which definition stands for each: pydantic may define a type once for each mode.

    Of those that are alike it is the one without a mode in its key.
    """
    stands = {key: key for key in definitions}
    while True:
        kinds: dict[str, str] = {}
        found: dict[str, str] = {}
        for key in sorted(definitions, key=lambda key: ("-" in key, key)):
            # A recursive type is alike one that refers to itself in the same places.
            kind = _renamed(definitions[key], {**stands, key: "itself"})
            found[key] = kinds.setdefault(json.dumps(kind, sort_keys=True), key)
        if found == stands:
            return stands
        stands = found


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Copy a schema with its references to definitions called as *names* says."""
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, str) and value.startswith(_DEFINITIONS):
        return _DEFINITIONS + names[value.removeprefix(_DEFINITIONS)]
    return value
