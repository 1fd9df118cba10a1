"""Retry policies against the formula in their documentation (R5, R17)."""

import math

from hypothesis import given
from hypothesis import strategies as st

from orpheus.core.retry import RetryPolicy, next_attempt_in

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 50),
    initial_s=st.floats(0, 100),
    factor=st.floats(1, 10),
    max_s=st.floats(0.1, 10_000),
    jitter=st.floats(0, 1),
    final_errors=st.just(("ValueError",)),
)


def decide(policy, attempt, *, retryable=True, error_type=None, retry_after_s=None, draw=0.5):
    return next_attempt_in(
        policy, attempt=attempt, retryable=retryable, error_type=error_type, retry_after_s=retry_after_s, draw=draw
    )


@given(policies, st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_waits_stay_in_their_band(policy, attempt, draw):
    """n retries mean n waits, each within the jitter around the capped exponential, never negative, however large."""
    wait = decide(policy, attempt, draw=draw)
    if attempt > policy.max_retries:
        assert wait is None
        return
    growth = (attempt - 1) * math.log(policy.factor)
    base = policy.max_s if growth > 700 and policy.initial_s > 0 else policy.initial_s * math.exp(min(growth, 700))
    base = min(base, policy.max_s)
    assert wait is not None
    assert wait >= 0
    assert base * (1 - policy.jitter) <= wait * (1 + 1e-9) + 1e-9
    assert wait <= base * (1 + policy.jitter) * (1 + 1e-9) + 1e-9


@given(policies, st.floats(0, 1e6))
def test_the_handler_may_set_the_wait(policy, after):
    """RetryAfter(s) sets the wait exactly, but grants no attempt beyond the last."""
    assert decide(policy, 1, retry_after_s=after) == (after if policy.max_retries >= 1 else None)


@given(policies, st.integers(1, 60))
def test_final_errors_are_final(policy, attempt):
    """Permanent errors and listed types do not retry."""
    assert decide(policy, attempt, retryable=False) is None
    assert decide(policy, attempt, error_type="ValueError") is None


def test_the_defaults_wait_one_two_and_four_seconds():
    """formats.md: retries wait 1, 2, 4 s (± 10 %), then it is over."""
    assert [decide(RetryPolicy(), n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, None]
