"""Bodies of requests and replies, held against botocore's model of the service in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore
import botocore.session

__all__ = ["faults_of", "model_of"]

# An older model lacks members that the service has by now, which its clients leave out.
_LATEST = tuple(int(part) for part in botocore.__version__.split(".")[:2]) >= (1, 43)

_JSON = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": (int, float),
}


@cache
def model_of(service: str) -> Any:
    """Botocore's model of an API."""
    return botocore.session.Session().get_service_model(service)


def faults_of(shape: Any, value: Any, path: str = "body") -> Iterator[str]:
    """Where a value of JSON is not as its shape says: a member that it does not have, or has not, or of another type.

    Null counts as absent, as SDKs read it.
    """
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        for name in sorted(value.keys() - shape.members.keys()) if _LATEST else ():
            yield f"{path}.{name} is none of {', '.join(shape.members)}"
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"{path}.{name} is missing"
        for name in value.keys() & shape.members.keys():
            yield from faults_of(shape.members[name], value[name], f"{path}.{name}")
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{path} is no array"
            return
        for place, one in enumerate(value):
            yield from faults_of(shape.member, one, f"{path}[{place}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        for name, one in value.items():
            yield from faults_of(shape.value, one, f"{path}[{name}]")
    elif not isinstance(value, _JSON[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path} is no {kind}"
