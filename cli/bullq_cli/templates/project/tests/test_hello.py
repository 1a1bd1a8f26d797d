"""A job is an ordinary function: it is tested without a server."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

from bullq import Context
from jobs.default.hello_service import Greeting, Hello, hello


def test_hello_greets_by_name() -> None:
    context = create_autospec(Context, instance=True)

    greeting = asyncio.run(hello(Hello(name="Ada"), context))

    assert greeting == Greeting(text="Hello, Ada!")
    context.log.assert_called_once_with("greeting Ada")
