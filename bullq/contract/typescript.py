"""Write a contract's JSON Schema as TypeScript: a type per definition, and a map of all jobs."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from bullq.contract.comments import comment

_HEADER = """\
// Written by "bullq types". Change the Python types instead, and run it again.
import type * as bullmq from "bullmq";
"""

_HELPERS = """\
/** The name of a queue. */
export type QueueName = keyof Queues;

/** The names of a queue's jobs. */
export type JobName<Q extends QueueName> = keyof Queues[Q] & string;

/** What a job takes; without its name, what any job of the queue takes. */
export type JobData<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: Queues[Q][K] extends { data: infer D } ? D : never;
}[N];

/** What a job gives; without its name, what any job of the queue gives. */
export type JobResult<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: Queues[Q][K] extends { result: infer R } ? R : never;
}[N];

/** BullMQ's Job; a job's name tells the types of its data and its result. */
export type TypedJob<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: bullmq.Job<JobData<Q, K>, JobResult<Q, K>, K>;
}[N];

/** BullMQ's Queue, where a job's name tells the type of its data. */
export type TypedQueue<Q extends QueueName> = Omit<
  bullmq.Queue<JobData<Q>, JobResult<Q>, JobName<Q>>,
  "add" | "addBulk"
> & {
  add<N extends JobName<Q>>(
    name: N,
    data: JobData<Q, N>,
    opts?: bullmq.JobsOptions,
  ): Promise<bullmq.Job<JobData<Q, N>, JobResult<Q, N>, N>>;
  addBulk(
    jobs: {
      [N in JobName<Q>]: { name: N; data: JobData<Q, N>; opts?: bullmq.BulkJobOptions };
    }[JobName<Q>][],
  ): Promise<TypedJob<Q>[]>;
};

/** What BullMQ's Queue is with these types: `const Typed = Queue as unknown as ...`. */
export type TypedQueueConstructor = new <Q extends QueueName>(
  name: Q,
  opts: bullmq.QueueOptions,
) => TypedQueue<Q>;

/** A function for each job of a queue, for a worker in Node. */
export type Handlers<Q extends QueueName> = {
  [N in JobName<Q>]: (
    job: bullmq.Job<JobData<Q, N>, JobResult<Q, N>, N>,
    token?: string,
  ) => Promise<JobResult<Q, N>>;
};
"""

_STEP = "  "


def to_typescript(contract: dict[str, Any]) -> str:
    """Write *contract*, as contract_schema() gives it, as a module of types alone."""
    definitions = contract["$defs"]
    parts = [_HEADER]
    parts += [_definition(name, schema, definitions) for name, schema in definitions.items()]
    parts += [_map(contract, definitions), _HELPERS]
    return "\n".join(parts)


class _Type(NamedTuple):
    """A type as text; a compound one needs parentheses inside another."""

    text: str
    is_compound: bool = False

    @property
    def inner(self) -> str:
        return f"({self.text})" if self.is_compound else self.text


def _definition(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    written = _Writer(definitions).write(schema, "")
    is_interface = schema.get("type") == "object" and written.text.startswith("{\n")
    # An interface has its own name in the compiler's messages.
    declared = (
        f"export interface {name} {written.text}"
        if is_interface and not written.is_compound
        else f"export type {name} = {written.text};"
    )
    return f"{comment(schema, '')}{declared}\n"


def _map(contract: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Write the map of all jobs, a line for each."""
    writer = _Writer(definitions)
    lines = [f"{comment(contract, '')}export interface Queues {{"]
    for queue, jobs in contract["properties"].items():
        lines.append(f"{_STEP}{json.dumps(queue)}: {{")
        for name, job in jobs["properties"].items():
            data, result = (
                writer.write(job["properties"][part], _STEP * 2).text for part in ("data", "result")
            )
            lines.append(
                f"{comment(job, _STEP * 2)}"
                f"{_STEP * 2}{json.dumps(name)}: {{ data: {data}; result: {result} }};"
            )
        lines.append(f"{_STEP}}};")
    return "\n".join([*lines, "}", ""])


class _Writer:
    """Turns schemas into types; *definitions* are looked into where a reference needs it."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def write(self, schema: Any, indent: str) -> _Type:
        """Write a schema; what it says in several keywords holds all at once."""
        if isinstance(schema, bool):
            return _Type("unknown" if schema else "never")
        parts = [self.write(member, indent) for member in schema.get("allOf", ())]
        if "$ref" in schema:
            parts.append(_Type(_name(schema["$ref"])))
        if members := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
            tag = schema.get("discriminator", {}).get("propertyName")
            parts.append(_union([self._member(member, tag, indent) for member in members]))
        if "const" in schema:
            parts.append(_Type(_literal(schema["const"])))
        elif "enum" in schema:
            parts.append(_union([_Type(_literal(value)) for value in schema["enum"]]))
        elif "type" in schema:
            kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            parts.append(_union([self._of_kind(kind, schema, indent) for kind in kinds]))
        return _all_of(parts)

    def _member(self, schema: Any, tag: str | None, indent: str) -> _Type:
        """Write a member of a union; the *tag* that tells it from the others has to be there."""
        written = self.write(schema, indent)
        if tag is None or "$ref" not in schema:
            return written
        definition = self._definitions[_name(schema["$ref"])]
        if tag in definition.get("required", ()) or tag not in definition.get("properties", {}):
            return written
        value = self.write(definition["properties"][tag], indent).text
        return _all_of([written, _Type(f"{{ {_key(tag)}: {value} }}")])

    def _of_kind(self, kind: str, schema: dict[str, Any], indent: str) -> _Type:
        if kind == "object":
            return self._object(schema, indent)
        if kind == "array":
            return self._array(schema, indent)
        return _Type("number" if kind == "integer" else kind)

    def _array(self, schema: dict[str, Any], indent: str) -> _Type:
        items = schema.get("items", True)
        if "prefixItems" not in schema and schema.get("maxItems") != 0:
            return _Type(f"{self.write(items, indent).inner}[]")
        least = schema.get("minItems", 0)
        places = [
            self.write(place, indent).inner + ("" if number < least else "?")
            for number, place in enumerate(schema.get("prefixItems", ()))
        ]
        if items is not False and schema.get("maxItems") != len(places):
            places.append(f"...{self.write(items, indent).inner}[]")
        return _Type(f"[{', '.join(places)}]")

    def _object(self, schema: dict[str, Any], indent: str) -> _Type:
        fields = schema.get("properties", {})
        others = self._others(schema, indent)
        if not fields:
            return _Type(others or "{ [key: string]: never }")
        required = schema.get("required", ())
        lines = ["{"]
        deeper = indent + _STEP
        for name, field in fields.items():
            is_optional = name not in required
            said = comment(field, deeper, has_default=is_optional)
            mark = "?" if is_optional else ""
            lines.append(f"{said}{deeper}{_key(name)}{mark}: {self.write(field, deeper).text};")
        if schema.get("additionalProperties"):
            # The fields themselves have to fit what is said of any other.
            lines.append(f"{deeper}[key: string]: unknown;")
        return _Type("\n".join([*lines, f"{indent}}}"]))

    def _others(self, schema: dict[str, Any], indent: str) -> str | None:
        """Write an object without fields of its own: by what its keys and values may be."""
        patterns = schema.get("patternProperties", {})
        rest = schema.get("additionalProperties", not patterns)
        if rest is False and not patterns:
            return None
        values = [self.write(one, indent) for one in (*patterns.values(), rest) if one is not False]
        value = _union(values).text
        keys = self._keys(schema.get("propertyNames", {}), indent)
        if keys is not None:
            return f"{{ [K in {keys}]?: {value} }}"
        return f"{{ [key: string]: {value} }}"

    def _keys(self, schema: dict[str, Any], indent: str) -> str | None:
        """Write the names that the keys of an object have; None where they may be any."""
        target = self._definitions[_name(schema["$ref"])] if "$ref" in schema else schema
        if "enum" in target or "const" in target:
            return self.write(schema, indent).text
        return None


def _union(members: list[_Type]) -> _Type:
    return _joined(members, " | ", "never", absorbing="unknown")


def _all_of(members: list[_Type]) -> _Type:
    return _joined(members, " & ", "unknown", absorbing="never")


def _joined(members: list[_Type], sign: str, without: str, *, absorbing: str) -> _Type:
    """Join types, each once; *without* is what none of them gives, *absorbing* outweighs all."""
    different = list(dict.fromkeys(member for member in members if member.text != without))
    if any(member.text == absorbing for member in different):
        return _Type(absorbing)
    if not different:
        return _Type(without)
    if len(different) == 1:
        return different[0]
    return _Type(sign.join(member.inner for member in different), is_compound=True)


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        fields = (f"{_key(name)}: {_literal(item)}" for name, item in value.items())
        return f"{{ {'; '.join(fields)} }}"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else json.dumps(name, ensure_ascii=False)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
