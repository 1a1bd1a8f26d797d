from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from bullq import Context, Job, RemoteJob, job
from bullq.contract.schema import contract_schema


class Item(BaseModel):
    title: str
    quantity: int = 1


class Order(BaseModel):
    item: Item
    note: str | None = Field(default=None, alias="order-note")


class Tree(BaseModel):
    children: list[Tree] = []


class Leaf(BaseModel):
    below: list[Leaf]


class Opaque:
    """What pydantic knows no schema of."""


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    opaque: Opaque | None = None
    number: int


@job(queue="a")
def second(order: Order) -> list[Item]:
    """Say what it does.

    And more.
    """
    return [order.item]


@job(queue="a")
async def first(tree: Tree, ctx: Context) -> None: ...


remote = RemoteJob(queue="b", name="remote", data=Item, result=Item)


def part(contract: dict[str, Any], queue: str, name: str, side: str) -> dict[str, Any]:
    """Give the schema of one side of a job, with the definitions that it refers to."""
    schema = contract["properties"][queue]["properties"][name]["properties"][side]
    return {**schema, "$defs": contract["$defs"]}


def fits(contract: dict[str, Any], place: tuple[str, str, str], value: Any) -> bool:
    return jsonschema.Draft202012Validator(part(contract, *place)).is_valid(value)


def test_it_is_a_schema_itself() -> None:
    contract = contract_schema([second, first, remote])
    jsonschema.Draft202012Validator.check_schema(contract)
    assert contract["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    whole = {
        "a": {"first": {"data": {}, "result": None}, "second": {"data": {"item": {}}, "result": []}}
    }
    errors = jsonschema.Draft202012Validator(contract).iter_errors(whole)
    assert sorted(error.message for error in errors) == [
        "'b' is a required property",
        "'title' is a required property",
    ]


def test_data_is_described_as_producers_may_write_it() -> None:
    contract = contract_schema([second])
    place = ("a", "second", "data")
    assert fits(contract, place, {"item": {"title": "Lamp"}})
    assert fits(contract, place, {"item": {"title": "Lamp", "quantity": 2}, "order-note": "soon"})
    assert not fits(contract, place, {"item": {"title": 7}})
    assert not fits(contract, place, {})


def test_results_are_described_as_bullq_writes_them() -> None:
    contract = contract_schema([second])
    written = json.loads(second.result.encode([Item(title="Lamp")]))
    assert fits(contract, ("a", "second", "result"), written)
    assert not fits(contract, ("a", "second", "result"), [{"title": "Lamp"}])


def test_the_sides_of_a_remote_job_are_the_other_way_round() -> None:
    contract = contract_schema([remote])
    assert not fits(contract, ("b", "remote", "data"), {"title": "Lamp"})
    assert fits(contract, ("b", "remote", "data"), remote.payload.encode(Item(title="Lamp")))
    assert fits(contract, ("b", "remote", "result"), {"title": "Lamp"})
    assert remote.result.decode('{"title": "Lamp"}') == Item(title="Lamp")


def test_recursive_types_refer_to_themselves() -> None:
    contract = contract_schema([first])
    assert fits(contract, ("a", "first", "data"), {"children": [{"children": []}]})
    assert not fits(contract, ("a", "first", "data"), {"children": [{"children": 1}]})


def test_of_a_type_without_a_schema_nothing_is_known_and_the_rest_is() -> None:
    @job(queue="a")
    def hold(item: Item) -> Holder: ...

    contract = contract_schema([hold])
    assert fits(contract, ("a", "hold", "result"), {"number": 1, "opaque": "anything"})
    assert not fits(contract, ("a", "hold", "result"), {"number": "one", "opaque": None})


def test_a_type_is_defined_once_where_both_modes_are_alike_and_twice_where_not() -> None:
    @job(queue="a")
    def echo(item: Item) -> Order:
        return Order(item=item)

    assert sorted(contract_schema([echo])["$defs"]) == ["ItemInput", "ItemOutput", "Order"]


def test_a_type_that_is_alike_in_both_modes_is_one_though_another_module_has_its_name() -> None:
    one = create_model("Order", __module__="shop.mail", names=(list[str], ...))
    other = create_model("Order", __module__="shop.till", number=(int, ...))
    box = create_model("Box", __module__="shop.mail", inside=(one, ...))
    jobs: list[Job[Any, Any]] = [
        RemoteJob(queue="a", name="one", data=one, result=one),
        RemoteJob(queue="a", name="other", data=other, result=other),
        RemoteJob(queue="a", name="box", data=box, result=box),
        RemoteJob(queue="a", name="leaf", data=Leaf, result=Leaf),
    ]
    names = ["Box", "Leaf", "MailOrder", "TillOrder"]
    assert sorted(contract_schema(jobs)["$defs"]) == names


@pytest.mark.parametrize("arrange", [list, reversed, lambda jobs: [jobs[1], jobs[0], jobs[2]]])
def test_the_order_of_jobs_does_not_matter(
    arrange: Callable[[list[Job[Any, Any]]], list[Job[Any, Any]]],
) -> None:
    jobs: list[Job[Any, Any]] = [second, first, remote]
    assert json.dumps(contract_schema(arrange(jobs))) == json.dumps(contract_schema(jobs))


def test_a_job_is_described_in_its_own_words() -> None:
    contract = contract_schema([first, second, remote])
    jobs = contract["properties"]["a"]["properties"]
    assert jobs["second"]["description"] == "Say what it does.\n\nAnd more."
    assert "description" not in jobs["first"]
    assert "description" not in contract["properties"]["b"]["properties"]["remote"]


def test_no_jobs_make_an_empty_contract() -> None:
    contract = contract_schema([])
    assert (contract["properties"], contract["$defs"]) == ({}, {})
