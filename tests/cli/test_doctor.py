"""What a bug report says, and what it must not say."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import __version__
from personalize_rt.cli import doctor
from personalize_rt.transport import diagnosis

KEY, SECRET = "AKIAMADEUPMADEUP4711", "made-up-secret-4711"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without a word about AWS, but for the files, which are not there."""
    kept = {name: value for name, value in os.environ.items() if not doctor._matters(name)}
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"):
        kept[name] = os.environ[name]
    monkeypatch.setattr(os, "environ", kept)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose owner never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def line(text: str, name: str) -> str:
    (value,) = (line.removeprefix(f"{name}: ") for line in text.splitlines() if line.startswith(f"{name}: "))
    return value


@pytest.mark.usefixtures("credentials")
def test_all_is_well(cli: Callable[..., Any], server: Any) -> None:
    server.always(server.failure(403, "MissingAuthenticationTokenException", date=format_datetime(datetime.now(UTC))))
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url)
    assert (outcome.status, outcome.err) == (0, "")
    assert line(outcome.out, "personalize-rt") == __version__
    assert line(outcome.out, "region") == "eu-west-1"
    assert line(outcome.out, "credentials") == "from env, not shown"
    assert line(outcome.out, "endpoint") == server.url
    reached = line(outcome.out, "reachable")
    assert reached.startswith("yes (")
    assert "HTTP 403 to a request without a signature, clocks differ by " in reached
    assert "problem: " not in outcome.out


@pytest.mark.usefixtures("credentials")
def test_the_one_request_is_empty_and_unsigned(cli: Callable[..., Any], server: Any) -> None:
    cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url)
    (request,) = server.received
    assert request.members == {}
    assert "authorization" not in request.headers


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_no_secret_is_shown(cli: Callable[..., Any], server: Any, json_too: list[str]) -> None:
    os.environ["HTTPS_PROXY"] = "http://me:proxy-password@127.0.0.1:9"
    url = server.url.replace("//", f"//somebody:{SECRET}@")
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", url, *json_too)
    assert outcome.status == 0
    assert "HTTPS_PROXY" in outcome.out
    for secret in (KEY, SECRET, "somebody", "proxy-password", os.path.expanduser("~")):
        assert secret not in outcome.out


def test_what_cannot_be_reached_is_shown_without_a_login(cli: Callable[..., Any], unused_port: int) -> None:
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", f"http://me:{SECRET}@127.0.0.1:{unused_port}")
    assert line(outcome.out, "reachable") == "no (failed to connect)"
    assert f"problem: no connection to http://127.0.0.1:{unused_port}" in outcome.out
    assert SECRET not in outcome.out


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def test_an_unknown_host_is_named_as_such(cli: Callable[..., Any]) -> None:
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", "https://personalize.invalid")
    assert line(outcome.out, "reachable") == "no (failed to resolve)"


def test_the_reason_why_tls_failed_is_a_problem(
    kind_of_trouble: str, cli: Callable[..., Any], tls_trouble: Callable[..., Any], tmp_path: Path
) -> None:
    url, words = tls_trouble(kind_of_trouble)
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", url)
    assert "reachable: no (failed to tls)" in outcome.out
    (problem,) = (line for line in outcome.out.splitlines() if line.startswith("problem: no secure connection to"))
    for word in words:
        assert word in problem
    assert str(tmp_path) not in outcome.out


def test_an_endpoint_that_says_nothing_is_given_up(cli: Callable[..., Any], deaf_port: int) -> None:
    arguments = ["--region", "eu-west-1", "--endpoint-url", f"http://127.0.0.1:{deaf_port}", "--timeout", "0.05"]
    assert line(cli("doctor", *arguments).out, "reachable").startswith("no")


def test_a_name_look_up_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(diagnosis, "_ask", lambda *_: over.wait())
    found = diagnosis.diagnose(region_name="eu-west-1", endpoint_url="http://127.0.0.1:9", timeout=0.01)
    over.set()
    assert found.reachability == diagnosis.Reachability(False, 0.01, problem="no answer in 0.01 s")


def test_an_answer_of_somebody_else_is_a_problem(cli: Callable[..., Any], server: Any) -> None:
    server.always(server.answer(200, b"<html>Hello</html>"))
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url)
    assert line(outcome.out, "reachable").startswith("yes (")
    assert "is the endpoint Personalize?" in outcome.out


@pytest.mark.usefixtures("credentials")
def test_an_error_of_somebody_else_is_a_problem(cli: Callable[..., Any]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:  # a POST: 501
        threading.Thread(target=other.serve_forever, args=(0.005,), daemon=True).start()
        outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
    assert outcome.status == 1
    assert "HTTP 501" in line(outcome.out, "reachable")
    assert line(outcome.out, "problem").startswith("HTTP 501 without a header of an AWS service")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_problem_is_shown_and_the_exit_status_says_so(
    cli: Callable[..., Any], server: Any, json_too: list[str]
) -> None:
    server.always(server.answer(200, b"<html>Hello</html>"))
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url, *json_too)
    assert (outcome.status, outcome.err) == (1, "")
    assert "is the endpoint Personalize?" in outcome.out


@pytest.mark.parametrize(("off", "problems"), [(-30, 0), (30, 0), (-600, 1), (600, 1)])
def test_a_clock_that_is_wrong_is_a_problem(cli: Callable[..., Any], server: Any, off: int, problems: int) -> None:
    server.always(server.failure(403, date=format_datetime(datetime.now(UTC) + timedelta(seconds=off))))
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url)
    assert outcome.out.count("the clock of this machine is wrong") == problems


def test_without_a_region_there_is_no_endpoint(cli: Callable[..., Any]) -> None:
    outcome = cli("doctor")
    assert (outcome.status, outcome.err) == (1, "")
    assert line(outcome.out, "region") == line(outcome.out, "endpoint") == line(outcome.out, "credentials") == "none"
    assert "problem: no AWS region: pass --region, " in outcome.out
    assert "problem: no AWS credentials" in outcome.out
    assert "reachable" not in outcome.out


def test_the_variable_that_boto3_does_not_read_is_pointed_out(cli: Callable[..., Any]) -> None:
    os.environ["AWS_REGION"] = "eu-west-1"
    assert "AWS_REGION is set, which boto3 does not read" in cli("doctor").out
    assert "AWS_REGION is set" not in cli("doctor", "--region", "eu-west-1", "--endpoint-url", "http://x.invalid").out


def test_a_profile_that_is_not_there_is_one_problem(cli: Callable[..., Any]) -> None:
    outcome = cli("doctor", "--profile", "nope")
    assert line(outcome.out, "profile") == "nope"
    assert outcome.out.count("problem: ") == 1
    assert "profile (nope) could not be found" in outcome.out


def test_a_profile_gives_region_and_credentials(cli: Callable[..., Any], tmp_path: Path) -> None:
    os.environ["AWS_CONFIG_FILE"] = str(tmp_path / "config")
    (tmp_path / "config").write_text("[profile work]\nregion = eu-central-1\nrole_arn = x\nsource_profile = keys\n")
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "credentials")
    (tmp_path / "credentials").write_text(f"[keys]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    outcome = cli("doctor", "--profile", "work", "--endpoint-url", "http://x.invalid")
    assert line(outcome.out, "region") == "eu-central-1"
    assert line(outcome.out, "credentials") == "from assume-role, not shown"
    assert SECRET not in outcome.out


def test_half_a_pair_of_credentials_is_a_problem(cli: Callable[..., Any]) -> None:
    os.environ["AWS_ACCESS_KEY_ID"] = KEY
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", "http://x.invalid")
    assert "problem: Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY" in outcome.out
    assert KEY not in outcome.out


def test_what_a_helper_program_says_is_not_repeated(cli: Callable[..., Any], tmp_path: Path) -> None:
    os.environ["AWS_CONFIG_FILE"] = str(tmp_path / "config")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh -c 'echo {SECRET} >&2; exit 1'\n")
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", "http://x.invalid")
    assert "problem: credentials cannot be found out: CredentialRetrievalError" in outcome.out
    assert "the program of credential_process failed; run" in outcome.out
    assert SECRET not in outcome.out


@pytest.mark.usefixtures("credentials")
def test_json_holds_what_the_page_says(cli: Callable[..., Any], server: Any) -> None:
    server.always(server.failure(403))
    outcome = cli("doctor", "--region", "eu-west-1", "--endpoint-url", server.url, "--json")
    report = json.loads(outcome.out)
    assert report["versions"]["personalize-rt"] == __version__
    assert (report["region"], report["credentials"], report["endpoint"]) == ("eu-west-1", "env", server.url)
    assert report["reachability"]["answered"] is True
    assert report["reachability"]["status_code"] == 403
    assert report["problems"] == [
        "the clock of this machine is wrong: AWS refuses signatures that are five minutes off"
    ]


def test_extras_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "boto3<2,>=1.40",
        'rich>=13.7; extra == "cli"',
        "personalize-rt[cli]; extra == 'all'",
        'no-such-package>=1; extra == "bulk"',
        'rich>=13.7; extra == "bulk"',
        'pytest; extra == "test"',
    ]
    monkeypatch.setattr(doctor, "requires", lambda _: needs)
    report = doctor.examine(region_name="eu-west-1", endpoint_url="http://x.invalid", timeout=1)
    assert set(report.extras) == {"bulk", "cli"}
    text = doctor.page(report)
    assert line(text, "[bulk]") == "no (no-such-package not installed)"
    assert line(text, "[cli]").startswith("yes (rich ")


def test_a_package_that_is_on_the_path_only_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-package")
    assert doctor._extras() == {}
