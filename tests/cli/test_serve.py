"""``personalize-rt serve``, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest

from personalize_rt import PersonalizeRuntime

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")

# Each starts interpreters, which take long on a busy machine.
pytestmark = pytest.mark.timeout(300)


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
        lines = [process.stdout.readline().split() for _ in range(9)]
        kinds = ["campaign"] * 5 + ["recommender", "filter", "dataset-group", "tracking-id"]
        assert [kind for kind, _ in lines] == kinds
        assert ["campaign", "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"] in lines
        assert urllib.request.urlopen(f"{url[0]}/healthz", timeout=100).status == 200
        with PersonalizeRuntime(endpoint_url=url[0]) as runtime:
            arn = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"
            assert len(runtime.campaign(arn).recommend(num_results=3)) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 0
    finally:
        process.kill()
        process.communicate()


def test_several_directories_are_dataset_groups_on_one_address(tmp_path: Path) -> None:
    for name in ("shop", "films"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\n1,a,1000\n1,b,1001\n")
        settings = f'[campaigns]\n{name}-popular = "aws-popularity-count"\n[options]\ndataset_group = "{name}"\n'
        (tmp_path / name / "personalize.toml").write_text(settings)
    process = started(str(tmp_path / "shop"), str(tmp_path / "films"), "--port", "0", "--pace", "60", "--log", "off")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        lines = [process.stdout.readline().split()[-1].rpartition(":")[2] for _ in range(2)]
        assert lines == ["campaign/shop-popular", "campaign/films-popular"]
        control = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any").client(
            "personalize", region_name="eu-west-1", endpoint_url=url
        )
        groups = {one["name"]: one["datasetGroupArn"] for one in control.list_dataset_groups()["datasetGroups"]}
        assert set(groups) == {"shop", "films"}
        tracker = control.create_event_tracker(name="site", datasetGroupArn=groups["films"])["eventTrackerArn"]
        status = control.describe_event_tracker(eventTrackerArn=tracker)["eventTracker"]["status"]
        assert status == "CREATE PENDING"
        control.close()
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
                with urllib.request.urlopen(request, timeout=100) as response:
                    statuses[host] = response.status
            except urllib.error.HTTPError as error:
                with error:  # it is a response, whose connection Python 3.14 warns of
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
        (("--port", "0", "--allow-origin", "*"), "--allow-origin"),
        (("--port", "0", "--others", "moto"), "--others"),
        (("--port", "0", "--ready-file", "/nowhere/at/all"), "ready file"),
        (("nowhere", "--port", "0"), "nowhere"),
        (("sample", "sample", "--port", "0"), "two dataset groups have the dataset group"),
        (("sample", "--port", "0", "--pace", "-1"), "pace"),
        (("sample", "--port", "0", "--s3-root", "/nowhere/at/all"), "s3_root: expected a directory"),
        (("sample", "--port", "0", "--s3-endpoint", "moto"), "s3_endpoint: expected the URL of a server"),
    ],
    ids=[
        "no host",
        "open to others",
        "nothing to check signatures with",
        "no origin",
        "no server",
        "no folder",
        "no data",
        "two of one name",
        "no time",
        "no root of objects",
        "no server of objects",
    ],
)
def test_what_would_be_wrong_is_one_line_and_no_server(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    process = started(*arguments)
    out, problem = process.communicate(timeout=100)
    assert process.returncode == 2, problem
    assert said in problem
    assert "Traceback" not in problem
    assert out == ""


POPULAR = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"


def ask(url: str) -> int:
    body = json.dumps({"campaignArn": POPULAR, "userId": "user-4711"}).encode()
    with urllib.request.urlopen(f"{url}/recommendations", body, timeout=100) as response:
        status: int = response.status
    return status


@pytest.mark.timeout(200)  # a process of its own, on a busy machine
def test_a_script_waits_for_the_ready_file_and_reads_the_address(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.write_text("http://127.0.0.1:1\n")  # of a server that was killed
    process = started("sample", "--port", "0", "--ready-file", str(ready), "--log", "json")
    try:
        limit = time.monotonic() + 150
        while not ready.exists() or ready.read_text().endswith(":1\n"):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        url = ready.read_text().strip()
        assert ask(url) == 200
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=100) as connection:
            connection.sendall(b"this is not HTTP\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 0
    assert not ready.exists()
    told = [json.loads(line) for line in logged.splitlines()]
    assert [(line["operation"], line["resource"], line["status"]) for line in told] == [
        ("GetRecommendations", POPULAR, 200),
        (None, None, 400),
    ]


@pytest.mark.timeout(200)
def test_a_log_that_nobody_reads_does_not_stop_the_server() -> None:
    process = started("sample", "--port", "0")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=100)
        # More lines than a pipe holds.
        for _ in range(1000):
            connection.request("POST", "/recommendations", json.dumps({"campaignArn": POPULAR, "userId": "user-4711"}))
            assert connection.getresponse().read()
        connection.close()
    finally:
        process.kill()
        _, logged = process.communicate()
    assert "4711" not in logged
    assert f" GetRecommendations {POPULAR} 200 " in logged
