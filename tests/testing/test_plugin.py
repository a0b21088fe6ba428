"""The pytest plug-in, in pytest runs of their own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

import personalize_rt.testing.plugin as plugin
from personalize_rt.testing.files import cassette_path

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]


def installed() -> bool:
    """Whether pytest finds the plug-in by itself."""
    try:
        points = distribution("personalize-rt").entry_points
    except PackageNotFoundError:
        return False
    return any((point.group, point.value) == ("pytest11", plugin.__name__) for point in points)


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs pytest on a file, in a process of its own."""
    from_checkout = [] if installed() else ["-p", plugin.__name__]

    def run(code: str, *args: str, name: str = "test_it.py") -> pytest.RunResult:
        pytester.path.joinpath(name).write_text(code, encoding="utf-8")
        return pytester.runpytest_subprocess(*from_checkout, "-p", "no:cacheprovider", *args)

    return run


def test_the_distribution_names_the_plug_in() -> None:
    try:
        distribution("personalize-rt")
    except PackageNotFoundError:
        pytest.skip("the package is not installed here")
    assert installed()


def test_its_module_imports_nothing_but_pytest() -> None:
    tree = ast.parse(Path(plugin.__file__).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports]
    assert names == ["__future__", "pytest"]


def test_loading_it_loads_nothing_else_of_this_package_or_of_others() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import personalize_rt.testing.plugin; "
        "print(*sorted(set(sys.modules) - before - set(sys.stdlib_module_names)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"personalize_rt", "personalize_rt.testing", "personalize_rt.testing.plugin"}


FIXTURES = """
import time

import boto3
import pytest
from personalize_rt import ThrottlingError
from personalize_rt.local import LocalPersonalize


@pytest.fixture
def popular(local_personalize):
    return local_personalize.campaign_arn("popular")


def test_the_service(local_personalize, personalize_data):
    assert isinstance(local_personalize, LocalPersonalize)
    assert LocalPersonalize.from_directory(personalize_data).campaigns == local_personalize.campaigns


def test_a_client(personalize_client, popular):
    assert len(personalize_client.get_recommendations(campaignArn=popular)["itemList"]) == 3


def test_a_runtime_retries_and_does_not_wait(personalize_runtime, local_personalize, popular):
    started = time.monotonic()
    local_personalize.faults.throttle(times=2, retry_after=20)
    answer = personalize_runtime.with_options(deadline=None).get_recommendations(campaign_arn=popular)
    assert (answer.info.attempts, len(answer)) == (3, 3)
    assert answer.info.elapsed > 40 > time.monotonic() - started


@pytest.fixture
def throttled(local_personalize):
    local_personalize.faults.throttle()
    yield
    assert local_personalize.faults.rules  # not cleared before the test is over


def test_faults_of_a_test(personalize_runtime, throttled, popular):
    with pytest.raises(ThrottlingError):
        personalize_runtime.get_recommendations(campaign_arn=popular)


def test_are_gone_after_it(personalize_runtime, popular):
    assert personalize_runtime.get_recommendations(campaign_arn=popular).info.attempts == 1


def test_faults_of_a_test_that_finds_the_service_by_itself(request):
    request.getfixturevalue("local_personalize").faults.fail()


def test_are_gone_too(local_personalize):
    assert local_personalize.faults.rules == ()


def test_an_endpoint(personalize_endpoint, popular):
    client = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=personalize_endpoint)
    assert len(client.get_recommendations(campaignArn=popular)["itemList"]) == 3
    client.close()
"""


def test_the_fixtures_work_on_the_directory_of_the_ini_file_and_faults_end_with_their_test(
    run: Run, pytester: pytest.Pytester, data: Path
) -> None:
    data.rename(pytester.path / "my data")
    # Relative to the ini-file, wherever pytest is started.
    (pytester.path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npersonalize_data = "my data"\n')
    (pytester.path / "below").mkdir()
    without_server = [] if find_spec("uvicorn") else ["--deselect=below/test_it.py::test_an_endpoint"]
    result = run(FIXTURES, "below", *without_server, name="below/test_it.py")
    result.assert_outcomes(passed=8 - len(without_server), deselected=len(without_server))


OWN = """
import pytest
from personalize_rt.local import LocalPersonalize


@pytest.fixture(scope="session")
def local_personalize(personalize_data):
    return LocalPersonalize.from_directory(personalize_data, clock=lambda: 0.0)


def test_it(personalize_client, local_personalize):
    arn = local_personalize.campaign_arn("popular")
    reply = personalize_client.get_recommendations(campaignArn=arn)
    assert reply["ResponseMetadata"]["HTTPHeaders"]["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    local_personalize.answer("popular", ["given"])
    reply = personalize_client.get_recommendations(campaignArn=arn)
    assert [item["itemId"] for item in reply["itemList"]] == ["given"]
    assert len(local_personalize.requests) == 2
    local_personalize.faults.throttle()


def test_that_what_a_test_left_is_cleared(personalize_client, local_personalize):
    assert local_personalize.faults.rules == ()
    assert len(local_personalize.requests) == 0
    reply = personalize_client.get_recommendations(campaignArn=local_personalize.campaign_arn("popular"))
    assert "given" not in [item["itemId"] for item in reply["itemList"]]


def test_events_are_recorded_with_their_answers(personalize_tracker, personalize_runtime, local_personalize):
    arn = local_personalize.campaign_arn("popular")
    shelf = personalize_runtime.get_recommendations(campaign_arn=arn)
    personalize_tracker.track("Watch", shelf[0], of=shelf, session_id="s")
    assert personalize_tracker.flush(20)
    (event,) = local_personalize.recorded_events
    assert (event.item_id, event.answer.resource_arn) == (shelf[0].item_id, arn)


def test_that_recorded_events_are_cleared(local_personalize):
    assert local_personalize.recorded_events == ()


def test_clients_of_the_other_two_apis(personalize_events_client, personalize_control_client):
    assert personalize_events_client.meta.service_model.service_name == "personalize-events"
    assert personalize_control_client.meta.service_model.service_name == "personalize"
"""


def test_a_project_may_have_a_service_of_its_own_and_the_option_counts_before_the_ini_file(
    run: Run, pytester: pytest.Pytester, data: Path
) -> None:
    (pytester.path / "pytest.ini").write_text("[pytest]\npersonalize_data = nowhere\n", encoding="utf-8")
    data.rename(pytester.path / "there")
    settings = pytester.path / "there" / "personalize.toml"
    settings.write_text(settings.read_text("utf-8") + '\n[event_trackers]\nshop = "t"\n', encoding="utf-8")
    run(OWN, "--personalize-data=there").assert_outcomes(passed=5)


SHELF = """
import pytest


@pytest.fixture
def personalize_cassette_options(request):
    %s
    return {"client": request.getfixturevalue("personalize_client")}


def shelf(service, user, count=3):
    arn = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular"
    return service.runtime().get_recommendations(campaign_arn=arn, user_id=user, num_results=count).item_ids


class TestShelf:
    def test_it(self, personalize_cassette):
        assert len(shelf(personalize_cassette, "42")) == 3


@pytest.mark.parametrize("user", ["a/b", "a:b"])
def test_anybody(personalize_cassette, user):
    assert len(shelf(personalize_cassette, user)) == 3
"""


def cassettes(pytester: pytest.Pytester) -> list[str]:
    return sorted(str(path.relative_to(pytester.path)) for path in pytester.path.glob("cassettes/**/*.json"))


@pytest.fixture
def run_here(pytester: pytest.Pytester, data: Path) -> Run:
    """Runs pytest on a file in this process, with a small service that stands for the real one."""
    from_checkout = [] if installed() else ["-p", plugin.__name__]

    def run(code: str, *args: str) -> pytest.RunResult:
        pytester.path.joinpath("test_it.py").write_text(code, encoding="utf-8")
        options = ["-p", "no:cacheprovider", "--import-mode=importlib", f"--personalize-data={data}"]
        return pytester.runpytest_inprocess(*from_checkout, *options, *args)

    return run


def test_a_cassette_of_each_test_is_recorded_once_when_that_is_asked_for_and_replayed_after(
    run_here: Run, pytester: pytest.Pytester
) -> None:
    run = run_here
    result = run(SHELF % "pass")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*TestShelf.test_it.json is not there; to record it: *--personalize-record=once*"])
    assert cassettes(pytester) == []
    run(SHELF % "pass", "--personalize-record=once").assert_outcomes(passed=3)
    recorded = {name: (pytester.path / name).read_bytes() for name in cassettes(pytester)}
    assert len(recorded) == 3
    assert "cassettes/test_it/TestShelf.test_it.json" in recorded
    # From now on nothing is asked, and no client is needed.
    replayed = SHELF % "pytest.fail('it was asked for')"
    for arguments in (["--personalize-record=once"], []):
        run(replayed, *arguments).assert_outcomes(passed=3)
    result = run(replayed.replace("count=3", "count=2"))
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*UnrecordedRequestError: *differs in numResults (2 instead of 3): record it again"])
    assert {name: (pytester.path / name).read_bytes() for name in cassettes(pytester)} == recorded


def test_cassettes_are_recorded_anew_when_that_is_asked_for(run_here: Run, pytester: pytest.Pytester) -> None:
    run = run_here
    pytester.makeini("[pytest]\npersonalize_record = once")
    code = SHELF % "pass"
    run(code).assert_outcomes(passed=3)
    code = code.replace("count=3", "count=2").replace("== 3", "== 2")
    run(code, "--personalize-record=rewrite").assert_outcomes(passed=3)
    text = (pytester.path / "cassettes/test_it/TestShelf.test_it.json").read_text(encoding="utf-8")
    assert '"numResults": 2' in text
    pytester.makeini("[pytest]\npersonalize_record = sometimes")
    result = run(code)
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*UsageError: personalize_record must be one of none, once, rewrite, not sometimes"])


def test_what_a_test_that_fails_or_asks_nothing_has_recorded_is_not_kept(
    run_here: Run, pytester: pytest.Pytester
) -> None:
    run = run_here
    code = SHELF % "pass" + (
        "    assert user == 'a/b'\n\ndef test_skipped(personalize_cassette):\n    shelf(personalize_cassette, 'u')\n"
        "    pytest.skip('for a reason')\n\ndef test_silent(personalize_cassette):\n    pass\n"
    )
    run(code, "--personalize-record=once").assert_outcomes(passed=3, failed=1, skipped=1, errors=1)
    assert len(cassettes(pytester)) == 2


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_a", "test_a.json"),
        ("TestA.test_b[1-x]", "TestA.test_b[1-x].json"),
        ("test_a[ü]", r"test_a\[-\]-[0-9a-f]{8}\.json"),
        ("test_a[" + "x" * 300 + "]", r"test_a\[x{193}-[0-9a-f]{8}\.json"),
        ("test_a[../../etc]", r"test_a\[\.\.-\.\.-etc\]-[0-9a-f]{8}\.json"),
    ],
)
def test_a_cassette_has_a_name_that_every_file_system_takes(test: str, name: str) -> None:
    path = cassette_path(Path("tests/test_it.py"), test)
    assert path.parent == Path("tests/cassettes/test_it")
    assert path.name == name or re.fullmatch(name, path.name)


def test_a_directory_that_cannot_be_loaded_is_one_clear_error(run: Run, data: Path) -> None:
    (data / "interactions.csv").write_text("USER_ID,ITEM_ID\nann,a\n", encoding="utf-8")
    (data / "personalize.toml").write_text("[campaigns]\npopular = 'aws-no-such-recipe'\n", encoding="utf-8")
    result = run("def test_it(personalize_client): pass", f"--personalize-data={data}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines_random(["*personalize.toml, line 2*recipes*", "*interactions.csv, line 1*TIMESTAMP*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*def local_personalize*")


UNUSED_AT_FIRST = """
import sys


def test_that_a_run_which_does_not_use_it_pays_for_nothing():
    ours = ("personalize_rt.local", "personalize_rt.client", "attr", "boto3", "botocore")
    assert not [name for name in sys.modules if name.startswith(ours)]


def test_that_without_a_directory_there_is_the_sample(local_personalize):
    assert "movies-ranking" in local_personalize.campaigns
"""


def test_it_loads_nothing_before_a_fixture_is_used_and_then_the_sample(run: Run) -> None:
    # Hypothesis' plug-in loads attrs.
    run(UNUSED_AT_FIRST, "-p", "no:hypothesispytest").assert_outcomes(passed=2)


def test_the_example_of_the_documentation_passes(run: Run) -> None:
    page = Path(__file__).parents[2] / "docs" / "testing.md"
    (example,) = re.findall(r"```python\n(import pytest\n.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    run(example).assert_outcomes(passed=2)
