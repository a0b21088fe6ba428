"""What ``test_gunicorn.py`` serves: everything is built when this is imported, by gunicorn's first process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3

from personalize_rt import Cache, CircuitBreaker, Hedge, PersonalizeRuntime
from personalize_rt.resilience.cache import Entry

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
ENDPOINT = os.environ["ENDPOINT"]


class Slow(dict[str, Entry]):
    """A mapping that takes a moment, in which gevent lets others run."""

    def get(self, key: str, default: Any = None) -> Any:
        time.sleep(0.01)
        return super().get(key, default)


def build() -> PersonalizeRuntime:
    return PersonalizeRuntime(
        region_name="eu-west-1",
        endpoint_url=ENDPOINT,
        deadline=20,
        cache=Cache(store=Slow()),
        breaker=CircuitBreaker(),
        hedge=Hedge(after=10, percent=100),
    )


used, unused = build(), build()
theirs = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=ENDPOINT)
used.get_recommendations(campaign_arn=ARN)  # its locks, timers and connections are there


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    who, number = environ["PATH_INFO"].strip("/"), int(environ["QUERY_STRING"])
    if who == "boto3":
        theirs.get_recommendations(campaignArn=ARN, numResults=number)
        source = "service"
    else:
        runtime = {"used": used, "unused": unused}[who]
        source = runtime.get_recommendations(campaign_arn=ARN, num_results=number).info.source
    start_response("200 OK", [("Content-Type", "text/plain")])
    patched = "gevent.monkey" in sys.modules
    return [f"{source} {'gevent' if patched else 'threads'} {os.getpid()}".encode()]
