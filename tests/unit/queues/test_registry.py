from __future__ import annotations

import pytest

from bullq.errors import SettingsError, UnknownQueueError
from bullq.queues.registry import QueueRegistry
from bullq.queues.spec import DATA_SYNC, QueueSpec
from bullq.settings import QueueOptions
from bullq.store.connection import Store

MAIL = QueueSpec(name="mail", concurrency=7)


def test_there_are_the_standard_queues_the_application_s_and_those_of_its_jobs() -> None:
    queues = QueueRegistry([MAIL], job_queues=["slow", "mail", "default"])
    assert queues.names == ["default", "data-sync", "scheduled", "mail", "slow"]
    assert queues.spec("mail") is MAIL
    assert queues.spec("data-sync") is DATA_SYNC
    assert queues.spec("slow") == QueueSpec(name="slow")


def test_an_application_may_say_anew_how_a_standard_queue_is_run() -> None:
    queues = QueueRegistry([QueueSpec(name="default", concurrency=3)])
    assert queues.spec("default").concurrency == 3
    assert queues.names == ["default", "data-sync", "scheduled"]


def test_settings_have_the_last_word() -> None:
    queues = QueueRegistry(
        [MAIL], job_queues=["slow"], overrides={"mail": QueueOptions(concurrency=2)}
    )
    assert queues.spec("mail").concurrency == 2
    assert queues.spec("slow").concurrency == QueueSpec(name="slow").concurrency


def test_settings_of_an_unknown_queue_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError) as caught:
        QueueRegistry([MAIL], overrides={"mial": QueueOptions(concurrency=2)})
    assert str(caught.value) == (
        "The settings name a queue 'mial' that does not exist; did you mean mail? "
        "known: data-sync, default, mail, scheduled"
    )


def test_settings_that_a_spec_cannot_follow_are_errors_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="Queue 'mail': a rate limit needs both"):
        QueueRegistry([MAIL], overrides={"mail": QueueOptions(rate_limit_max=2)})


def test_an_unknown_queue_is_refused_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(UnknownQueueError) as caught:
        QueueRegistry().spec("defualt")
    assert str(caught.value) == (
        "No queue is called 'defualt'; did you mean default? known: default, data-sync, scheduled"
    )


async def test_a_live_queue_is_made_once_and_connects_only_when_used() -> None:
    queues = QueueRegistry([MAIL], prefix="mine")
    store = Store("redis://127.0.0.1:1")
    live = queues.live("mail", store)
    assert live is queues.live("mail", store)
    assert (live.spec, live.keys.base) == (MAIL, "mine:mail:")
    with pytest.raises(UnknownQueueError):
        queues.live("nowhere", store)
    await store.aclose()
