"""Payloads and results: JSON on the wire, the annotated Python types in the code."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import (
    PydanticUserError,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError

from bullq.errors import PayloadError, ResultError
from bullq.jobs.finite import may_hold_nan
from bullq.jobs.limits import check_payload, check_result, size_of

T = TypeVar("T")

_MASK = b"*" * 10  # what pydantic writes for a secret
_SHOWN = 60  # characters of a wrong value in a message


class Payload(Generic[T]):
    """What a job takes: a type whose JSON is an object, checked on both sides."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._adapter: TypeAdapter[T] = TypeAdapter(annotation)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a payload."""
        return self._adapter.json_schema()

    def is_object(self) -> bool:
        """Whether every value of the type is a JSON object."""
        schema = self.schema
        return _is_object(schema, schema.get("$defs", {}))

    def unread(self) -> set[str]:
        """Name the fields that are written under a name by which they are not read."""
        readable = _properties(self.schema) | _properties(self._adapter.json_schema(by_alias=False))
        return _properties(self._adapter.json_schema(mode="serialization")) - readable

    # Bound once: TypeAdapter's own methods cost as much again as what they call.

    @cached_property
    def _validate(self) -> Callable[[Any], T]:
        return self._adapter.validator.validate_python

    @cached_property
    def _to_json(self) -> Callable[..., bytes]:
        return self._adapter.serializer.to_json

    @cached_property
    def _may_hold_nan(self) -> bool:
        return may_hold_nan(self._adapter.core_schema)

    def encode(self, value: T) -> Any:
        """Give *value* as JSON data; raises PayloadError as write() does."""
        return json.loads(self.write(value))

    def write(self, value: T) -> bytes:
        """Give *value* as JSON text.

        Raises PayloadError where it is not of the type, or more than any engine takes.
        """
        try:
            checked = self._validate(value)
            try:
                text = self._to_json(checked, by_alias=True, warnings="error")
            except PydanticSerializationError:
                text = _write_halves(self._adapter, checked)
            if self._may_hold_nan:
                self._refuse_nan_in(text, checked)
        except (ValueError, PydanticSerializationError, RecursionError) as error:
            raise PayloadError(f"payload: {describe(error)}") from error
        check_payload("payload", len(text))
        if _MASK in text and self.decode(text.decode()) != checked:
            raise PayloadError(
                "payload: a secret in it would be sent as asterisks; take a str in place of the "
                "SecretStr, or give the field a serializer that reveals it"
            )
        return text

    def _refuse_nan_in(self, text: bytes, checked: T) -> None:
        if b"null" in text:
            _refuse_nan(self._adapter.dump_python(checked))
        elif b"NaN" in text or b"Infinity" in text:  # numbers, or words
            json.loads(text, parse_constant=_refuse_constant)

    def decode(self, text: str) -> T:
        """Read JSON *text*; raises PayloadError with pydantic's words where it does not fit."""
        try:
            # By name, too: what has an alias for reading only is written under its name.
            return _read(self._adapter, text, by_name=True)
        except ValidationError as error:
            raise PayloadError(f"payload: {describe(error)}") from error


class Result(Generic[T]):
    """What a job gives back: anything that JSON can hold, written by the declared type."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._adapter: TypeAdapter[T] = TypeAdapter(annotation)

    def encode(self, value: T) -> str:
        """Give *value* as JSON text.

        Raises ResultError, naming its type, where that cannot be, or where it is more than any
        engine takes.
        """
        try:
            try:
                text = self._adapter.dump_json(value, by_alias=True, warnings="error")
            except PydanticSerializationError:
                text = _write_halves(self._adapter, value)
            if value is None:
                self._adapter.validate_python(None)  # writing it is never refused
            elif any(mark in text for mark in (b"null", b"NaN", b"Infinity")):
                _refuse_nan(self._adapter.dump_python(value))
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ResultError(
                f"the job ran, but its result of type {type(value).__name__!r} does not fit the "
                f"declared type {describe_type(self.annotation)}: {describe(error)}"
            ) from error
        check_result(len(text))
        if _MASK in text and _holds_secret(self._adapter.dump_python(value)):
            raise ResultError(
                f"the job ran, but its result of type {type(value).__name__!r} has a secret in it, "
                "which would be kept as asterisks; give a str in place of the SecretStr, or give "
                "the field a serializer that reveals it"
            )
        return text.decode()

    def decode(self, text: str) -> T:
        """Read a result from JSON *text*; raises ResultError where it is of another type."""
        try:
            return _read(self._adapter, text)
        except ValidationError as error:
            raise ResultError(f"result: {describe(error)}") from error


def _write_halves(adapter: TypeAdapter[Any], value: Any) -> bytes:
    """Write halves of characters as JSON's escapes, which pydantic refuses; all else fails."""
    data = adapter.dump_python(value, mode="json", by_alias=True, warnings="error")
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _read(adapter: TypeAdapter[T], text: str, *, by_name: bool | None = None) -> T:
    """Read JSON, and also what pydantic's parser refuses of it, but Node writes.

    That is halves of characters, as cutting a text in JavaScript leaves, and deep nesting. With
    *by_name* fields are found by their names, too.
    """
    try:
        return adapter.validate_json(text, by_alias=by_name, by_name=by_name)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] != "json_invalid" or first["loc"]:
            raise
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise error from None
    return adapter.validate_python(data, by_alias=by_name, by_name=by_name)


_ANYTHING: Result[Any] = Result(Any)


def event_text(event: str, payload: Any) -> str:
    """Give an event's payload as JSON text; raises PayloadError, naming the event."""
    try:
        text = _ANYTHING.encode(payload)
    except ResultError as error:
        why = str(error).removeprefix("the job ran, but its result").strip()
        raise PayloadError(f"the event {event!r}: its payload {why}") from None
    check_payload(f"the event {event!r}", size_of(text))
    return text


def describe(error: Exception) -> str:
    """Put what pydantic found into one line: where, what is wrong, what was given."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}{_given(item)}"
        for item in error.errors(include_url=False)
    )


def describe_type(annotation: Any) -> str:
    """Name a type the way its author wrote it."""
    return getattr(annotation, "__name__", None) or str(annotation)


def type_problem(annotation: Any) -> str | None:
    """Say why no payload of this type can be checked, or None where it can."""
    try:
        payload = Payload[Any](annotation)
        if unread := payload.unread():
            return (
                f"the payload type {describe_type(annotation)} writes {', '.join(sorted(unread))} "
                "under a name that it does not read; give these fields one alias for both"
            )
        if payload.is_object():
            return None
    except (PydanticUserError, TypeError, NameError) as error:
        return _unreadable(annotation, error)
    return (
        f"the payload type {describe_type(annotation)} is no JSON object; "
        "take one pydantic model, dataclass or TypedDict that holds the fields"
    )


def result_problem(annotation: Any) -> str | None:
    """Say why no result of this type can be written, or None where it can."""
    try:
        Result[Any](annotation)
    except (PydanticUserError, TypeError, NameError) as error:
        return _unreadable(annotation, error)
    return None


def _unreadable(annotation: Any, error: Exception) -> str:
    why = str(error).partition("\n")[0]
    return f"pydantic cannot read the type {describe_type(annotation)}: {why}"


def _refuse_nan(value: Any) -> None:
    """Raise ValueError where *value*, dumped as Python, holds NaN or infinity.

    JSON has neither, and pydantic writes null in their place.
    """
    json.dumps(value, allow_nan=False, skipkeys=True, default=lambda _: None)


def _holds_secret(value: Any) -> bool:
    """Tell whether *value*, dumped as Python, has a secret in it."""
    found = False

    def note(part: object) -> None:
        nonlocal found
        found = found or isinstance(part, Secret | SecretStr | SecretBytes)

    json.dumps(value, skipkeys=True, default=note)
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _given(item: Any) -> str:
    if item["type"] == "missing":
        return ""
    given = repr(item.get("input"))
    return f" (given {given if len(given) <= _SHOWN else given[: _SHOWN - 3] + '...'})"


def _properties(schema: Any) -> set[str]:
    """Name the fields of all objects in a JSON Schema, but for computed ones."""
    if isinstance(schema, list):
        return set().union(*map(_properties, schema))
    if not isinstance(schema, dict):
        return set()
    fields = schema.get("properties") if schema.get("type") == "object" else None
    own = {name for name, field in (fields or {}).items() if not field.get("readOnly")}
    return own.union(*map(_properties, schema.values()))


def _is_object(schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return _is_object(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    members = schema.get("anyOf") or schema.get("oneOf")
    if members:
        return all(_is_object(member, definitions) for member in members)
    return schema.get("type") == "object"
