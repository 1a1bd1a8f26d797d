"""Take and give every kind of type that a payload may have."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID

from annotated_types import Len
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, HttpUrl, computed_field
from typing_extensions import TypeAliasType, TypedDict

from bullq import job

T = TypeVar("T")


class Colour(StrEnum):
    """What colours there are."""

    RED = "red"
    GREEN = "green"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Address(BaseModel):
    street: str
    zip_code: str = Field(alias="zip-code", pattern="^[0-9]{5}$")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: tuple[str, ...] = ()


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")


class Box(BaseModel, Generic[T]):
    inside: T


class Pair(NamedTuple):
    left: int
    right: str = "nothing"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Row(TypedDict):
    key: str
    note: NotRequired[str]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Scalars(BaseModel):
    flag: bool
    count: int
    ratio: float
    text: str
    nothing: None
    anything: Any
    at: datetime
    on: date
    lasting: timedelta
    raw: bytes
    price: Decimal
    id: UUID
    link: HttpUrl
    file: Path


class Containers(BaseModel):
    point: tuple[int, str]
    pair: Pair
    many: tuple[int, ...]
    led: tuple[str, int]
    unique: set[str]
    few: Annotated[list[int], Len(1, 3)]
    mixed: list[int | str]
    by_name: dict[str, Address]
    by_colour: dict[Colour, int]
    by_number: dict[int, str]


class Unions(BaseModel):
    colour: Colour
    size: Size
    mode: Literal["fast", 3, True, None]  # noqa: PYI061 - another way to write it
    nullable: int | None
    union: int | list[str] | None
    pet: Pet
    pets: list[Pet]
    tree: Tree
    json_value: Json
    box: Box[int]
    other_box: Box[Address]


class Fields(BaseModel):
    """Fields with more to say.

    A comment cannot be ended from */ within.
    """

    optional: str | None = None
    defaulted: str = 'a "quoted" \\ text'
    bounded: int = Field(default=3, ge=1, le=10, description="How many, from 1 to 10.")
    day: date | None = None
    old: str | None = Field(default=None, deprecated=True)
    first: str = Field(default="", validation_alias=AliasChoices("first", "1st"))
    dashed: int = Field(alias="not-an-identifier")
    quoted: int = Field(alias='with "quotes"')
    umlaut: int = Field(alias="größe")
    reserved: int = Field(alias="class")


class Everything(BaseModel):
    scalars: Scalars
    containers: Containers
    unions: Unions
    fields: Fields
    point: Point
    row: Row
    open: Open
    closed: Closed


class Outcome(BaseModel):
    price: Decimal
    defaulted: int = 3
    secret: str = Field(default="", exclude=True)
    pet: Pet
    nullable: str | None = None

    @computed_field
    def doubled(self) -> int:
        return self.defaulted * 2


@job
def everything(data: Everything) -> Outcome:
    return Outcome(price=data.scalars.price, pet=data.unions.pet)
