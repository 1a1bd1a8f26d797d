"""The shop's database: one SQLite file that all its workers open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files

from examples.shop.folder import data_folder

FILE = "shop.sqlite3"
PATIENCE = 15.0
"""Seconds to wait for another worker's transaction."""
_VERSION = 2


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Open the database for one transaction, which is undone where the caller raises."""
    # Immediate: two transactions that both read first and write later would end in a deadlock.
    connection = sqlite3.connect(
        data_folder() / FILE, timeout=PATIENCE, isolation_level="IMMEDIATE"
    )
    with closing(connection), connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
            schema = files("examples.shop").joinpath("schema.sql").read_text(encoding="utf-8")
            connection.executescript(
                f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        yield connection
