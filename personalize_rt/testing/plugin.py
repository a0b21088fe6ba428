"""pytest fixtures with the embedded Personalize; pytest finds them by itself once this package is installed.

``local_personalize``, ``personalize_client``, ``personalize_runtime``, ``personalize_endpoint`` and
``personalize_data``; see the docstrings, or ``pytest --fixtures``.

Loaded by every run of pytest, whether it needs Personalize or not. So it imports nothing but pytest, and everything
else when a fixture is used.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import Any

    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.local import LocalPersonalize

_LOCAL = pytest.StashKey["Any"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plug-in."""
    text = "the data directory of the embedded Personalize, instead of its bundled sample"
    parser.getgroup("personalize", "Amazon Personalize").addoption("--personalize-data", metavar="DIR", help=text)
    parser.addini("personalize_data", f"{text}; relative to this file", default="")


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

    Its faults are cleared after each test. Events that a test puts stay: a test that puts some makes a service of its
    own, with ``LocalPersonalize.from_directory(personalize_data)``.
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


@pytest.fixture
def personalize_runtime(local_personalize: LocalPersonalize, personalize_client: Any) -> PersonalizeRuntime:
    """A ``PersonalizeRuntime`` that the embedded Personalize answers; it retries as ever, and does not wait for it."""
    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.resilience.retry import RetryPolicy

    retry = RetryPolicy(clock=local_personalize.time, sleep=local_personalize.skip)
    return PersonalizeRuntime(client=personalize_client, retry=retry)


@pytest.fixture(scope="session")
def personalize_endpoint(local_personalize: LocalPersonalize) -> Generator[str, None, None]:
    """The URL of the embedded Personalize, for any AWS SDK; needs the extra ``[server]``."""
    with local_personalize.serve(port=0) as url:
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Remember the service, also where a project has a ``local_personalize`` of its own."""
    value = yield
    if fixturedef.argname == "local_personalize":
        request.config.stash[_LOCAL] = value
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Clear the faults, after the test's own fixtures are gone."""
    try:
        return (yield)
    finally:
        local = item.config.stash.get(_LOCAL, None)
        if local is not None:
            local.faults.clear()
