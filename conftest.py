"""What holds for every test and every example of README.md and docs/: no network, no real AWS account.

Examples are collected by Sybil. A ``python`` block runs, blocks of one page share their names, and a block that
begins with ``>>>`` is checked as a doctest. A ``text`` block is what the ``python`` block before it prints.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest
from hypothesis import settings
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nothing-skipped",
        action="store_true",
        help="a skipped test fails: in an environment that is made for it, its package must be there",
    )
    parser.addoption(
        "--send",
        choices=["direct", "through", "plain"],
        default="direct",
        help="the fastest way that requests may take; all must hold on each. "
        "What tests the direct way itself (pytest.mark.direct) is left out on the others",
    )


def pytest_configure() -> None:
    # What a script starts in the background ignores Ctrl-C, and so do its children; tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _fail_instead(report: Any, config: pytest.Config) -> None:
    if report.skipped and config.getoption("--nothing-skipped") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _fail_instead(report, collector.config)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _fail_instead(report, item.config)
    return report


# A slow example on a busy machine is no defect. A run by hand draws other examples each time, so half as many do. Under
# CI, Hypothesis' own profile (100 examples, no chance involved) stays in force.
examples = settings.default.max_examples if "CI" in os.environ else 50
settings.register_profile("any machine", settings.default, deadline=None, max_examples=examples)
settings.load_profile("any machine")

PRINTED = "what the block before printed"
run_python = PythonEvaluator()


def run_and_keep_output(example: Example) -> None:
    """Run a block; what it prints waits for the ``text`` block after it."""
    with redirect_stdout(StringIO()) as output:
        run_python(example)
    example.namespace[PRINTED] = output.getvalue()


def compare_with_output(example: Example) -> str | None:
    """A ``text`` block shows, word for word, what was printed."""
    printed: str | None = example.namespace.pop(PRINTED, None)
    if printed is None:
        return "no python block before this text block; for text that is not output, name another language"
    shown, printed = str(example.parsed).rstrip(), printed.rstrip()
    return None if shown == printed else f"The page shows:\n{shown}\n\nThe example prints:\n{printed}"


python_blocks = PythonCodeBlockParser()
python_blocks.codeblock_parser = CodeBlockParser("python", run_and_keep_output)

pytest_collect_file = Sybil(
    parsers=[SkipParser(), python_blocks, CodeBlockParser("text", compare_with_output)],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    # Sybil asks for no autouse fixture by itself.
    fixtures=["only_loopback", "made_up_aws_account", "models_are_loaded_once", "no_default_session"],
).pytest()


def _is_here(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    return host in {None, "", "localhost", "::1", "0.0.0.0"} or host.startswith("127.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--send") != "direct":
        left_out = pytest.mark.skip(reason="of the direct way itself")
        for item in items:
            if item.get_closest_marker("direct") is not None:
                item.add_marker(left_out)


@pytest.fixture(scope="session", autouse=True)
def way_to_send(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if (way := request.config.getoption("--send")) != "direct":
            patch.setenv("PERSONALIZE_RT_SEND", way)
        yield


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Whoever leaves this machine fails at once, even where the code under test catches every ``Exception``.

    Names under ``.invalid`` stay unknown, as RFC 6761 has it, without asking a name server. An audit hook sees every
    connection, and replaces nothing: a patched socket would be taken for a stand-in for the network, which it is.

    Not while coverage is measured, which the tests without it make up for: in Python 3.11, a thread that begins to be
    traced while another one is in a hook of Python's does not start ("Cannot install a trace function while another
    trace function is being installed").
    """
    if threading.gettrace() is not None:
        yield
        return
    watched = [True]

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and watched:
            connection, address = arguments
            if connection.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address[0]):
                pytest.fail(f"a test tried to connect to {address[0]}; tests stay on 127.0.0.1")
        elif event == "socket.getaddrinfo" and watched:
            host = arguments[0]
            if isinstance(host, str) and host.endswith(".invalid"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if not _is_here(host):
                pytest.fail(f"a test tried to look up {host}; tests stay on 127.0.0.1")

    sys.addaudithook(check)  # for as long as the process lives
    yield
    watched.clear()


@pytest.fixture(scope="session", autouse=True)
def made_up_aws_account() -> Iterator[None]:
    """Credentials that belong to nobody, and nothing else of the machine's AWS settings: no region, no profile."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name.lower() in {"all_proxy", "http_proxy", "https_proxy"}:
                patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", os.path.join(os.devnull, "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.path.join(os.devnull, "credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session", autouse=True)
def models_are_loaded_once() -> Iterator[None]:
    """Read the files of botocore once, not again for each client that has a session of its own: .15 s of CPU each."""
    import botocore.loaders
    import botocore.session

    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture(autouse=True)
def no_default_session(made_up_aws_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 keeps the first session for the whole process; each test starts without one."""
    boto3 = sys.modules.get("boto3")
    if boto3 is not None:
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
