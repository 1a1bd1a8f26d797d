from __future__ import annotations

import re
from pathlib import Path

import bullmq.error_code
import pytest

from bullq.protocol.codes import LOST_OWNERSHIP, Code, explain


def test_every_code_has_a_sentence_of_its_own() -> None:
    sentences = [code.sentence for code in Code]
    assert all(sentences)
    assert len(set(sentences)) == len(Code)


def test_the_codes_are_those_of_the_official_client() -> None:
    text = Path(bullmq.error_code.__file__).read_text()
    official = {int(number) for number in re.findall(r"=\s*(-\d+)", text)}
    assert official
    assert official <= {int(code) for code in Code}


def test_a_worker_whose_lock_is_gone_or_another_s_has_lost_the_job() -> None:
    assert {Code.LOCK_NOT_EXIST, Code.LOCK_MISMATCH, Code.JOB_NOT_EXIST} <= LOST_OWNERSHIP
    assert Code.PENDING_DEPENDENCIES not in LOST_OWNERSHIP


@pytest.mark.parametrize(
    ("code", "words"),
    [(-2, "the job's lock has expired"), (-99, "BullMQ's script answered -99")],
)
def test_any_answer_is_put_into_words(code: int, words: str) -> None:
    assert explain(code) == words
