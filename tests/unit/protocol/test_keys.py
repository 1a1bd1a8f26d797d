from __future__ import annotations

from base64 import b64decode

import pytest

from bullq.protocol.keys import QueueKeys

KEYS = QueueKeys("bull", "mail")


def test_keys_are_those_of_bullmq() -> None:
    assert KEYS.base == "bull:mail:"
    assert KEYS.key("wait") == "bull:mail:wait"
    assert KEYS.key("") == "bull:mail:"
    assert KEYS.job("order-7") == "bull:mail:order-7"
    assert KEYS.logs("order-7") == "bull:mail:order-7:logs"


def test_a_prefix_may_hold_the_hash_tag_of_a_cluster() -> None:
    assert QueueKeys("{bull}", "mail").key("wait") == "{bull}:mail:wait"


@pytest.mark.parametrize("queue", ["mail", "my queue", "Grüße"])
def test_client_names_hold_the_queue_in_base64(queue: str) -> None:
    keys = QueueKeys("bull", queue)
    prefix, encoded, marker, worker = keys.worker_client_name("w1").split(":")
    assert (prefix, b64decode(encoded).decode(), marker, worker) == ("bull", queue, "w", "w1")
    assert keys.client_name(":qe") == f"bull:{encoded}:qe"
    assert " " not in keys.client_name()
