"""The installed botocore's model of the service, compared with what this package knows of it.

A limit of ours is measured, not read: the largest value that is accepted, and the smallest. What the model allows and
we refuse, or the other way round, is a line of the failure; so is an operation, a member or an error that is new to us
or has vanished. Bounds of answers are not compared: whatever the service says is taken.

When this fails after an update of botocore, the service has changed: `arguments.py` holds the members of requests,
`operations.py` their checks, `limits.py` the bounds, `results.py` the members of answers, `transport/failures.py` the
errors.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import pytest

from personalize_rt import (
    ActionRecommendations,
    InvalidInputError,
    Limits,
    PersonalizeRuntime,
    Promotion,
    Ranking,
    Recommendations,
    ResourceNotFoundError,
    ResponseError,
    ServiceError,
    ValidationError,
)
from personalize_rt.arguments import RecommendationsArguments
from personalize_rt.operations import OPERATIONS, Operation, Request, argument_name, request_for
from personalize_rt.transport.failures import service_error

Model = Mapping[str, Any]

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
ENOUGH = 30_000  # nothing in the model is larger; what is accepted in this size has no limit

# A value of a shape, where not every value will do.
SAMPLES: Mapping[str, Any] = {"Arn": ARN, "DatasetType": "ITEMS", "NumResults": 5, "PercentPromotedItems": 20}

# Patterns of the model, with values that they allow and refuse. A pattern that is not here is drift.
PATTERNS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    r"arn:([a-z\d-]+):personalize:.*:.*:.+": (
        (ARN, "arn:aws-cn:personalize:::x"),
        ("movies", "arn:aws:s3:::bucket", "arn:aws:personalize:x:y:", f" {ARN}"),
    ),
    r"[A-Za-z\d_]+": (("DEVICE", "d_9"), ("", "my-device", "a b", "é")),
    r"[A-Za-z0-9_]+": (("GENRE", "g_9"), ("", "my-genre", "a b", "é")),
    r"^[a-zA-Z0-9][a-zA-Z0-9\-_]*": (("sale", "9-to_5"), ("", "-sale", "my sale", "é")),
}

# Where the API reference and the guide say more than the model, and why we hold to them.
DOCUMENTED: Mapping[str, Any] = {
    "GetRecommendations.numResults.max": 500,  # API reference, numResults
    "GetActionRecommendations.numResults.max": 100,  # API reference, numResults
    "GetPersonalizedRanking.inputList.max": 500,  # API reference, inputList
    "GetPersonalizedRanking.inputList.min": 1,  # an empty list has no ranking
    # API reference, metadataColumns: "ITEMS" is the only key, and takes ten columns.
    "metadataColumns.key.max": len("ITEMS"),
    "metadataColumns.key.min": len("ITEMS"),
    "metadataColumns.value.max": 10,
}

ERRORS: Mapping[str, type[ServiceError]] = {
    "InvalidInputException": InvalidInputError,
    "ResourceNotFoundException": ResourceNotFoundError,
}


def drift(model: Model) -> list[str]:
    """Every difference between a service model and this package, one line each."""
    return [
        *compare_protocol(model),
        *compare_names("operation", model["operations"], OPERATIONS),
        *(
            line
            for name, operation in OPERATIONS.items()
            if name in model["operations"]
            for line in compare_operation(model, operation)
        ),
    ]


def compare_names(what: str, theirs: Iterable[str], ours: Iterable[str]) -> Iterator[str]:
    theirs, ours = set(theirs), set(ours)
    yield from (f"{what} {name} is not covered" for name in sorted(theirs - ours))
    yield from (f"{what} {name} has vanished" for name in sorted(ours - theirs))


def compare_protocol(model: Model) -> Iterator[str]:
    """The fast path writes JSON bodies itself, and trusts that there is nothing else to a request."""
    expected = {"apiVersion": "2018-05-22", "protocol": "rest-json", "signingName": "personalize"}
    for name, value in expected.items():
        if model["metadata"].get(name) != value:
            yield f"{name} is {model['metadata'].get(name)}, and was {value}"
    for shape_name, shape in model["shapes"].items():
        for member, reference in shape.get("members", {}).items():
            traits = sorted(set(reference) & {"location", "locationName", "streaming", "jsonvalue", "idempotencyToken"})
            if traits:
                yield f"member {shape_name}.{member} is not written as it is any more: {', '.join(traits)}"


def compare_operation(model: Model, operation: Operation[Any]) -> Iterator[str]:
    theirs = model["operations"][operation.name]
    http = theirs["http"]
    if (http["method"], http["requestUri"]) != ("POST", operation.path):
        yield f"{operation.name} is sent to {http['method']} {http['requestUri']}, and was to POST {operation.path}"
    request = model["shapes"][theirs["input"]["shape"]]
    yield from compare_names(f"member {operation.name} of requests", request["members"], operation.checks)
    for member in sorted(set(request.get("required", ())) - set(operation.required)):
        yield f"member {operation.name}.{member} has become required"
    yield from compare_arguments(operation)
    for member in request["members"]:
        if member in operation.checks:
            yield from Measured(model, operation).compare(member)
    yield from compare_answer(model, operation, theirs["output"]["shape"])
    yield from compare_errors(model, operation, [reference["shape"] for reference in theirs["errors"]])


def compare_arguments(operation: Operation[Any]) -> Iterator[str]:
    arguments = inspect.signature(getattr(PersonalizeRuntime, operation.method)).parameters
    for member in operation.checks:
        if argument_name(member) not in arguments:
            yield f"member {operation.name}.{member} has no argument"


# Limits, measured.

Make = Callable[[Any], dict[str, Any]]


@attrs.frozen
class Measured:
    """The limits of one operation, as its checks show them."""

    model: Model
    operation: Operation[Any]

    def compare(self, member: str) -> Iterator[str]:
        """What differs for one member of the request, and for all that is in it."""
        shape = self.model["shapes"][self.model["operations"][self.operation.name]["input"]["shape"]]
        yield from self._walk(shape["members"][member]["shape"], member, lambda value: self._request(member, value))

    def _request(self, member: str, value: Any) -> dict[str, Any]:
        """A request with nothing wrong in it but, perhaps, one member."""
        request: dict[str, Any] = {"campaignArn": ARN, "filterArn": FILTER}
        if "inputList" in self.operation.checks:
            request |= {"inputList": ["i1", "i2"], "userId": "u"}
        if self.operation.name == "GetActionRecommendations":
            request["userId"] = "u"
        if member == "recommenderArn":
            del request["campaignArn"]
        return request | {member: value}

    def _accepts(self, request: dict[str, Any]) -> bool:
        try:
            self.operation.check(request, Limits())
        except ValidationError:
            return False
        return True

    def _walk(self, name: str, path: str, make: Make) -> Iterator[str]:
        shape = self.model["shapes"][name]
        kind = shape["type"]
        sample = self.sample_of(name)
        if not self._accepts(make(sample)):
            # A member in it is new, or its kind has changed.
            yield f"{self.operation.name}.{path}, of kind {kind}, is refused whatever it is"
            return
        if kind == "structure":
            for member, reference in shape["members"].items():
                into = _member_of(sample, member, make)
                yield from self._walk(reference["shape"], f"{path}.{member}", into)
            if self._accepts(make(sample | {"unheardOf": "x"})):
                yield f"{self.operation.name}.{path} takes members that the model does not have"
            return
        if kind == "string" and "pattern" in shape:
            yield from self._compare_pattern(shape["pattern"], path, make)
        if kind in ("double", "float"):
            yield from self._compare_reals(shape, path, sample, make)
            return
        sized = _SIZES.get(kind)
        if sized is None:
            yield f"{self.operation.name}.{path} is of a kind that this test cannot measure: {kind}"
            return
        yield from self._compare_bounds(shape, path, lambda size: make(sized(sample, size)))
        if kind == "list":
            yield from self._walk(shape["member"]["shape"], f"{path}.item", lambda value: make([value]))
        if kind == "map":
            (key, value) = next(iter(sample.items()))
            yield from self._walk(shape["key"]["shape"], f"{path}.key", lambda text: make({text: value}))
            yield from self._walk(shape["value"]["shape"], f"{path}.value", lambda inner: make({key: inner}))

    def _compare_pattern(self, pattern: str, path: str, make: Make) -> Iterator[str]:
        if pattern not in PATTERNS:
            yield f"pattern of {self.operation.name}.{path} is not covered: {pattern}"
            return
        allowed, refused = PATTERNS[pattern]
        assert all(re.fullmatch(pattern, text) for text in allowed)
        assert not any(re.fullmatch(pattern, text) for text in refused)
        for text in (*allowed, *refused):
            if self._accepts(make(text)) != (text in allowed):
                yield f"pattern of {self.operation.name}.{path} is not ours: {pattern}"

    def _compare_bounds(self, shape: Model, path: str, make: Callable[[int], dict[str, Any]]) -> Iterator[str]:
        bounds = {"max": (shape.get("max"), self._largest(make))}
        if shape["type"] == "integer":
            bounds["min"] = (shape.get("min"), self._smallest(range(-2, 101), make))
        elif "pattern" not in shape:  # else how short a text may be is the pattern's to say
            bounds["min"] = (shape.get("min", 0), self._smallest(range(101), make))
        yield from self._compare_each(bounds, path)

    def _compare_reals(self, shape: Model, path: str, sample: float, make: Make) -> Iterator[str]:
        """The bounds of a number that need not be whole, to its last bit; JSON has neither NaN nor infinity."""
        ends = {"max": self._last(sample, ENOUGH, make), "min": self._last(sample, -ENOUGH, make)}
        yield from self._compare_each({name: (shape.get(name), end) for name, end in ends.items()}, path)
        for value in (math.nan, math.inf, -math.inf):
            if self._accepts(make(value)):
                yield f"{self.operation.name}.{path} may be {value}, which JSON does not have"

    def _compare_each(self, bounds: Mapping[str, tuple[float | None, float | None]], path: str) -> Iterator[str]:
        for bound, (modelled, measured) in bounds.items():
            name = f"{path}.{bound}"
            expected = DOCUMENTED.get(f"{self.operation.name}.{name}", DOCUMENTED.get(name, modelled))
            if measured != expected:
                yield f"limit {self.operation.name}.{name} is {_bound(modelled)} in the model, ours {_bound(measured)}"

    def _largest(self, make: Callable[[int], dict[str, Any]]) -> int | None:
        if self._accepts(make(ENOUGH)):
            return None
        low = next(size for size in (1, 5, len("ITEMS"), len(ARN)) if self._accepts(make(size)))
        high = ENOUGH
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._accepts(make(middle)) else (low, middle)
        return low

    def _last(self, inside: float, outside: float, make: Make) -> float | None:
        """The last number on the way from one that is accepted to one that is not; ``None`` if that is."""
        if self._accepts(make(outside)):
            return None
        while (middle := (inside + outside) / 2) not in (inside, outside):
            inside, outside = (middle, outside) if self._accepts(make(middle)) else (inside, middle)
        return inside

    def _smallest(self, sizes: Iterable[int], make: Callable[[int], dict[str, Any]]) -> int | None:
        return next((size for size in sizes if self._accepts(make(size))), None)

    def sample_of(self, name: str) -> Any:
        if name in SAMPLES:
            return SAMPLES[name]
        shape = self.model["shapes"][name]
        if shape["type"] == "structure":
            return {member: self.sample_of(reference["shape"]) for member, reference in shape["members"].items()}
        if shape["type"] == "list":
            return [self.sample_of(shape["member"]["shape"])]
        if shape["type"] == "map":
            return {self.sample_of(shape["key"]["shape"]): self.sample_of(shape["value"]["shape"])}
        return {"string": "x", "integer": 1, "double": 0.5, "float": 0.5, "long": 1, "boolean": True}.get(shape["type"])


def _member_of(sample: dict[str, Any], member: str, make: Make) -> Make:
    return lambda value: make(sample | {member: value})


def _bound(size: float | None) -> str:
    return "none" if size is None else f"{size:,}"


def _names(size: int) -> Iterator[str]:
    return (f"k{n}" for n in range(size))


# A value of so many characters, items or entries.
_SIZES: Mapping[str, Callable[[Any, int], Any]] = {
    "string": lambda sample, size: sample[:size].ljust(size, "x"),
    "integer": lambda _, size: size,
    "list": lambda sample, size: sample * size,
    "map": lambda sample, size: dict.fromkeys([*sample, *_names(size - 1)][:size], next(iter(sample.values()))),
}


def test_a_promotion_sends_what_the_model_has(service_model: Model) -> None:
    promotion = Promotion("sale", 20, filter_arn=FILTER, filter_values={"GENRE": "Drama"})
    request = request_for(RecommendationsArguments(campaign_arn=ARN, promotions=[promotion]), Limits())
    (sent,) = request.members["promotions"]
    assert list(compare_names("member Promotion", service_model["shapes"]["Promotion"]["members"], sent)) == []


# Answers.

_ITEM = {"promotion_names": ["sale"], "metadata": [{"TITLE": "t"}], "reasons": [["Popular item"]]}
FULL: Mapping[str, Any] = {
    "GetRecommendations": Recommendations(["i"], scores=[0.5], recommendation_id="R", **_ITEM),
    "GetPersonalizedRanking": Ranking(["i"], scores=[0.5], recommendation_id="R", **_ITEM),
    "GetActionRecommendations": ActionRecommendations(["a"], scores=[0.5], recommendation_id="R"),
}


def compare_answer(model: Model, operation: Operation[Any], shape_name: str) -> Iterator[str]:
    """Each member of an answer must come through; what a full answer of ours shows must be in the model."""
    samples = Measured(model, operation)
    shape = model["shapes"][shape_name]
    written = FULL[operation.name].to_response()
    yield from compare_names(f"member {operation.name} of answers", shape["members"], written)
    (rows,) = (member for member, value in written.items() if isinstance(value, list))
    if rows not in shape["members"]:
        return
    row_shape = model["shapes"][shape["members"][rows]["shape"]]["member"]["shape"]
    row_members = model["shapes"][row_shape]["members"]
    yield from compare_names(f"member {operation.name}.{rows}", row_members, written[rows][0])
    identity = next(iter(written[rows][0]))
    for member in row_members:
        row = {identity: "x", member: samples.sample_of(row_members[member]["shape"])}
        if member in written[rows][0] and not _comes_through(operation, {rows: [row]}):
            yield f"member {operation.name}.{rows}.{member} is read differently: {row_members[member]['shape']}"


def _comes_through(operation: Operation[Any], reply: dict[str, Any]) -> bool:
    request = Request(operation, {"inputList": ["x"]})
    try:
        result = operation.read(reply, request, attrs.evolve(FULL[operation.name].info))
    except ResponseError:
        return False
    return bool(result.to_response() == reply)


# Errors.


def compare_errors(model: Model, operation: Operation[Any], names: list[str]) -> Iterator[str]:
    yield from compare_names(f"error of {operation.name}", names, ERRORS)
    for name in set(names) & set(ERRORS):
        status = model["shapes"][name].get("error", {}).get("httpStatusCode")
        kind = type(service_error(_client_error(name), Request(operation, {}), 0))
        if kind is not ERRORS[name]:
            yield f"error {name} of {operation.name} becomes {kind.__name__}"
        if status is None or not 400 <= status < 500:
            yield f"error {name} of {operation.name} has status {status}: no error of the caller any more"


def _client_error(code: str) -> Any:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": ""}}, "Any")


# The tests.


@pytest.fixture(scope="module")
def service_model() -> dict[str, Any]:
    from botocore.loaders import Loader

    model: dict[str, Any] = Loader().load_service_model("personalize-runtime", "service-2")
    return model


def test_nothing_has_changed_in_the_installed_model(service_model: Model) -> None:
    assert drift(service_model) == []


def set_in(*path: str, to: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for step in path[:-1]:
            model = model[step]
        model[path[-1]] = to

    return change


def without(*path: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for step in path[:-1]:
            model = model[step]
        del model[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (set_in("metadata", "protocol", to="smithy-rpc-v2-cbor"), "protocol is smithy-rpc-v2-cbor, and was rest-json"),
        (set_in("operations", "GetSegments", to={}), "operation GetSegments is not covered"),
        (without("operations", "GetRecommendations"), "operation GetRecommendations has vanished"),
        (
            set_in("operations", "GetRecommendations", "http", "requestUri", to="/v2"),
            "GetRecommendations is sent to POST /v2, and was to POST /recommendations",
        ),
        (
            set_in("shapes", "GetRecommendationsRequest", "members", "locale", to={"shape": "Name"}),
            "member GetRecommendations of requests locale is not covered",
        ),
        (
            without("shapes", "GetPersonalizedRankingRequest", "members", "context"),
            "member GetPersonalizedRanking of requests context has vanished",
        ),
        (
            set_in("shapes", "GetActionRecommendationsRequest", "required", to=["numResults"]),
            "member GetActionRecommendations.numResults has become required",
        ),
        (
            set_in("shapes", "GetRecommendationsRequest", "members", "userId", "location", to="header"),
            "member GetRecommendationsRequest.userId is not written as it is any more: location",
        ),
        (
            set_in("shapes", "UserID", "max", to=512),
            "limit GetRecommendations.userId.max is 512 in the model, ours 256",
        ),
        (
            without("shapes", "Context", "max"),
            "limit GetRecommendations.context.max is none in the model, ours 150",
        ),
        (set_in("shapes", "UserID", "min", to=1), "limit GetRecommendations.userId.min is 1 in the model, ours 0"),
        (
            set_in("shapes", "PercentPromotedItems", "min", to=5),
            "limit GetRecommendations.promotions.item.percentPromotedItems.min is 5 in the model, ours 1",
        ),
        (
            set_in("shapes", "FilterAttributeValue", "max", to=2000),
            "limit GetRecommendations.promotions.item.filterValues.value.max is 2,000 in the model, ours 1,000",
        ),
        (
            set_in("shapes", "AttributeName", "pattern", to="[a-z]+"),
            "pattern of GetRecommendations.context.key is not covered: [a-z]+",
        ),
        (
            set_in("shapes", "ItemID", "pattern", to=r"[A-Za-z\d_]+"),
            r"pattern of GetRecommendations.itemId is not ours: [A-Za-z\d_]+",
        ),
        (
            set_in("shapes", "Promotion", "members", "position", to={"shape": "NumResults"}),
            "GetRecommendations.promotions, of kind list, is refused whatever it is",
        ),
        (
            set_in("shapes", "UserID", to={"type": "integer"}),
            "GetActionRecommendations.userId, of kind integer, is refused whatever it is",
        ),
        (
            set_in("shapes", "PredictedItem", "members", "rank", to={"shape": "NumResults"}),
            "member GetPersonalizedRanking.personalizedRanking rank is not covered",
        ),
        (
            without("shapes", "PredictedItem", "members", "reason"),
            "member GetRecommendations.itemList reason has vanished",
        ),
        (
            set_in("shapes", "PredictedItem", "members", "reason", to={"shape": "Reason"}),
            "member GetRecommendations.itemList.reason is read differently: Reason",
        ),
        (
            set_in("shapes", "GetActionRecommendationsResponse", "members", "modelVersion", to={"shape": "Name"}),
            "member GetActionRecommendations of answers modelVersion is not covered",
        ),
        (
            set_in("operations", "GetRecommendations", "errors", to=[{"shape": "InvalidInputException"}]),
            "error of GetRecommendations ResourceNotFoundException has vanished",
        ),
        (
            set_in("shapes", "InvalidInputException", "error", to={"httpStatusCode": 500}),
            "error InvalidInputException of GetRecommendations has status 500: no error of the caller any more",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_kind_of_change_is_named(service_model: Model, change: Callable[[Any], None], finding: str) -> None:
    changed = copy.deepcopy(dict(service_model))
    change(changed)
    assert finding in drift(changed)


@pytest.mark.parametrize(
    ("bounds", "accepts", "findings"),
    [
        ({"min": 0, "max": 1}, lambda value: 0 <= value <= 1, []),
        ({}, math.isfinite, []),
        (
            {"min": 0, "max": 1},
            lambda value: 0 < value < 1,
            ["limit {}.max is 1 in the model, ours 0.9999999999999999", "limit {}.min is 0 in the model, ours 5e-324"],
        ),
        ({"min": 0}, lambda value: 0 <= value <= 1, ["limit {}.max is none in the model, ours 1.0"]),
        (
            {"min": 0, "max": 1},
            lambda value: not (value < 0 or value > 1),
            ["{} may be nan, which JSON does not have"],
        ),
    ],
    ids=["as modelled", "without bounds", "too narrow", "not in the model", "not a number"],
)
@pytest.mark.parametrize("kind", ["float", "double"])
def test_bounds_of_numbers_that_need_not_be_whole_are_measured(
    service_model: Model, kind: str, bounds: dict[str, Any], accepts: Any, findings: list[str]
) -> None:
    changed = copy.deepcopy(dict(service_model))
    changed["shapes"]["Diversity"] = {"type": kind, **bounds}
    changed["shapes"]["GetRecommendationsRequest"]["members"]["diversity"] = {"shape": "Diversity"}

    def check(value: float, _where: Any) -> None:
        if not accepts(value):
            raise ValidationError("out of bounds")

    operation = OPERATIONS["GetRecommendations"]
    taking = attrs.evolve(operation, checks={**operation.checks, "diversity": check})
    expected = [finding.format("GetRecommendations.diversity") for finding in findings]
    assert list(Measured(changed, taking).compare("diversity")) == expected


def test_an_error_that_we_do_not_know_is_named(service_model: Model) -> None:
    changed = copy.deepcopy(dict(service_model))
    changed["operations"]["GetRecommendations"]["errors"].append({"shape": "QuotaExceededException"})
    assert "error of GetRecommendations QuotaExceededException is not covered" in drift(changed)
