"""``personalize-rt serve``, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "personalize_rt", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def test_it_answers_a_client_until_it_is_stopped(monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    process = started("sample", "--port", "0")
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url, said
        lines = [process.stdout.readline().split() for _ in range(7)]
        assert [kind for kind, _ in lines] == ["campaign"] * 5 + ["recommender", "filter"]
        assert ["campaign", "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"] in lines
        assert urllib.request.urlopen(f"{url[0]}/healthz", timeout=10).status == 200
        with PersonalizeRuntime(endpoint_url=url[0]) as runtime:
            arn = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"
            assert len(runtime.campaign(arn).recommend(num_results=3)) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_hosts_that_are_allowed_may_be_given_more_than_once() -> None:
    process = started("sample", "--port", "0", "--allow-host", "one.internal", "--allow-host", "10.0.0.5")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        statuses = {}
        for host in ("one.internal", "10.0.0.5:1", "localhost", "two.internal"):
            request = urllib.request.Request(f"{url}/healthz", headers={"Host": host})
            try:
                statuses[host] = urllib.request.urlopen(request, timeout=10).status
            except urllib.error.HTTPError as error:
                statuses[host] = error.code
        assert statuses == {"one.internal": 200, "10.0.0.5:1": 200, "localhost": 200, "two.internal": 403}
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "0", "--allow-host", "http://localhost"), "without a scheme"),
        (("--host", "0.0.0.0", "--port", "0"), "allow_remote"),
        (("--port", "0", "--require-signature"), "credentials"),
        (("nowhere", "--port", "0"), "nowhere"),
    ],
    ids=["no host", "open to others", "nothing to check signatures with", "no data"],
)
def test_what_would_be_wrong_is_one_line_and_no_server(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    process = started(*arguments)
    out, problem = process.communicate(timeout=30)
    assert process.returncode == 2, problem
    assert said in problem
    assert "Traceback" not in problem
    assert out == ""
