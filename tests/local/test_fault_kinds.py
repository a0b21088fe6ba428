"""The table of faults: each kind can be made in every way, has its effect through every door, and is documented."""

from __future__ import annotations

import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

import personalize_rt.local.faults
from personalize_rt import DeadlineExceededError, PersonalizeError, PersonalizeRuntime, Ranking, RetryPolicy
from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.faults import FaultRule, Faults, Seen, as_seen_by_client, effects
from personalize_rt.local.faults.effects import WHERE, Fault
from personalize_rt.local.faults.kinds import KINDS
from personalize_rt.local.wire import HttpRequest, HttpResponse
from tests.optional import optional

# A new kind needs a line here if it has a parameter without a default. A delay is longer than DEADLINE, which ends a
# call over HTTP, and shorter than the read time-out in process.
NEEDED: dict[str, dict[str, Any]] = {"latency": {"seconds": 0.5}}

REQUESTS = 3  # as many as a kind may let pass before it has its effect
WELL = HttpResponse(200, {"content-type": "application/json", "content-length": "18"}, b'{"itemList": [{}]}')
DEADLINE = 0.3  # seconds
FILMS = ["tt0468569", "tt0111161", "not-a-film", "tt0133093", "tt0120338"]

every_kind = pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])


def make(faults: Faults, kind: type[Fault]) -> FaultRule:
    return faults.add({"fault": kind.name, **NEEDED.get(kind.name, {})})


# Ways to make it.


def test_every_kind_is_in_the_list() -> None:
    """One that is not cannot be made from JSON, and no other test looks at it."""
    package = personalize_rt.local.faults
    modules = [import_module(f"{package.__name__}.{module.name}") for module in pkgutil.iter_modules(package.__path__)]
    bases = (effects.Substitute, effects.Delay, effects.Damage, effects.Transmission)
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, bases) and value not in bases
    }
    assert found == set(KINDS.values()), "personalize_rt/local/faults/kinds.py: a class is not in _ALL"


def test_every_method_that_makes_a_rule_belongs_to_a_kind() -> None:
    makers = {
        name
        for name, method in vars(Faults).items()
        if not name.startswith("_") and inspect.isfunction(method) and method.__annotations__["return"] == "FaultRule"
    }
    assert makers == {"add", *KINDS}, "personalize_rt/local/faults: kinds.py and the methods of rules.py differ"


@every_kind
def test_the_method_of_a_kind_takes_its_parameters(kind: type[Fault]) -> None:
    parameters = list(inspect.signature(getattr(Faults, kind.name)).parameters.values())[1:]
    limits = parameters.pop()
    assert (limits.kind, limits.annotation) == (
        inspect.Parameter.VAR_KEYWORD,
        "Unpack[Where]" if kind.limits == WHERE else "Unpack[When]",
    )
    fields = inspect.signature(kind).parameters.values()
    assert {(parameter.name, parameter.default) for parameter in parameters} == {
        (field.name, field.default) for field in fields
    }, f"personalize_rt/local/faults/rules.py: Faults.{kind.name} differs from {kind.__name__}"


@every_kind
def test_a_kind_is_made_alike_from_json_and_by_its_method(kind: type[Fault]) -> None:
    from_json, by_method = Faults(), Faults()
    made = make(from_json, kind)
    needed = NEEDED.get(kind.name, {})
    assert made == getattr(by_method, kind.name)(**needed)
    assert made.fault == kind.name
    assert needed.items() <= made.parameters.items()


@every_kind
def test_every_parameter_reaches_a_kind_and_is_checked_there(kind: type[Fault]) -> None:
    for parameter in kind.parameters():
        given = {**NEEDED.get(kind.name, {}), parameter: ["no value of any parameter"]}
        with pytest.raises(ValidationError, match=f"^{parameter} must be"):
            Faults().add({"fault": kind.name, **given})
        with pytest.raises(ValidationError, match=f"^{parameter} must be"):
            getattr(Faults(), kind.name)(**given)


@every_kind
def test_the_page_on_the_embedded_service_names_a_kind(kind: type[Fault]) -> None:
    page = Path(__file__).parents[2] / "docs" / "local.md"
    section = page.read_text("utf-8").partition("\n## Faults\n")[2].partition("\n## ")[0]
    assert f"`{kind.name}(" in section, f"docs/local.md: the tables of the section Faults lack {kind.name}"


# Its effect.


@every_kind
def test_a_kind_has_an_effect(kind: type[Fault]) -> None:
    """Counted as fired, and a client in the same process sees another answer than the engine's, or sees it late."""
    faults = Faults(clock=lambda: 0.0)
    make(faults, kind)
    request = HttpRequest("POST", "/recommendations", {}, b'{"userId": "u"}')
    seen = [
        as_seen_by_client(faults.decide(request), lambda: WELL, read_timeout=1.0)
        for _ in range(REQUESTS)
        if not faults.rules[0].fired
    ]
    assert faults.rules[0].fired == 1
    assert all(earlier == Seen(0.0, WELL) for earlier in seen[:-1])
    assert seen[-1] != Seen(0.0, WELL)


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(scope="module")
def url(local: LocalPersonalize) -> Iterator[str]:
    optional("uvicorn")
    optional("starlette")
    with local.serve() as url:
        yield url


@pytest.fixture(autouse=True)
def well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "local" in request.fixturenames:
        request.getfixturevalue("local").faults.clear()


def outcome(rank: Callable[[], Ranking], rule: Callable[[], FaultRule]) -> Ranking | PersonalizeError:
    """The end of the first call that meets the fault."""
    for _ in range(REQUESTS):
        try:
            ranking = rank()
        except PersonalizeError as error:
            return error
        if rule().fired:
            return ranking
    pytest.fail(f"{rule().fault} let {REQUESTS} requests pass")


def ranks(runtime: PersonalizeRuntime, local: LocalPersonalize) -> Callable[[], Ranking]:
    campaign = runtime.campaign(local.campaign_arn("movies-ranking"))
    return lambda: campaign.rank("13974", FILMS)


@every_kind
def test_in_process_a_call_ends_as_the_kind_says(kind: type[Fault], local: LocalPersonalize) -> None:
    def skipped() -> float:
        return local.time() - time.monotonic()

    once = RetryPolicy(1, clock=local.time, sleep=local.skip)
    rank = ranks(local.runtime(deadline=None, retry=once), local)
    well, before = rank(), skipped()
    make(local.faults, kind)
    end = outcome(rank, lambda: local.faults.rules[0])
    if isinstance(end, Ranking):
        assert not kind.caller_sees
        assert end.item_ids != well.item_ids or skipped() > before + 0.1
    else:
        assert isinstance(end, kind.caller_sees)


@every_kind
def test_over_http_a_call_ends_as_the_kind_says(
    kind: type[Fault], local: LocalPersonalize, url: str, session: Any
) -> None:
    well = ranks(local.runtime(), local)()
    make(local.faults, kind)
    patient = Config(connect_timeout=60, read_timeout=60)  # only the deadline ends a call
    with PersonalizeRuntime(
        session=session, endpoint_url=url, config=patient, retry=RetryPolicy(1), deadline=DEADLINE
    ) as runtime:
        runtime.connect()
        end = outcome(ranks(runtime, local), lambda: local.faults.rules[0])
    if isinstance(end, Ranking):
        assert not kind.caller_sees
        assert end.item_ids != well.item_ids
    else:  # on a busy machine any call may be late
        assert isinstance(end, (*kind.caller_sees, DeadlineExceededError))
