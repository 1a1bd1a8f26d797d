"""The services of the data-sync queue, called as the plain functions they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bullq import GiveUp
from examples.shop.database import transaction
from examples.shop.jobs.data_sync.rebuild_search_index_service import Index, rebuild_search_index
from examples.shop.jobs.data_sync.sync_catalogue_service import Feed, Synced, sync_catalogue
from tests.integration.shop.attempt import Attempt


def rows(query: str) -> list[tuple[object, ...]]:
    with transaction() as database:
        return database.execute(query).fetchall()


def test_a_feed_is_read_in_pages_that_are_told_one_by_one(shop_data: Path) -> None:
    ctx = Attempt()
    assert sync_catalogue(Feed(page_size=100), ctx) == Synced(products=240, pages=3)
    assert ctx.told == [
        {"pages": 1, "products": 100},
        {"pages": 2, "products": 200},
        {"pages": 3, "products": 240},
    ]
    assert ctx.rows[-1] == "page 3: 40 products"
    assert rows("SELECT count(*), count(DISTINCT sku), min(supplier) FROM products") == [
        (240, 240, "acme")
    ]


def test_a_second_sync_mends_what_differs_and_adds_nothing(shop_data: Path) -> None:
    sync_catalogue(Feed(supplier="globex"), Attempt())
    before = rows("SELECT * FROM products ORDER BY sku")
    with transaction() as database:
        database.execute("UPDATE products SET cents = -1, title = '' WHERE sku > 'GLX-0050'")
    sync_catalogue(Feed(supplier="globex"), Attempt())
    assert rows("SELECT * FROM products ORDER BY sku") == before


def test_a_cancelled_sync_stops_between_two_pages(shop_data: Path) -> None:
    class CancelledAtPageTwo(Attempt):
        @property
        def cancelled(self) -> bool:
            return len(self.told) == 2

    with pytest.raises(RuntimeError, match="between two pages"):
        sync_catalogue(Feed(page_size=10), CancelledAtPageTwo())
    assert rows("SELECT count(*) FROM products") == [(20,)]


def test_a_supplier_without_a_feed_is_given_up(shop_data: Path) -> None:
    with pytest.raises(GiveUp, match="no feed of the supplier 'initech'"):
        sync_catalogue(Feed(supplier="initech"), Attempt())


def test_a_supplier_is_a_name_and_no_path(shop_data: Path) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Feed(supplier="../acme")


def test_the_index_finds_products_by_the_words_of_their_titles(shop_data: Path) -> None:
    sync_catalogue(Feed(supplier="acme"), Attempt())
    sync_catalogue(Feed(supplier="globex"), Attempt())
    assert rebuild_search_index(Index()) == 3 * 360
    found = rows(
        "SELECT title FROM search_words JOIN products USING (sku) "
        "WHERE word = 'kettle' ORDER BY title LIMIT 1"
    )
    assert found == [("Folding black kettle",)]


def test_one_supplier_s_index_is_built_anew_and_the_others_stay(shop_data: Path) -> None:
    sync_catalogue(Feed(supplier="acme"), Attempt())
    sync_catalogue(Feed(supplier="globex"), Attempt())
    rebuild_search_index(Index())
    with transaction() as database:
        database.execute("UPDATE products SET title = 'Thing'")
    assert rebuild_search_index(Index(supplier="globex")) == 120
    assert rows("SELECT count(*) FROM search_words WHERE word = 'thing'") == [(120,)]
    assert rows("SELECT count(*) FROM search_words") == [(120 + 3 * 240,)]
