"""The requests of the events API, compared with botocore's model: what it allows is taken, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.local.apis import EVENTS
from personalize_rt.local.events.model import OPERATIONS

MODEL = botocore.session.get_session().get_service_model("personalize-events")
ARN = "arn:aws:personalize:eu-west-1:000000000000:dataset/local/ITEMS"
# Values of shapes where not every text will do.
SAMPLES: Mapping[str, Any] = {"Arn": ARN}


def sample(shape: Any) -> Any:
    """A value that the model allows, with every member."""
    match shape.type_name:
        case "structure":
            return {name: sample(member) for name, member in shape.members.items()}
        case "list":
            return [sample(shape.member)]
        case "timestamp":
            return 1_700_000_000
        case "float":
            return 1.5
        case _:
            return SAMPLES.get(shape.name, "x")


def accepted(operation: str, request: Any) -> bool:
    try:
        OPERATIONS[operation].check(request)
    except ValidationError:
        return False
    return True


def variants(shape: Any, value: Any) -> Iterator[tuple[str, Any, bool]]:
    """Changes of a value, with whether the model allows them: every one in one place."""
    match shape.type_name:
        case "structure":
            yield "unknown member", {**value, "somethingElse": "x"}, False
            yield "no object", [], False
            for name, member in shape.members.items():
                rest = {other: given for other, given in value.items() if other != name}
                yield f"without {name}", rest, name not in shape.required_members
                yield f"{name} null", {**value, name: None}, name not in shape.required_members
                for what, changed, fine in variants(member, value[name]):
                    yield f"{name}: {what}", {**value, name: changed}, fine
        case "list":
            most = shape.metadata["max"]
            yield "empty", [], shape.metadata["min"] == 0
            yield "full", value * most, True
            yield "too long", value * (most + 1), False
            yield "no list", "x", False
            for what, changed, fine in variants(shape.member, value[0]):
                yield f"[0] {what}", [changed], fine
                yield f"[1] {what}", [value[0], changed], fine
        case "timestamp":
            yield "text", "1700000000", True
            yield "text with a fraction", "1700000000.25", True
            yield "fraction", 1700000000.25, True
            yield "other text", "2023-11-14", False
            yield "boolean", True, False
            yield "milliseconds", 1_700_000_000_000, False
            yield "milliseconds as text", "1700000000000", False
            yield "an integer that no float holds", 10**400, False
        case "float":
            yield "text", "4", False
            yield "boolean", True, False
            yield "whole", 4, True
            yield "an integer that no float holds", 10**400, False
        case _:
            yield "number", 7, False
            yield "object", {}, False
            if "max" in shape.metadata and shape.name not in SAMPLES:
                yield "longest", "x" * shape.metadata["max"], True
                yield "too long", "x" * (shape.metadata["max"] + 1), False
            if "min" in shape.metadata:
                yield "empty", "", False
            if shape.name == "Arn":
                yield "of another service", "arn:aws:s3:::bucket", False
            if shape.name == "EventAttributionSource":
                yield "spaces only", "   ", False
                yield "not ASCII", "ä", False
                yield "with spaces", " a b ", True


def test_operations_and_their_paths_are_those_of_the_model() -> None:
    assert {*OPERATIONS} == {*MODEL.operation_names} == {*EVENTS.paths.values()}
    for path, name in EVENTS.paths.items():
        assert MODEL.operation_model(name).http == {"method": "POST", "requestUri": path}
        assert MODEL.operation_model(name).output_shape is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_request_with_every_member_of_the_model_is_taken(name: str) -> None:
    OPERATIONS[name].check(sample(MODEL.operation_model(name).input_shape))


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_rule_of_the_model_is_that_of_the_embedded_service(name: str) -> None:
    shape = MODEL.operation_model(name).input_shape
    request = sample(shape)
    wrong = [
        f"{what}: {'refused' if fine else 'taken'}"
        for what, changed, fine in variants(shape, request)
        if accepted(name, changed) != fine
    ]
    assert wrong == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_errors_are_those_of_the_model(name: str) -> None:
    errors = {shape.name for shape in MODEL.operation_model(name).error_shapes}
    assert {"InvalidInputException", OPERATIONS[name].not_found} <= errors
    if "ResourceNotFoundException" in errors:
        assert OPERATIONS[name].not_found == "ResourceNotFoundException"


@pytest.mark.parametrize("name", OPERATIONS)
def test_message_of_each_refusal_names_the_place_and_shows_no_value_and_no_word_of_python(name: str) -> None:
    shape = MODEL.operation_model(name).input_shape
    secret = "Secret-Person"
    for what, changed, fine in variants(shape, sample(shape)):
        if fine or not isinstance(changed, dict):
            continue
        hidden = _with_secrets(changed, secret)
        with pytest.raises(ValidationError) as raised:
            OPERATIONS[name].check(hidden)
        message = raised.value.message
        assert secret not in message, what
        for word in ("str", "dict", "None", "list", "bool", "int", "float"):
            assert f" {word} " not in f" {message.replace(',', ' ')} ", (what, message)


def _with_secrets(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {name: _with_secrets(part, secret) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_secrets(part, secret) for part in value]
    return secret if value == "x" else value
