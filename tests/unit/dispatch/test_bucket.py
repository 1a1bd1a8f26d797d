from __future__ import annotations

from bullq.dispatch.bucket import TokenBucket


def test_it_lets_a_burst_pass_and_then_so_many_a_second() -> None:
    now = 0.0
    bucket = TokenBucket(10, burst=2, clock=lambda: now)
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]
    now = 0.5
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    now = 1_000.0
    assert sum(bucket.take() for _ in range(100)) == 20
