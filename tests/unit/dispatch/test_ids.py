from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bullq.dispatch import ids
from bullq.dispatch.ids import new_job_id
from bullq.protocol.options import check_job_id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def read_ms(job_id: str) -> int:
    number = 0
    for character in job_id:
        number = number * 32 + ALPHABET.index(character)
    return number >> 80


def test_an_id_is_a_ulid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    job_id = new_job_id()
    assert re.fullmatch(f"[{ALPHABET}]{{26}}", job_id)
    assert before <= read_ms(job_id) <= time.time_ns() // 1_000_000


def test_ids_differ_and_are_ids_that_bullmq_takes() -> None:
    made = {new_job_id() for _ in range(5_000)}
    assert len(made) == 5_000
    assert all(check_job_id(job_id) for job_id in made)


def test_later_ids_sort_after_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0, 1, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]
    made = []
    for moment in moments:
        monkeypatch.setattr(ids.time, "time_ns", lambda moment=moment: moment * 1_000_000)
        made.append(new_job_id())
    assert made == sorted(made)
    assert [read_ms(job_id) for job_id in made] == moments


@pytest.mark.parametrize("chance", [0, 2**79 - 1])
def test_an_id_of_digits_alone_is_still_no_whole_number(
    monkeypatch: pytest.MonkeyPatch, chance: int
) -> None:
    monkeypatch.setattr(ids.secrets, "randbits", lambda bits: chance)
    assert check_job_id(ids._Ulids().make())


def test_ids_of_one_millisecond_sort_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    for chance in (0, 2**79 - 1):
        monkeypatch.setattr(ids.secrets, "randbits", lambda bits, chance=chance: chance)
        ulids = ids._Ulids()
        made = [ulids.make() for _ in range(5_000)]
        assert made == sorted(set(made))
        assert {read_ms(job_id) for job_id in made} == {1_700_000_000_000}


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_job_id() for _ in range(2_000)], range(8)))
    assert len({job_id for ids_ in made for job_id in ids_}) == 8 * 2_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_makes_other_ids_than_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    new_job_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_job_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 26).decode() != new_job_id()
