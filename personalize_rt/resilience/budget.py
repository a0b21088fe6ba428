"""The retry budget of a client: a bucket of tokens, as in the standard mode of AWS's own SDKs.

A retry costs tokens, and a success returns some. While most calls succeed, every retry of a call's policy is allowed.
When the service is down, the bucket is soon empty, and retries stop adding to the load. The numbers are those of the
AWS SDKs and Tools Reference Guide, "Retry behavior": 500 tokens, 5 for a retry, 10 after a time-out, 1 returned by a
call that succeeded at once.
"""

from __future__ import annotations

from personalize_rt import checks, forks
from personalize_rt.errors import TransportError

__all__ = ["RetryBudget"]

RETRY_COST = 5
TIMEOUT_COST = 10
REFILL = 1


class RetryBudget:
    """The retry budget of one client. Safe to share between threads.

    Args:
        tokens: The capacity of the bucket, and its initial content.
    """

    _lock = forks.lock()

    def __init__(self, tokens: int = 500) -> None:
        self._capacity = self._tokens = checks.whole(tokens, "tokens", least=0)

    @property
    def tokens(self) -> int:
        """The number of tokens left."""
        return self._tokens

    def spend(self, error: BaseException) -> int:
        """Take the tokens for a retry after an error.

        Returns:
            The cost of the retry; 0 if the budget is exhausted, so that there must be no retry.
        """
        cost = TIMEOUT_COST if isinstance(error, TransportError) else RETRY_COST
        with self._lock:
            if self._tokens < cost:
                return 0
            self._tokens -= cost
            return cost

    def succeeded(self, spent: int) -> None:
        """Return tokens after a success: the cost of the last retry, or one token if there was none."""
        if self._tokens == self._capacity:
            return  # the common case, without the lock
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + (spent or REFILL))
