"""How many retries a client may make in all: a bucket of tokens, as in the standard mode of AWS's own SDKs.

A retry costs tokens, a success gives some back. While most calls succeed, every retry that a call's own policy wants is
there; when the service is down the bucket runs dry, and the retries stop adding to the load. The numbers are those of
the AWS SDKs and Tools Reference Guide, "Retry behavior": 500 tokens, 5 for a retry, 10 after a time-out, 1 back for a
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
    """The tokens of one client. Locked: it may be shared by threads.

    Args:
        tokens: How many the bucket holds, and starts with.
    """

    _lock = forks.lock()

    def __init__(self, tokens: int = 500) -> None:
        self._capacity = self._tokens = checks.whole(tokens, "tokens", least=0)

    @property
    def tokens(self) -> int:
        """Tokens left."""
        return self._tokens

    def spend(self, error: BaseException) -> int:
        """Take the tokens for a retry after an error.

        Returns:
            What the retry costs; 0 when the bucket does not hold that much, and there must be no retry.
        """
        cost = TIMEOUT_COST if isinstance(error, TransportError) else RETRY_COST
        with self._lock:
            if self._tokens < cost:
                return 0
            self._tokens -= cost
            return cost

    def succeeded(self, spent: int) -> None:
        """Give back after a success: what the last retry cost, or a little when there was none."""
        if self._tokens == self._capacity:
            return  # the common case, without the lock
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + (spent or REFILL))
