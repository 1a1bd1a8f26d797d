from __future__ import annotations

import dataclasses
import enum
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    computed_field,
    field_serializer,
    field_validator,
)

from bullq.jobs.finite import may_hold_nan


class Inner(BaseModel):
    note: str | None = None


@dataclasses.dataclass
class Point:
    x: int
    inner: Inner


class Without(BaseModel):
    count: int = 0
    inner: Inner | None = None
    points: list[Point] = []
    named: dict[str, Inner] = {}
    kind: Literal["a", "b"] = "a"
    at: datetime | None = None
    lasts: timedelta | None = None
    price: Decimal | None = None
    key: UUID | None = None
    short: Annotated[str, Field(max_length=5)] = ""
    children: list[Without] = []

    @field_validator("count")
    @classmethod
    def positive(cls, count: int) -> int:
        return abs(count)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return self.count * 2


class Deep(BaseModel):
    inner: list[dict[str, float | None]] = []


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


class Serialized(BaseModel):
    count: int = 0

    @field_serializer("count")
    def write(self, count: int) -> Any:
        return float("nan")


class Ratio(BaseModel):
    count: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float:
        return float("nan")


class Level(enum.Enum):
    NONE = float("nan")


@dataclasses.dataclass
class Timed:
    seconds: float


class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)
    value: float = 0.0


def test_a_type_that_is_not_built_yet_may_hold_anything() -> None:
    assert may_hold_nan(TypeAdapter(Deferred).core_schema)


@pytest.mark.parametrize("annotation", [Without, Point, dict[str, int], Inner | Point])
def test_types_without_floats_cannot_hold_nan(annotation: Any) -> None:
    assert not may_hold_nan(TypeAdapter(annotation).core_schema)


@pytest.mark.parametrize(
    "annotation",
    [
        *(float, Any, object, Deep, Extra, Serialized, Ratio, Level, Timed, dict[str, Any]),
        Inner | Timed,
        Annotated[int, PlainSerializer(lambda _: float("nan"))],
        complex,
    ],
)
def test_types_that_can_hold_it_are_told(annotation: Any) -> None:
    assert may_hold_nan(TypeAdapter(annotation).core_schema)
