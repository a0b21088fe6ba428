"""The lists of arguments, compared with every place that spells them out itself.

Each failure names the file that forgets a member, or that has one which is no more. A place that can do without one
stands in ``LEFT_OUT``, with the reason.
"""

from __future__ import annotations

import inspect
import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import attrs
import pytest

import personalize_rt
from personalize_rt import Campaign, Limits, PersonalizeRuntime, Promotion, Recommender, bulk, operations
from personalize_rt.aio import AsyncCampaign, AsyncPersonalizeRuntime, AsyncRecommender
from personalize_rt.arguments import (
    LISTS,
    PERSONAL,
    ActionsArguments,
    Form,
    RankingArguments,
    RecommendationsArguments,
    keywords,
    members_of,
)
from personalize_rt.bulk import files, layout, rows
from personalize_rt.bulk.spark import asking
from personalize_rt.local import HttpRequest, LocalPersonalize, engine
from personalize_rt.operations import OPERATIONS, Request, argument_name
from personalize_rt.resilience import fallback
from personalize_rt.testing.placeholders import Placeholders

PACKAGE = Path(personalize_rt.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"

CALLS = (RecommendationsArguments, RankingArguments, ActionsArguments)
RESOURCES = {"campaign_arn", "recommender_arn"}
# What differs from row to row, or from call to call of a handle.
ROWS = {"user_id", "item_id", "input_list"}

_ITEMS_ONLY = "its output has no place for it"
_PYTHON_ONLY = "an object of Python"
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "personalize_rt/bulk/files.py, recommend_file()": {
        "filter": "a job is told from another by its arguments, which have to be texts",
    },
    "personalize_rt/bulk/files.py, rank_file()": {
        "filter": "a job is told from another by its arguments, which have to be texts",
        "metadata_columns": _ITEMS_ONLY,
    },
    "personalize_rt/bulk/rows.py, columns of recommend": {
        "context": "columns are mapped to its names",
        "filterValues": "columns are mapped to its names",
    },
    "personalize_rt/bulk/rows.py, columns of rank": {
        "context": "columns are mapped to its names",
        "filterValues": "columns are mapped to its names",
    },
    "personalize_rt/cli/app.py, recommend()": {"filter": _PYTHON_ONLY},
    "personalize_rt/cli/app.py, rank()": {"filter": _PYTHON_ONLY},
    "personalize_rt/cli/app.py, actions()": {"filter": _PYTHON_ONLY},
    "personalize_rt/cli/bulk.py, recommend()": {"filter": _PYTHON_ONLY},
    "personalize_rt/cli/bulk.py, rank()": {"filter": _PYTHON_ONLY, "metadata_columns": _ITEMS_ONLY},
}


def compare(place: str, wanted: Iterable[str], there: Iterable[str]) -> None:
    """Fail with the place that forgets one, or has one too many."""
    wanted, there, left_out = set(wanted), set(there), LEFT_OUT.get(place, {}).keys()
    forgotten = sorted(wanted - there - left_out)
    assert not forgotten, f"{place} forgets {', '.join(forgotten)}: add it there, or say in LEFT_OUT why not"
    unknown = sorted(there - wanted)
    assert not unknown, f"{place} has {', '.join(unknown)}, which arguments.py has not"
    stale = sorted((left_out & there) | (left_out - wanted))
    assert not stale, f"LEFT_OUT says that {place} has no {', '.join(stale)}: take it out"


def names(kind: type[Any]) -> set[str]:
    """The members that the arguments of a class are sent as."""
    return {member.name for member in members_of(kind).values() if member.name is not None}


def path_of(thing: Any) -> str:
    return str(Path(inspect.getsourcefile(thing) or "").relative_to(PACKAGE.parent).as_posix())


def named(kind: type[Any], *without: str) -> dict[str, Any]:
    """A value for each argument that is like no other, and passes through unchanged."""
    return {name: object() for name in members_of(kind) if name not in without}


# The list and its checks.


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_each_member_has_a_check_and_each_check_a_member(operation: Any) -> None:
    compare("personalize_rt/operations.py, checks", names(operation.arguments), operation.checks)
    compare("personalize_rt/operations.py, _PROMOTION", names(Promotion), operations._PROMOTION)
    assert OPERATIONS[operation.arguments.operation] is operation


@pytest.mark.parametrize("kind", LISTS)
def test_each_form_is_known_and_each_name_is_that_of_the_argument(kind: Any) -> None:
    assert set(get_args(Form)) == set(operations._ENCODE)
    for argument, member in members_of(kind).items():
        assert member.help.endswith(".")
        if member.name is not None:
            assert argument_name(member.name) == argument


@pytest.mark.parametrize("kind", LISTS)
def test_no_repr_shows_what_is_personal(kind: Any) -> None:
    values = {name: f"<{name}>" for name in members_of(kind)}
    shown = repr(kind(**values))
    for name, member in members_of(kind).items():
        assert (f"<{name}>" in shown or name == "input_list") == (member.personal is None), name
    assert set(PERSONAL) == {"userId", "context", "filterValues"}


def test_arguments_are_values_that_pickle_and_take_an_iterator_once() -> None:
    first = RankingArguments(campaign_arn="c", user_id="u", input_list=iter("ab"), metadata_columns=iter(["T"]))
    assert (first.input_list, first.metadata_columns) == (("a", "b"), ("T",))
    assert first == pickle.loads(pickle.dumps(first)) == RankingArguments(**keywords(first))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.user_id = "v"  # type: ignore[misc]


# The client, its twin for asyncio, and their handles.


class Asked(Exception):  # noqa: N818 - it only carries the arguments out
    """Told of the arguments instead of sending anything."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The arguments that a call of a client, of either kind, would make a request of."""

    def request_for(arguments: Any, limits: Limits) -> Any:
        raise Asked(arguments)

    monkeypatch.setattr(operations, "request_for", request_for)

    def call(method: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        with pytest.raises(Asked) as caught:
            run(method(**arguments))
        return keywords(caught.value.args[0])

    def run(coroutine: Any) -> None:
        coroutine.send(None)  # only the twin comes so far

    return call


def described(function: Any) -> dict[str, str]:
    """The arguments that a docstring describes."""
    text = re.search(r"\n *Args:\n(.*?)(?:\n\n|\Z)", function.__doc__ or "", re.DOTALL)
    assert text is not None, function
    lines = inspect.cleandoc(text[1]).replace("\n    ", " ").splitlines()
    return {name: " ".join(words.split()) for name, _, words in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("runtime", [PersonalizeRuntime, AsyncPersonalizeRuntime])
def test_each_client_takes_every_argument_and_says_what_the_list_says(runtime: Any, kind: Any, asked: Any) -> None:
    operation = OPERATIONS[kind.operation]
    method = getattr(runtime, operation.method)
    place = f"{path_of(runtime)}, {operation.method}()"
    compare(place, members_of(kind), inspect.signature(method).parameters.keys() - {"self"})
    given = named(kind)
    assert asked(getattr(runtime(), operation.method), **given) == given, place
    texts = described(method)
    for name, member in members_of(kind).items():
        assert texts[name] == member.help, f"{place} describes {name} as other than arguments.py does"


@pytest.mark.parametrize("runtime", [PersonalizeRuntime, AsyncPersonalizeRuntime])
def test_each_client_takes_every_argument_for_a_long_list(runtime: Any, asked: Any) -> None:
    place = f"{path_of(runtime)}, rank_long()"
    own = {"self", "max_requests", "concurrency"}
    compare(place, members_of(RankingArguments), inspect.signature(runtime.rank_long).parameters.keys() - own)
    given = named(RankingArguments)
    assert asked(runtime().rank_long, **given) == given, place


HANDLES = [
    *(
        (runtime, handle, name, kind)
        for runtime, handle in ((PersonalizeRuntime, Campaign), (AsyncPersonalizeRuntime, AsyncCampaign))
        for name, kind in (
            ("rank", RankingArguments),
            ("rank_long", RankingArguments),
            ("recommend", RecommendationsArguments),
            ("actions", ActionsArguments),
        )
    ),
    (PersonalizeRuntime, Recommender, "recommend", RecommendationsArguments),
    (AsyncPersonalizeRuntime, AsyncRecommender, "recommend", RecommendationsArguments),
]


@pytest.mark.parametrize(("runtime", "handle", "method", "kind"), HANDLES)
def test_each_handle_takes_and_binds_every_argument(
    runtime: Any, handle: Any, method: str, kind: Any, asked: Any
) -> None:
    place = f"{path_of(handle)}, {handle.__name__}.{method}()"
    wanted = members_of(kind).keys() - RESOURCES
    taken = inspect.signature(getattr(handle, method)).parameters.keys()
    compare(place, wanted, taken - {"self", "max_requests", "concurrency"})

    make = "recommender" if "Recommender" in handle.__name__ else "campaign"
    bindable = {name for kind in CALLS for name in members_of(kind)} - RESOURCES - ROWS
    place_of_make = f"{path_of(runtime)}, {make}()"
    compare(place_of_make, bindable, inspect.signature(getattr(runtime, make)).parameters.keys() - {"self", "arn"})

    arn = f"arn:aws:personalize:eu-west-1:123456789012:{make}/movies"
    resource = {f"{make}_arn": arn}
    given = named(kind, *RESOURCES)
    default = {field.name: field.default for field in attrs.fields(kind) if field.name in RESOURCES}
    assert asked(getattr(getattr(runtime(), make)(arn), method), **given) == default | given | resource, place
    of_call = {name: value for name, value in given.items() if name in ROWS}
    bound = {name: value for name, value in given.items() if name not in ROWS}
    by_handle = asked(getattr(getattr(runtime(), make)(arn, **bound), method), **of_call)
    assert by_handle == default | given | resource, place_of_make


@pytest.mark.parametrize(
    ("runtime", "handle"),
    [
        (PersonalizeRuntime, Campaign),
        (PersonalizeRuntime, Recommender),
        (AsyncPersonalizeRuntime, AsyncCampaign),
        (AsyncPersonalizeRuntime, AsyncRecommender),
    ],
)
def test_pages_take_every_argument_and_choose_the_number_of_rows(runtime: Any, handle: Any, asked: Any) -> None:
    place = f"{path_of(handle)}, {handle.__name__}.pages()"
    own = {"self", "size", "total", "store", "exclude"}
    taken = inspect.signature(handle.pages).parameters.keys() - own
    compare(place, members_of(RecommendationsArguments).keys() - RESOURCES - {"num_results"}, taken)
    make = "recommender" if "Recommender" in handle.__name__ else "campaign"
    given = named(RecommendationsArguments, *RESOURCES, "num_results")
    arn = f"arn:aws:personalize:eu-west-1:123456789012:{make}/movies"
    resources = {**dict.fromkeys(RESOURCES), f"{make}_arn": arn}
    bound = getattr(runtime(), make)(arn, num_results=7)
    assert asked(bound.pages, **given) == resources | given | {"num_results": 50}, place


# Bulk: requests, files, Spark.


@pytest.mark.parametrize(
    ("request_kind", "kind"),
    [(bulk.RecommendRequest, CALLS[0]), (bulk.RankRequest, CALLS[1]), (bulk.ActionRequest, CALLS[2])],
)
def test_a_request_in_bulk_has_the_arguments_of_a_call_and_asks_with_all(request_kind: Any, kind: Any) -> None:
    assert members_of(request_kind) == members_of(kind)
    given = named(kind)
    calls: list[tuple[str, Any]] = []
    runtime = SimpleNamespace(**{OPERATIONS[kind.operation].method: lambda **arguments: calls.append(arguments)})
    request = request_kind(**given)
    request.ask(runtime)
    assert calls == [given]
    assert not hasattr(request, "__dict__")


@pytest.mark.parametrize(
    ("function", "kind"), [(files.recommend_file, RecommendationsArguments), (files.rank_file, RankingArguments)]
)
def test_a_job_on_files_takes_every_argument_that_rows_share(
    function: Any, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{path_of(function)}, {function.__name__}()"
    own = {"runtime", "input", "output", "rules", "concurrency", "tps", "processes", "resume", "errors", "progress"}
    own |= {"columns", "ignore_columns"}
    compare(place, members_of(kind).keys() - ROWS, inspect.signature(function).parameters.keys() - own)
    given = named(kind, *ROWS, *LEFT_OUT[place])
    jobs: list[Any] = []

    def job(_kind: str, _runtime: Any, _input: Path, _output: Path, arguments: Any, _options: Any) -> Any:
        jobs.append(arguments)
        return SimpleNamespace(run=lambda: None)

    monkeypatch.setattr(files, "_Job", job)
    function(None, "input", "output", **given)
    assert [{name: value for name, value in job.items() if name in given} for job in jobs] == [given], place


@pytest.mark.parametrize("kind", rows.REQUESTS)
def test_a_row_of_a_file_has_a_member_or_a_column_for_what_the_job_does_not_say(kind: str) -> None:
    request = rows.REQUESTS[kind]
    of_the_job = {argument_name(member) for member in rows._OF_THE_JOB}
    compare(
        f"personalize_rt/bulk/rows.py, members of {kind}",
        members_of(request).keys() - of_the_job - {"filter"},
        rows.MEMBERS[kind].values(),
    )
    columns = rows.MEMBERS[kind].keys() & set(layout.COLUMNS.values())
    compare(f"personalize_rt/bulk/rows.py, columns of {kind}", rows.MEMBERS[kind], columns)


@pytest.mark.parametrize(
    ("function", "kind"), [(asking.recommend, RecommendationsArguments), (asking.rank, RankingArguments)]
)
def test_a_job_on_spark_takes_every_argument(function: Any, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{path_of(function)}, {function.__name__}()"
    columns = {"user_id": "user_column", "item_id": "item_column", "input_list": "input_list_column"}
    own = {"df", "context_columns", "filter_value_columns"}
    own |= {"keep", "tps", "concurrency", "partitions", "at_once", "on_error", "runtime"}
    compare(
        place,
        (columns.get(name, name) for name in members_of(kind)),
        inspect.signature(function).parameters.keys() - own,
    )
    jobs: list[Any] = []
    frame = SimpleNamespace(take_id=lambda *_: None, take_list=lambda *_: None, take_values=lambda *_: None)
    monkeypatch.setattr(asking, "Frame", lambda *_: frame)
    monkeypatch.setattr(asking, "_asked", lambda _frame, _kind, arguments, *_: jobs.append(arguments))
    given = named(kind, *ROWS)
    function(None, partitions=1, **given)
    assert [{name: value for name, value in job.items() if name in given} for job in jobs] == [given], place


# The command line.


class Answered(Exception):  # noqa: N818 - it only carries the arguments out
    """Told of the keywords of a call."""


COMMANDS = [
    ("app", "recommend", RecommendationsArguments, ()),
    ("app", "rank", RankingArguments, ()),
    ("app", "actions", ActionsArguments, ()),
    ("bulk", "recommend", RecommendationsArguments, ("input", "output")),
    ("bulk", "rank", RankingArguments, ("input", "output")),
]


@pytest.mark.parametrize(("module_name", "command", "kind", "files_of_job"), COMMANDS)
def test_a_command_has_an_option_for_every_argument(
    module_name: str, command: str, kind: Any, files_of_job: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    typer: Any = pytest.importorskip("typer")
    import importlib

    module: Any = importlib.import_module(f"personalize_rt.cli.{module_name}")
    failures: Any = importlib.import_module("personalize_rt.cli.failures")
    function = getattr(module, command)
    place = f"{path_of(function)}, {command}()"

    def called(*_: Any, **arguments: Any) -> Any:
        raise Answered(arguments)

    target = SimpleNamespace(
        runtime=SimpleNamespace(**{operation.method: called for operation in OPERATIONS.values()}),
        **dict.fromkeys(("campaign", "recommender", "filter", "filter_or_none"), str),
    )
    monkeypatch.setattr(module, "choose_target", lambda **_: target)
    for name in ("recommend_file", "rank_file"):
        monkeypatch.setattr(module, name, called, raising=False)
    spelled = {
        "filter_values": "value",
        "metadata_columns": "metadata",
        "input_list": "items",
        "promotions": "promotion",
    }
    values = {"context": ["A=b"], "value": ["A=b"], "metadata": ["A"], "items": ["i"], "promotion": "sale=20"}
    wanted = members_of(kind).keys() - (ROWS if files_of_job else set())
    taken = inspect.signature(function).parameters.keys()
    options = [spelled.get(name, name) for name in wanted - LEFT_OUT[place].keys()]
    forgotten = [option for option in options if option not in taken]
    assert not forgotten, f"{place} forgets {forgotten}: add it there, or say in LEFT_OUT why not"
    given = {name: values.get(name, name) for name in options} | {name: name for name in files_of_job}
    with pytest.raises(Answered) as caught:
        function(**given)
    own = {"rules", "tps", "concurrency", "processes", "resume", "errors", "columns", "ignore_columns"}
    compare(place, wanted, caught.value.args[0].keys() - own)

    commands = typer.main.get_command(module.app if module_name == "app" else module.bulk).commands
    parameters = {one.name: one for one in commands[command].params}
    for argument in wanted - LEFT_OUT[place].keys():
        option = failures._OPTIONS.get(argument)
        assert option is not None, f"personalize_rt/cli/failures.py, _OPTIONS forgets {argument}"
        if argument == "input_list":
            continue
        assert option in parameters[spelled.get(argument, argument)].opts
        personal = members_of(kind)[argument].personal is not None
        assert (option in failures._PERSONAL) == personal, f"personalize_rt/cli/failures.py, _PERSONAL: {option}"


# Cassettes, messages, fallbacks, the embedded service.


@pytest.mark.parametrize("kind", LISTS)
def test_a_cassette_hides_what_is_personal_and_keeps_the_rest(kind: Any) -> None:
    for member in members_of(kind).values():
        if member.name is None or member.form == "promotions":
            continue
        (written,) = Placeholders().request({member.name: "tt-17"}).values()
        kept = written == "tt-17"
        assert kept == (member.personal is None), f"personalize_rt/testing/placeholders.py: {member.name}"
        assert kept or written == f"{{{member.personal}-1}}"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_what_is_personal_is_hidden_from_messages(operation: Any) -> None:
    for member in names(operation.arguments):
        value = [{"name": "tt-17"}] if member == "promotions" else {"NAME": "tt-17"}
        request = Request(operation, {member: value})
        assert ("tt-17" in request.personal_values()) == (member in PERSONAL), member


def test_the_fallbacks_have_decided_about_every_member() -> None:
    known = {member for kind in CALLS for member in names(kind)}
    compare("personalize_rt/resilience/fallback.py, _MEMBERS", known, fallback._MEMBERS)


def test_a_fallback_refuses_a_request_with_a_member_that_it_does_not_know() -> None:
    from personalize_rt import (
        InputOrderFallback,
        PopularActionsFallback,
        PopularItemsFallback,
        PopularityScorer,
        RerankFallback,
    )

    members = {"campaignArn": "c", "userId": "u", "inputList": ["a", "b"]}
    recommend, rank, offer = (
        OPERATIONS[name] for name in ("GetRecommendations", "GetPersonalizedRanking", "GetActionRecommendations")
    )
    for one in (InputOrderFallback(), PopularItemsFallback(["a"]), RerankFallback(PopularityScorer())):
        assert one.ranking(Request(rank, members)) is not None
        assert one.ranking(Request(rank, members | {"novel": 1})) is None
    popular = PopularItemsFallback(["a"])
    assert popular.recommendations(Request(recommend, {"campaignArn": "c"})) is not None
    assert popular.recommendations(Request(recommend, {"campaignArn": "c", "novel": 1})) is None
    actions = PopularActionsFallback(["a"])
    assert actions.actions(Request(offer, {"campaignArn": "c", "userId": "u"})) is not None
    assert actions.actions(Request(offer, {"campaignArn": "c", "userId": "u", "novel": 1})) is None


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def pairs(local: LocalPersonalize) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """For each member, requests that are answered differently for it alone; a refusal is an answer too."""
    you, similar = local.campaign_arn("movies-for-you"), local.campaign_arn("similar-movies")
    ranking, offers = local.campaign_arn("movies-ranking"), local.campaign_arn("offers")
    genre = local.filters["unseen-by-genre"]
    comedy, drama = ({"filterArn": genre, "filterValues": {"GENRE": f'"{name}"'}} for name in ("Comedy", "Drama"))
    films = local.runtime().get_recommendations(campaign_arn=you, user_id="13974", num_results=20).item_ids
    promoted = {"name": "sale", "percentPromotedItems": 50, **comedy}
    for_you: dict[str, Any] = {"campaignArn": you, "userId": "13974"}
    yield "get_recommendations", for_you, {"campaignArn": local.campaign_arn("popular-movies"), "userId": "13974"}
    yield "get_recommendations", for_you, for_you | {"userId": "16036"}
    yield "get_recommendations", for_you, for_you | {"numResults": 3}
    yield "get_recommendations", for_you, for_you | {"context": {"UNHEARD_OF": "x"}}
    yield "get_recommendations", for_you, for_you | comedy
    yield "get_recommendations", for_you | comedy, for_you | drama
    yield "get_recommendations", for_you, for_you | {"promotions": [promoted]}
    yield "get_recommendations", for_you, for_you | {"metadataColumns": {"ITEMS": ["TITLE"]}}
    yield (
        "get_recommendations",
        {"campaignArn": similar, "itemId": films[0]},
        {"campaignArn": similar, "itemId": films[1]},
    )
    top = {"recommenderArn": local.recommender_arn("top-picks"), "userId": "13974"}
    yield "get_recommendations", top, top | {"recommenderArn": f"{top['recommenderArn']}x"}
    rank: dict[str, Any] = {"campaignArn": ranking, "userId": "13974", "inputList": films}
    yield "get_personalized_ranking", rank, rank | {"campaignArn": you}
    yield "get_personalized_ranking", rank, rank | {"userId": "16036"}
    yield "get_personalized_ranking", rank, rank | {"inputList": films[:5]}
    yield "get_personalized_ranking", rank, rank | {"context": {"UNHEARD_OF": "x"}}
    yield "get_personalized_ranking", rank, rank | comedy
    yield "get_personalized_ranking", rank | comedy, rank | drama
    yield "get_personalized_ranking", rank, rank | {"metadataColumns": {"ITEMS": ["TITLE"]}}
    act: dict[str, Any] = {"campaignArn": offers, "userId": "13974"}
    yield "get_action_recommendations", act, act | {"campaignArn": you}
    yield "get_action_recommendations", act, act | {"userId": "9571"}
    yield "get_action_recommendations", act, act | {"numResults": 1}
    of_type = {"filterArn": local.add_filter("of-type", "INCLUDE ActionID WHERE Actions.TYPE IN ($TYPE)")}
    subscriptions, nothing = ({**of_type, "filterValues": {"TYPE": f'"{name}"'}} for name in ("Subscription", "None"))
    yield "get_action_recommendations", act, act | subscriptions
    yield "get_action_recommendations", act | subscriptions, act | nothing


def test_the_embedded_service_honours_every_member_or_refuses_it(local: LocalPersonalize) -> None:
    operations_of = {operation.method: operation for operation in OPERATIONS.values()}

    def answer(method: str, members: dict[str, Any]) -> Any:
        request = HttpRequest("POST", operations_of[method].path, {}, json.dumps(members).encode())
        reply = json.loads(local.handle(request).body)
        return {name: value for name, value in reply.items() if name != "recommendationId"}

    makes_a_difference: set[tuple[str, str]] = set()
    for method, one, other in pairs(local):
        members = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
        assert answer(method, one) == answer(method, one)
        assert answer(method, one) != answer(method, other), f"personalize_rt/local/engine.py ignores {members}"
        makes_a_difference |= {(method, member) for member in members}
    for method, operation in operations_of.items():
        place = f"personalize_rt/local/engine.py, as far as pairs() in tests/test_arguments.py shows {method}()"
        compare(
            place, names(operation.arguments), (member for made_by, member in makes_a_difference if made_by == method)
        )


def test_the_embedded_service_refuses_a_member_that_it_would_ignore(
    local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(engine.RefusedError, match="novel: the embedded service does not have it"):
        local._engine.answer(
            OPERATIONS["GetRecommendations"],
            {"campaignArn": local.campaign_arn("movies-for-you"), "userId": "13974", "novel": 1},
        )


# The pages.


def test_the_page_on_bulk_jobs_names_the_members_and_columns_of_rows() -> None:
    page = (DOCS / "how-to" / "bulk.md").read_text("utf-8")
    for title, spell in (("members of a row", str), ("columns", layout.column_of)):
        (line,) = re.findall(rf"^\| {title} .*$", page, re.M)
        cells = line.split("|")[2:4]
        for kind, cell in zip(rows.REQUESTS, cells, strict=True):
            members = rows.MEMBERS[kind].keys()
            if title == "columns":
                members &= set(layout.COLUMNS.values())
            compare(f"docs/how-to/bulk.md, {title}", map(spell, members), re.findall(r"`(\w+)`", cell))


def test_the_reference_names_the_members_of_each_operation() -> None:
    place = "docs/reference/service.md section 3.1"
    page = (DOCS.parent / place.split()[0]).read_text("utf-8")
    (required,) = re.findall(r"^\| required \|.*$", page, re.M)
    (others,) = re.findall(r"^\| other members \|.*$", page, re.M)
    for cells, operation in zip(
        zip(required.split("|")[2:5], others.split("|")[2:5], strict=True), OPERATIONS.values(), strict=True
    ):
        compare(
            place,
            names(operation.arguments),
            re.findall(r"`(\w+)`", " ".join(cells)),
        )
