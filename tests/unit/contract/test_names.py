from __future__ import annotations

import pytest

from bullq.contract.names import RESERVED, identifiers


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Order", "Order"),
        ("Row_v2", "Row_v2"),
        ("Order-Input", "Order"),
        ("Box_int_", "BoxInt"),
        ("Box_list_int__", "BoxListInt"),
        ("shop__mail__Order", "Order"),
        ("2d", "T2d"),
        ("___", "T"),
        ("Promise", "PromiseModel"),
        ("string", "stringModel"),
        ("Queues", "QueuesModel"),
        ("Job", "Job"),
    ],
)
def test_a_key_becomes_a_short_identifier(key: str, name: str) -> None:
    assert identifiers([key]) == {key: name}


def test_modules_tell_types_of_one_name_apart_and_no_more_than_needed() -> None:
    keys = ["a__mail__Order", "b__mail__Order", "b__shop__Order", "b__shop__Item"]
    assert identifiers(keys) == {
        "a__mail__Order": "AMailOrder",
        "b__mail__Order": "BMailOrder",
        "b__shop__Order": "ShopOrder",
        "b__shop__Item": "Item",
    }


def test_what_is_written_and_what_is_read_are_told_apart_where_there_are_both() -> None:
    keys = ["mail__Order-Input", "mail__Order-Output__2", "Item-Input"]
    assert list(identifiers(keys).values()) == ["Item", "OrderInput", "OrderOutput2"]


def test_no_two_have_one_name_whatever_they_are_called() -> None:
    keys = ["Order", "a__Order", "a_Order", "AOrder", "Promise", "PromiseModel", "A_Order_"]
    names = identifiers(keys)
    assert len(set(names.values())) == len(keys)
    assert not set(names.values()) & RESERVED


def test_the_order_of_keys_does_not_matter() -> None:
    keys = ["a__Order", "b__Order", "Promise", "PromiseModel"]
    assert identifiers(keys) == identifiers(reversed(keys))
