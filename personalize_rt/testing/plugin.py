"""pytest fixtures with the embedded Personalize, available once this package is installed.

``local_personalize``, ``personalize_client``, ``personalize_events_client``, ``personalize_control_client``,
``personalize_runtime``, ``personalize_async_runtime``, ``personalize_tracker``, ``personalize_endpoint``,
``personalize_data``, ``personalize_cassette`` and ``personalize_cassette_options``; see the docstrings, or
``pytest --fixtures``.

Every run of pytest loads this module, even if it does not need Personalize. So it imports only pytest at first, and
everything else when a fixture is used.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import Any

    from personalize_rt.aio import AsyncPersonalizeRuntime
    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.local import LocalPersonalize
    from personalize_rt.testing.record import Cassette, Recorder
    from personalize_rt.tracker import EventTracker

_LOCAL = pytest.StashKey["Any"]()
_PASSED = pytest.StashKey[bool]()
_MODES = ("none", "once", "rewrite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plug-in."""
    text = "the data directory of the embedded Personalize, instead of its bundled sample"
    group = parser.getgroup("personalize", "Amazon Personalize")
    group.addoption("--personalize-data", metavar="DIR", help=text)
    parser.addini("personalize_data", f"{text}; relative to this file", default="")
    text = "none: only replay cassettes (the default); once: record those that are not there; rewrite: record all anew"
    group.addoption("--personalize-record", choices=_MODES, help=text)
    parser.addini("personalize_record", text, default="none")


@pytest.fixture(scope="session")
def personalize_data(pytestconfig: pytest.Config) -> Path:
    """The data directory: ``--personalize-data``, else ``personalize_data`` of the ini-file, else the sample."""
    given: str | None = pytestconfig.getoption("--personalize-data")
    if given:
        return pytestconfig.invocation_params.dir / given
    configured: str = pytestconfig.getini("personalize_data")
    if configured:
        return (pytestconfig.inipath or pytestconfig.rootpath / "pytest.ini").parent / configured
    from importlib.resources import files
    from pathlib import Path

    return Path(str(files("personalize_rt.local") / "sample"))


@pytest.fixture(scope="session")
def local_personalize(personalize_data: Path) -> LocalPersonalize:
    """The embedded Personalize of this session.

    Its faults, its journal of requests, its recorded events and the answers that it was given are cleared after each
    test. What events have changed is not: a test that depends on that should make a service of its own with
    ``LocalPersonalize.from_directory(personalize_data)``.
    """
    from personalize_rt.local import LocalDataError, LocalPersonalize

    try:
        return LocalPersonalize.from_directory(personalize_data)
    except LocalDataError as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def personalize_client(local_personalize: LocalPersonalize) -> Generator[Any, None, None]:
    """A boto3 ``personalize-runtime`` client that the embedded Personalize answers, without a socket."""
    client = local_personalize.boto3_client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def personalize_events_client(local_personalize: LocalPersonalize) -> Generator[Any, None, None]:
    """A boto3 ``personalize-events`` client that the embedded Personalize answers, without a socket."""
    client = local_personalize.boto3_client("personalize-events")
    yield client
    client.close()


@pytest.fixture(scope="session")
def personalize_control_client(local_personalize: LocalPersonalize) -> Generator[Any, None, None]:
    """A boto3 ``personalize`` client, for the control plane, that the embedded Personalize answers without a socket."""
    client = local_personalize.boto3_client("personalize")
    yield client
    client.close()


@pytest.fixture
def personalize_runtime(local_personalize: LocalPersonalize) -> PersonalizeRuntime:
    """A ``PersonalizeRuntime`` that the embedded Personalize answers. It retries as usual, but without waiting."""
    return local_personalize.runtime()


@pytest.fixture
def personalize_async_runtime(local_personalize: LocalPersonalize) -> AsyncPersonalizeRuntime:
    """An ``AsyncPersonalizeRuntime`` that the embedded Personalize answers; for tests that are coroutine functions."""
    return local_personalize.async_runtime()


@pytest.fixture
def personalize_tracker(local_personalize: LocalPersonalize) -> Generator[EventTracker, None, None]:
    """An ``EventTracker`` that the embedded Personalize answers; closed after the test.

    After its ``flush()``, ``local_personalize.recorded_events`` has the events of the test, each with its answer.
    """
    with local_personalize.event_tracker() as tracker:
        yield tracker


@pytest.fixture(scope="session")
def personalize_endpoint(local_personalize: LocalPersonalize) -> Generator[str, None, None]:
    """The URL of the embedded Personalize, for any AWS SDK; needs the extra ``[server]``."""
    with local_personalize.serve(port=0) as url:
        yield url


@pytest.fixture(scope="session")
def personalize_cassette_options() -> dict[str, Any]:
    """The arguments of ``record()`` for the service, such as ``{"region_name": "eu-west-1"}``; by default none.

    A project may define a fixture of this name, of any scope. It is used only for recording.
    """
    return {}


@pytest.fixture
def personalize_cassette(request: pytest.FixtureRequest) -> Generator[Recorder | Cassette, None, None]:
    """The recorded service of a test: ``personalize_cassette.runtime()`` and its other clients.

    The file is ``cassettes/MODULE/TEST.json`` beside the test's module. By default it is only replayed.
    ``--personalize-record=once`` (or ``personalize_record`` in the ini-file) records missing cassettes, and
    ``rewrite`` records all. The recording of a test that fails is discarded.
    """
    from personalize_rt.testing.files import cassette_path
    from personalize_rt.testing.record import record

    config, test = request.config, request.node
    mode: Any = config.getoption("--personalize-record") or config.getini("personalize_record")
    if mode not in _MODES:
        raise pytest.UsageError(f"personalize_record must be one of {', '.join(_MODES)}, not {mode}")
    names = [each.name for each in test.listchain() if isinstance(each, pytest.Class | pytest.Item)]
    path = cassette_path(test.path, ".".join(names))
    replays = path.is_file() and mode != "rewrite"
    if not replays and mode == "none":
        pytest.fail(f"{path} is not there; to record it: pytest --personalize-record=once", pytrace=False)
    options: dict[str, Any] = {}
    if not replays:
        options = request.getfixturevalue("personalize_cassette_options")
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with record(path, mode=mode, **options) as service:
            yield service
            if not test.stash.get(_PASSED, False):
                raise _NotPassedError
    except _NotPassedError:
        pass


class _NotPassedError(Exception):
    """Ends a recording without writing it, since the test failed or was skipped."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note that a test passed."""
    result = yield
    item.stash[_PASSED] = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Note the service of the fixture ``local_personalize``, which a project may have overridden."""
    value = yield
    if fixturedef.argname == "local_personalize":
        request.config.stash[_LOCAL] = value
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Clear faults, requests, recorded events and given answers, after the test's own fixtures were torn down."""
    try:
        return (yield)
    finally:
        local = item.config.stash.get(_LOCAL, None)
        if local is not None:
            local.reset()
