"""Is there another attempt, and when? (R17)

A policy returns a decision; somebody else writes it down. The random draw for the jitter is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: attempt n+1 comes `initial_s * factor**(n-1)` seconds after attempt n, at most `max_s`.

    Args:
        max_retries: 3 means at most four attempts (R5).
        initial_s: seconds before the second attempt.
        factor: growth from one wait to the next, at least 1.
        max_s: upper bound of a wait, before jitter.
        jitter: 0.1 spreads each wait evenly over ± 10 %.
        final_errors: names of exception types that are not retried, beside `Permanent`.
    """

    max_retries: int = 3
    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 3600.0
    jitter: float = 0.1
    final_errors: tuple[str, ...] = ()


def next_attempt_in(
    policy: RetryPolicy,
    *,
    attempt: int,
    retryable: bool,
    error_type: str | None,
    retry_after_s: float | None,
    draw: float,
) -> float | None:
    """Decide on the attempt after a failed one.

    Args:
        attempt: number of the attempt that failed, from 1.
        retryable: False for errors that are final in themselves (`Permanent`, `binding_failed` …).
        error_type: class name of the exception, compared with `policy.final_errors`.
        retry_after_s: set by `RetryAfter(s)`; replaces the backoff, without jitter.
        draw: uniform in [0, 1).

    Returns:
        Seconds to wait, or None when the failure is final.

    Source: R5, R17.
    """
    if not retryable or attempt > policy.max_retries or (error_type is not None and error_type in policy.final_errors):
        return None
    if retry_after_s is not None:
        return max(0.0, retry_after_s)
    try:
        wait = policy.initial_s * policy.factor ** (attempt - 1)
    except OverflowError:
        wait = policy.max_s
    wait = min(wait, policy.max_s)
    return wait * (1.0 - policy.jitter + 2.0 * policy.jitter * draw)
