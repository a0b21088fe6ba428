"""What tests of bulk work share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, RetryPolicy, bulk

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/ranking"


class Client:
    """A client of the caller: each request is a function's business."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most_at_once = 0
        self.outcome: Callable[[str], Any] = lambda user: None
        self._now = 0
        self._lock = threading.Lock()

    def get_personalized_ranking(self, **members: Any) -> Any:
        user = members["userId"]
        with self._lock:
            self.asked.append(user)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            outcome = self.outcome(user)
        finally:
            with self._lock:
                self._now -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        return {"personalizedRanking": [{"itemId": f"for-{user}", "score": 1.0}]}


class AsyncClient(Client):
    """The same for asyncio; ``pause`` is awaited in each request."""

    async def pause(self) -> None:
        pass

    async def get_personalized_ranking(self, **members: Any) -> Any:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self.pause()
        finally:
            self._now -= 1
        return super().get_personalized_ranking(**members)


def service_error(code: str, status: int = 400, message: str = "no") -> Exception:
    """What botocore raises for an answer of the service."""
    from botocore.exceptions import ClientError

    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetPersonalizedRanking",
    )


def requests(users: Iterable[object]) -> Iterator[bulk.RankRequest]:
    """A ranking for each user."""
    return (bulk.RankRequest(campaign_arn=ARN, user_id=str(user), input_list=["a", "b"]) for user in users)


@pytest.fixture
def busy() -> Iterator[None]:
    """Threads that never wait: whoever has ended something is rarely the one that goes on at once."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(500))

    threads = [threading.Thread(target=spin) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 25)  # so that it does not take long
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def runtime(client: Client) -> PersonalizeRuntime:
    """A runtime on that client, whose retries do not wait."""
    return PersonalizeRuntime(client, retry=RetryPolicy(attempts=2, base=0, cap=0), deadline=None)
