"""The example against a real Redis, where the command ``redis-server`` and the package ``redis`` are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, RetryPolicy
from personalize_rt.local import LocalPersonalize

redis = pytest.importorskip("redis", reason="redis is not installed: pip install redis")

from redis_cache import RedisStore, make_runtime, shared_cache  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


class Server:
    """Redis in a process of its own, on a socket in a directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "redis.sock"
        self.url = f"unix://{self._path}"
        self._start()

    def _start(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self._path), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                self.client = redis.Redis.from_url(self.url)
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.01)

    def stop(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def url(local: LocalPersonalize) -> Iterator[str]:
    with local.serve() as url:
        yield url


@pytest.fixture
def made(server: Server, url: str) -> Iterator[Any]:
    runtimes: list[PersonalizeRuntime] = []

    def make() -> PersonalizeRuntime:
        options: dict[str, Any] = {"region_name": "eu-west-1", "endpoint_url": url, "retry": RetryPolicy(1)}
        # A busy machine may take longer than a page would wait for Redis.
        runtimes.append(make_runtime(server.url, redis_timeout=10, deadline=20, **options))
        return runtimes[-1]

    yield make
    for runtime in runtimes:
        runtime.close()


def ask(runtime: PersonalizeRuntime, local: LocalPersonalize) -> Any:
    return runtime.get_recommendations(campaign_arn=local.campaign_arn("popular-movies"), num_results=3)


def test_what_one_process_asked_another_one_knows(made: Any, local: Any, server: Server, url: str) -> None:
    first = ask(made(), local)
    assert (first.info.source, ask(made(), local).info.source) == ("service", "cache")
    program = (
        "import sys; from redis_cache import make_runtime; redis_url, url, arn = sys.argv[1:]; "
        "runtime = make_runtime(redis_url, redis_timeout=10, region_name='eu-west-1', endpoint_url=url, deadline=20); "
        "answer = runtime.get_recommendations(campaign_arn=arn, num_results=3); "
        "print(answer.info.source, *answer.item_ids)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", program, server.url, url, local.campaign_arn("popular-movies")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["cache", *first.item_ids]


def test_redis_is_told_nothing_by_its_keys_and_forgets_in_time(made: Any, local: Any, server: Server) -> None:
    ask(made(), local)
    (key,) = server.client.keys("*")
    assert b"popular" not in key
    assert 3600_000 < server.client.pttl(key) <= 3660_000


def test_without_redis_the_service_is_asked(made: Any, local: Any, server: Server) -> None:
    runtime = made()
    ask(runtime, local)
    server.stop()
    assert ask(runtime, local).info.source == "service"


def test_what_is_no_entry_is_none(local: Any, server: Server, made: Any) -> None:
    runtime = made()
    ask(runtime, local)
    (key,) = server.client.keys("*")
    server.client.set(key, b"not a pickle")
    assert ask(runtime, local).info.source == "service"


def test_a_stale_answer_outlives_the_failure_of_the_service(made: Any, local: Any, server: Server) -> None:
    runtime = made()
    first = ask(runtime, local)
    (key,) = server.client.keys("*")
    store = RedisStore(server.client)
    entry = store.get(key.decode().removeprefix("personalize:"))
    assert entry is not None
    store.set(key.decode().removeprefix("personalize:"), entry._replace(stored=entry.stored - 120))
    local.faults.fail(status=503)
    answer = ask(runtime, local)
    assert (answer.item_ids, answer.info.source) == (first.item_ids, "cache")


def test_the_cache_of_the_example_is_one_of_ours(server: Server) -> None:
    assert shared_cache(server.url).ttl == 60
