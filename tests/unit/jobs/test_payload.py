from __future__ import annotations

import dataclasses
import json
import math
import sys
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
import typing_extensions
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
)

from bullq.errors import PayloadError, ResultError
from bullq.jobs.limits import MOST_PAYLOAD_BYTES, MOST_RESULT_BYTES
from bullq.jobs.payload import Payload, Result, event_text, result_problem, type_problem


class Order(BaseModel):
    order_id: int
    email: str = ""


class Aliased(BaseModel):
    order_id: int = Field(alias="orderId")


class ReadByAlias(BaseModel):
    order_id: int = Field(0, validation_alias="orderId")


class ReadByAliases(BaseModel):
    order_id: int = Field(0, validation_alias=AliasChoices("orderId", "id"))


class WrittenByAlias(BaseModel):
    order_id: int = Field(0, serialization_alias="orderId")


class Computed(BaseModel):
    order_id: int
    note: str = Field("", exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return self.order_id * 2


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Row(typing_extensions.TypedDict):
    key: str
    count: typing_extensions.NotRequired[int]


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Tree(BaseModel):
    children: list[Tree] = []


class Pair(NamedTuple):
    a: int


class Plain:
    pass


class Loose(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    value: float


class Login(BaseModel):
    password: SecretStr


class WrittenLogin(BaseModel):
    password: SecretStr

    @field_serializer("password", when_used="json")
    def reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("annotation", "value", "data"),
    [
        (Order, Order(order_id=7, email="a@b.c"), {"order_id": 7, "email": "a@b.c"}),
        (Aliased, Aliased(orderId=7), {"orderId": 7}),
        (ReadByAlias, ReadByAlias(orderId=7), {"order_id": 7}),
        (ReadByAliases, ReadByAliases(id=7), {"order_id": 7}),
        (Computed, Computed(order_id=2), {"order_id": 2, "doubled": 4}),
        (Point, Point(1), {"x": 1, "y": 0.5}),
        (Row, {"key": "a"}, {"key": "a"}),
        (Order | Point, Point(3), {"x": 3, "y": 0.5}),
        (Pet, Dog(kind="dog"), {"kind": "dog"}),
        (Tree, Tree(children=[Tree()]), {"children": [{"children": []}]}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (RootModel[dict[str, int]], RootModel[dict[str, int]]({"a": 1}), {"a": 1}),
        (WrittenLogin, WrittenLogin(password=SecretStr("x")), {"password": "x"}),
    ],
)
def test_a_payload_is_a_json_object_both_ways(annotation: Any, value: Any, data: Any) -> None:
    payload: Payload[Any] = Payload(annotation)
    assert type_problem(annotation) is None
    assert payload.is_object()
    assert payload.encode(value) == data
    assert payload.decode(json.dumps(data)) == value


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        str,
        None,
        Any,
        bool,
        list[Order],
        RootModel[list[Order]],
        Pair,
        Order | None,
        Order | int,
        tuple[Order, int],
    ],
)
def test_a_payload_that_is_no_json_object_is_refused(annotation: Any) -> None:
    problem = type_problem(annotation)
    assert problem is not None
    assert "is no JSON object; take one pydantic model, dataclass or TypedDict" in problem


@pytest.mark.parametrize("annotation", [WrittenByAlias, dict[str, WrittenByAlias]])
def test_a_field_that_would_arrive_under_an_unread_name_is_refused(annotation: Any) -> None:
    problem = type_problem(annotation)
    assert problem is not None
    assert "writes orderId under a name that it does not read" in problem


@pytest.mark.parametrize("annotation", [Plain, Callable[[], int], type])
def test_a_payload_that_pydantic_cannot_read_is_refused_in_one_line(annotation: Any) -> None:
    problem = type_problem(annotation)
    assert problem is not None
    assert problem.startswith("pydantic cannot read the type ")
    assert "\n" not in problem


def test_the_typed_dict_of_old_pythons_is_refused_with_what_to_take_instead() -> None:
    class Old(typing.TypedDict):
        a: int

    if sys.version_info >= (3, 12):
        assert type_problem(Old) is None
    else:
        assert "use `typing_extensions.TypedDict`" in (type_problem(Old) or "")


def test_a_secret_that_would_arrive_as_asterisks_is_refused() -> None:
    with pytest.raises(PayloadError, match="a secret in it would be sent as asterisks"):
        Payload[Any](Login).encode(Login(password=SecretStr("x")))


def test_asterisks_that_are_no_secret_are_sent() -> None:
    assert Payload[Any](dict[str, str]).encode({"a": "*" * 20}) == {"a": "*" * 20}


def test_a_dict_is_taken_for_the_type_it_fits() -> None:
    payload: Payload[Any] = Payload(Order)
    assert payload.encode({"order_id": "7"}) == {"order_id": 7, "email": ""}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "payload: order_id: Field required"),
        ({"order_id": "x"}, "order_id: Input should be a valid integer"),
        (5, "payload: value: Input should be a valid dictionary"),
        (Point(1), "payload: value: Input should be a valid dictionary"),
        (Order.model_construct(order_id="x"), "payload: "),
    ],
)
def test_a_value_of_another_type_is_refused_by_field(value: Any, words: str) -> None:
    with pytest.raises(PayloadError) as caught:
        Payload[Any](Order).encode(value)
    assert str(caught.value).startswith("payload: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("annotation", [dict[str, Any], dict[str, float], Loose])
def test_a_number_that_json_lacks_is_refused_and_not_sent_as_null(
    annotation: Any, number: float
) -> None:
    with pytest.raises(PayloadError, match="not JSON compliant"):
        Payload[Any](annotation).encode({"value": number})


@pytest.mark.parametrize(
    "value",
    [
        {"a": 'ключ 🔑 \u2028 \x00\x1f\x7f " \\ / \b\f\n\r\t'},
        {"a": [1, 1.0, -0.0, 0.1, 1e16, 1e22, 5e-324, 10**30, True, None]},
        {"b": {"a": {}}, "a": [[], [[]]]},
        {"NaN": "NaN Infinity -Infinity"},
        {},
    ],
)
def test_the_text_is_compact_and_its_characters_are_as_they_are(value: Any) -> None:
    text = Payload[Any](dict[str, Any]).write(value)
    assert text.decode() == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_halves_of_characters_are_sent_as_json_writes_them() -> None:
    text = Payload[Any](dict[str, Any]).write({"a": "half \ud800 é"})
    assert text == rb'{"a":"half \ud800 \u00e9"}'
    with pytest.raises(PayloadError, match="not JSON compliant"):
        Payload[Any](dict[str, Any]).write({"a": "half \ud800", "b": math.nan})


def test_halves_of_characters_and_deep_nesting_are_read_as_node_writes_them() -> None:
    payload = Payload[Any](dict[str, Any])
    assert payload.decode(r'{"cut": "\ud83d"}') == {"cut": "\ud83d"}
    assert payload.decode('{"deep":' + "[" * 300 + "]" * 300 + "}")["deep"]
    assert Payload[Any](Order).decode(r'{"order_id": 7, "email": "\ud83d"}').email == "\ud83d"
    with pytest.raises(PayloadError, match="payload: order_id: Input should be"):
        Payload[Any](Order).decode(r'{"order_id": "\ud83d"}')
    for broken in (r'{"cut": "\ud83d"', "[" * 100_000):
        with pytest.raises(PayloadError, match="Invalid JSON"):
            payload.decode(broken)


def test_halves_of_characters_cross_in_results() -> None:
    text = Result[Any](list[str]).encode(["half \ud800 é"])
    assert text == r'["half \ud800 \u00e9"]'
    assert Result[Any](list[str]).decode(text) == ["half \ud800 é"]


def test_a_field_that_changed_into_nan_is_refused_though_its_type_has_none() -> None:
    order = Order(order_id=7)
    order.order_id = math.nan  # type: ignore[assignment] # as untyped callers do
    with pytest.raises(PayloadError, match="Expected `int`"):
        Payload[Any](Order).write(order)


def test_null_itself_is_sent() -> None:
    assert Payload[Any](dict[str, Any]).encode({"a": None}) == {"a": None}


def test_a_payload_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(PayloadError):
        Payload[Any](dict[str, Any]).encode(loop)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "5", '{"order_id":"x"}', "{}"])
def test_what_does_not_fit_is_refused_when_read(text: str) -> None:
    with pytest.raises(PayloadError, match=r"^payload: "):
        Payload[Any](Order).decode(text)


def test_a_refusal_shows_what_was_given_but_not_all_of_it() -> None:
    with pytest.raises(PayloadError) as caught:
        Payload[Any](Order).decode(json.dumps({"order_id": "x" * 10_000}))
    assert "given 'xxx" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (None, None, "null"),
        (int, 5, "5"),
        (str, "null", '"null"'),
        (Any, "NaN", '"NaN"'),
        (Order, Order(order_id=1), '{"order_id":1,"email":""}'),
        (Order | None, None, "null"),
        (Aliased, Aliased(orderId=1), '{"orderId":1}'),
        (list[Point], [Point(1)], '[{"x":1,"y":0.5}]'),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), '"2026-01-01T00:00:00Z"'),
        (UUID, UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (Decimal, Decimal("1.10"), '"1.10"'),
        (set[int], {1}, "[1]"),
        (bytes, b"abc", '"abc"'),
        (dict[str, Any], {"a": None}, '{"a":null}'),
    ],
)
def test_a_result_is_written_by_its_type_and_read_back(
    annotation: Any, value: Any, text: str
) -> None:
    result: Result[Any] = Result(annotation)
    assert result_problem(annotation) is None
    assert result.encode(value) == text
    assert result.decode(text) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, math.nan),
        (float, math.inf),
        (dict[str, float], {"a": -math.inf}),
        (Loose, Loose(value=math.nan)),
        (Any, {"a": [math.nan]}),
        (Any, math.nan),
    ],
)
def test_a_number_that_json_lacks_is_no_result(annotation: Any, value: Any) -> None:
    with pytest.raises(ResultError, match="not JSON compliant"):
        Result[Any](annotation).encode(value)


@pytest.mark.parametrize(
    ("annotation", "value", "name"),
    [
        (int, "x", "str"),
        (Order, {"order_id": 1}, "dict"),
        (Order, None, "NoneType"),
        (None, 5, "int"),
        (bytes, b"\xff", "bytes"),
        (Any, object(), "object"),
        (Any, Plain(), "Plain"),
    ],
)
def test_a_result_of_another_type_is_refused_by_the_type_s_name(
    annotation: Any, value: Any, name: str
) -> None:
    with pytest.raises(ResultError) as caught:
        Result[Any](annotation).encode(value)
    assert f"the job ran, but its result of type {name!r} does not fit" in str(caught.value)


def test_a_result_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ResultError):
        Result[Any](Any).encode(loop)


def test_a_result_type_that_pydantic_cannot_write_is_a_problem() -> None:
    assert "pydantic cannot read the type Plain" in (result_problem(Plain) or "")


def test_a_result_of_another_type_is_refused_when_read() -> None:
    with pytest.raises(ResultError, match="result: value: Input should be a valid integer"):
        Result[Any](int).decode('"x"')


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (object(), "its payload of type 'object' does not fit"),
        (math.nan, "its payload of type 'float' does not fit"),
        ("x" * MOST_PAYLOAD_BYTES, f"{MOST_PAYLOAD_BYTES + 2:,} bytes of JSON, and "),
        ("x" * MOST_RESULT_BYTES, f"its payload has {MOST_RESULT_BYTES + 2:,} bytes of JSON"),
    ],
)
def test_an_event_that_cannot_be_sent_is_named(payload: Any, why: str) -> None:
    with pytest.raises(PayloadError, match="the event 'paid': ") as caught:
        event_text("paid", payload)
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["x", "é", "漢"])
def test_a_payload_is_measured_in_bytes(text: str) -> None:
    payload = Payload[Any](dict[str, str])
    size = len(text.encode())
    most = (MOST_PAYLOAD_BYTES - len('{"a":""}')) // size
    assert len(payload.write({"a": text * most})) <= MOST_PAYLOAD_BYTES
    with pytest.raises(PayloadError, match="bytes of JSON, and 3,137,536 is the most"):
        payload.write({"a": text * (most + 1)})
