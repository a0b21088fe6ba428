"""Which way a call takes: direct unless somebody could tell the difference."""

from __future__ import annotations

import functools
import logging
import pkgutil
import socket
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import boto3
import botocore.awsrequest
import botocore.client
import botocore.endpoint
import botocore.hooks
import botocore.parsers
import botocore.session
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from personalize_rt import ConfigurationError, PersonalizeRuntime
from personalize_rt.transport import watching

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"

# What somebody patches, and the way that this leads to. The ones of classes are patched as attributes.
CALLS = [
    "botocore.client.BaseClient._make_api_call",
    "botocore.client.BaseClient._make_request",
    "botocore.endpoint.Endpoint.make_request",
    "botocore.endpoint.Endpoint.create_request",
    "botocore.endpoint.Endpoint.prepare_request",
    "botocore.endpoint.Endpoint._send_request",
    "botocore.hooks.HierarchicalEmitter._emit",
    "botocore.signers.RequestSigner.sign",
    "botocore.auth.SigV4Auth.add_auth",
    "botocore.awsrequest.AWSRequest.__init__",
]
NETWORK = [
    "botocore.endpoint.Endpoint._send",
    "botocore.parsers.ResponseParser.parse",
    "botocore.httpsession.URLLib3Session.send",
    "botocore.awsrequest.AWSHTTPConnectionPool.ConnectionCls",
    "botocore.awsrequest.AWSHTTPSConnectionPool.ConnectionCls",
    "botocore.awsrequest.AWSConnection.send",
    "urllib3.connectionpool.HTTPConnectionPool.urlopen",
    "urllib3.connection.HTTPConnection.connect",
    "http.client.HTTPConnection.putrequest",
    "http.client.HTTPConnection.putheader",
    "http.client.HTTPConnection.getresponse",
    "http.client.HTTPResponse.read",
    "urllib3.response.HTTPResponse.stream",
    "urllib3.poolmanager.PoolManager.connection_from_url",
    "urllib3.util.connection.create_connection",
    "urllib3.util.connection.allowed_gai_family",
    "socket.socket.makefile",
    "socket.socket",
    "socket.create_connection",
    "socket.getaddrinfo",
    "ssl.SSLContext",
    "ssl.SSLContext.wrap_socket",
]
# Names that a class inherits, which a patch adds to it.
INHERITED = [
    (socket.socket, "connect"),
    (socket.socket, "sendall"),
    (botocore.awsrequest.AWSHTTPConnectionPool, "urlopen"),
    (botocore.awsrequest.AWSHTTPSConnectionPool, "_get_conn"),
    (botocore.awsrequest.AWSHTTPConnection, "connect"),
    (botocore.awsrequest.AWSHTTPSConnection, "request"),
    (botocore.parsers.RestJSONParser, "parse"),
]

pytestmark = pytest.mark.direct


def wrapped(function: Any) -> Any:
    """A wrapper with the name and module of what it wraps."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def proxied(function: Any) -> Any:
    """A wrapper of wrapt, which equals what it wraps and passes for an instance of its class."""
    wrapt = pytest.importorskip("wrapt")
    return wrapt.FunctionWrapper(function, lambda call, _, args, kwargs: call(*args, **kwargs))


def mocked(function: Any) -> Any:
    return mock.MagicMock(name="a stand-in")


@pytest.fixture
def built(session: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    made: list[PersonalizeRuntime] = []

    def make(**options: Any) -> PersonalizeRuntime:
        made.append(PersonalizeRuntime(**{"session": session, "endpoint_url": "http://127.0.0.1:9", **options}))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


def way(runtime: PersonalizeRuntime) -> str:
    return runtime._transport.way()[0]


def test_nobody_watches_a_client_of_ours(built: Any) -> None:
    assert built()._transport.way() == ("direct", "nobody watches")


@pytest.mark.parametrize("replace", [wrapped, proxied, mocked])
@pytest.mark.parametrize("target", [*CALLS, *NETWORK])
def test_whoever_patches_a_part_of_the_call_is_noticed_before_and_after_the_client(
    target: str, replace: Any, built: Any
) -> None:
    owner, _, name = target.rpartition(".")
    expected = "through" if target in CALLS else "plain"
    before = built()
    before._transport.client()
    found = pkgutil.resolve_name(owner)
    with mock.patch.object(found, name, replace(vars(found)[name])):
        assert way(before) == expected
        # With a mock, or another TLS context, boto3 can build no client either.
        if replace is not mocked and target != "ssl.SSLContext":
            assert way(built()) == expected
    assert way(before) == "direct"


@pytest.mark.parametrize(("owner", "name"), INHERITED)
def test_a_patch_of_something_inherited_is_noticed(owner: Any, name: str, built: Any) -> None:
    before = built()
    assert way(before) == "direct"
    with mock.patch.object(owner, name, wrapped(getattr(owner, name))):
        assert (way(before), way(built())) == ("plain", "plain")
    assert way(before) == "direct"


def test_if_both_apply_plain_wins(built: Any) -> None:
    runtime = built()
    with mock.patch("botocore.client.BaseClient._make_api_call"):
        assert way(runtime) == "through"
        with mock.patch("botocore.endpoint.Endpoint._send"):
            assert way(runtime) == "plain"
        assert way(runtime) == "through"


EVENTS = [
    "provide-client-params.personalize-runtime",
    "before-parameter-build.personalize-runtime.GetRecommendations",
    "before-call.*.*",
    "request-created.personalize-runtime",
    "choose-signer.personalize-runtime",
    "before-sign.personalize-runtime",
    "before-send.personalize-runtime",
    "before-parse.personalize-runtime",
    "response-received.personalize-runtime",
    "needs-retry.personalize-runtime",
    "after-call.personalize-runtime",
    "after-call-error.personalize-runtime.GetActionRecommendations",
]


@pytest.mark.parametrize("event", EVENTS)
def test_a_handler_of_any_event_is_noticed_when_it_comes_and_when_it_goes(event: str, built: Any) -> None:
    def handler(**_: Any) -> None:
        pass

    runtime = built()
    events = runtime._transport.client().meta.events
    assert way(runtime) == "direct"
    events.register(event, handler)
    assert way(runtime) == "through"
    events.unregister(event, handler)
    assert way(runtime) == "direct"


def test_a_handler_of_the_session_is_noticed() -> None:
    session = botocore.session.Session()
    session.register("after-call.personalize-runtime", lambda **_: None)
    with PersonalizeRuntime(session=session, region_name="eu-west-1") as runtime:
        assert way(runtime) == "through"


def test_a_handler_of_botocore_that_it_does_not_register_itself_counts(built: Any) -> None:
    """``disable_signing`` is botocore's, and changes what is sent all the same."""
    from botocore.handlers import disable_signing

    runtime = built()
    runtime._transport.client().meta.events.register("choose-signer.personalize-runtime.*", disable_signing)
    assert way(runtime) == "through"


def test_a_handler_of_another_service_does_not_count(built: Any) -> None:
    runtime = built()
    runtime._transport.client().meta.events.register("after-call.s3", lambda **_: None)
    assert way(runtime) == "direct"


def test_a_stubbed_client_is_stubbed(built: Any) -> None:
    runtime = built()
    with Stubber(runtime._transport.client()) as stub:
        stub.add_response("get_recommendations", {"itemList": [{"itemId": "stub"}]}, {"campaignArn": ARN})
        assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("stub",)
    assert way(runtime) == "direct"


@pytest.mark.parametrize("name", ["botocore", "botocore.parsers", "botocore.hooks"])
def test_debug_logging_is_noticed_when_it_begins_and_when_it_ends(name: str, built: Any) -> None:
    runtime, logger = built(), logging.getLogger(name)
    assert way(runtime) == "direct"
    level = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        assert runtime._transport.way() == ("through", "botocore's debug log is on")
    finally:
        logger.setLevel(level)
    assert way(runtime) == "direct"


def test_debug_logging_is_noticed_by_each_of_several_clients(built: Any) -> None:
    runtimes = [built(), built()]
    assert {way(runtime) for runtime in runtimes} == {"direct"}
    logger = logging.getLogger("botocore")
    level = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        assert [way(runtime) for runtime in runtimes] == ["through", "through"]
    finally:
        logger.setLevel(level)
    assert [way(runtime) for runtime in runtimes] == ["direct", "direct"]


@pytest.mark.parametrize("name", ["urllib3", "urllib3.connectionpool", ""])
def test_urllib3_logs_what_it_does_of_boto3(name: str, built: Any) -> None:
    runtime, logger = built(), logging.getLogger(name)
    assert way(runtime) == "direct"
    level = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        assert runtime._transport.way() == ("plain", "urllib3's debug log is on")
    finally:
        logger.setLevel(level)
    assert way(runtime) == "direct"


def test_http_client_prints_what_it_prints_of_boto3(built: Any, monkeypatch: Any) -> None:
    runtime = built()
    assert way(runtime) == "direct"
    with monkeypatch.context() as patch:
        patch.setattr("http.client.HTTPConnection.debuglevel", 1)
        assert runtime._transport.way() == ("plain", "http.client prints what is sent")
    assert way(runtime) == "direct"


def test_the_history_recorder_is_noticed(built: Any) -> None:
    from botocore.history import get_global_history_recorder

    runtime = built()
    get_global_history_recorder().enable()
    try:
        assert way(runtime) == "through"
    finally:
        get_global_history_recorder().disable()
    assert way(runtime) == "direct"


def test_a_client_that_is_changed_itself_is_noticed(built: Any) -> None:
    for change in (
        lambda client: setattr(client, "_make_api_call", lambda *_: {}),
        lambda client: setattr(client, "get_recommendations", lambda **_: {"itemList": []}),
        lambda client: setattr(client._endpoint, "http_session", mock.Mock()),
        lambda client: setattr(client, "_endpoint", mock.Mock()),
        lambda client: setattr(type(client), "get_recommendations", lambda *_, **__: {"itemList": []}),
    ):
        runtime = built()
        assert way(runtime) == "direct"
        change(runtime._transport.client())
        assert way(runtime) == "plain"


DOUBLE = {"itemList": [{"itemId": "double"}], "ResponseMetadata": {}}


def send_double(client: Any) -> None:
    raw = mock.Mock()
    raw.stream.side_effect = lambda *_, **__: iter([b'{"itemList": [{"itemId": "double"}]}'])
    client._endpoint.http_session.send = lambda _: botocore.awsrequest.AWSResponse("", 200, {}, raw)


CHANGES: dict[str, Callable[[Any], None]] = {
    "a method": lambda client: setattr(client, "get_recommendations", lambda **_: DOUBLE),
    "the call": lambda client: setattr(client, "_make_api_call", lambda *_: DOUBLE),
    "the request": lambda client: setattr(client, "_make_request", lambda *_: (mock.Mock(status_code=200), DOUBLE)),
    "the class": lambda client: setattr(type(client), "_make_api_call", lambda *_: DOUBLE),
    "the endpoint": lambda client: setattr(
        client._endpoint, "make_request", lambda *_: (mock.Mock(status_code=200), DOUBLE)
    ),
    "the session": send_double,
    "the events": lambda client: setattr(
        client.meta.events, "emit_until_response", lambda *_, **__: (None, (mock.Mock(status_code=200), DOUBLE))
    ),
}
AT_ANY_TIME = ["a method", "the call", "the class", "the endpoint", "the session"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_whose_clients_are_changed_is_asked_as_boto3_asks_it(change: str, built: Any) -> None:
    class Changing(boto3.Session):
        def client(self, *args: Any, **kwargs: Any) -> Any:
            client = super().client(*args, **kwargs)
            CHANGES[change](client)
            return client

    runtime = built(session=Changing("testing", "testing", region_name="eu-west-1"))
    assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("double",)
    assert way(runtime) == "plain"


@pytest.mark.parametrize("change", AT_ANY_TIME)
def test_a_client_that_its_session_kept_and_changed_is_asked_as_boto3_asks_it(change: str, built: Any) -> None:
    runtime = built()
    assert way(runtime) == "direct"
    CHANGES[change](runtime._transport.client())
    assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("double",)


@pytest.mark.parametrize("target", ["botocore.httpsession.PoolManager", "botocore.awsrequest.AWSHTTPConnectionPool"])
def test_other_connections_of_a_client_are_noticed(target: str, built: Any) -> None:
    found: Any = pkgutil.resolve_name(target)
    with mock.patch(target, type("Other", (found,), {})):
        runtime = built()
        assert way(runtime) == "plain"
    assert way(runtime) == "plain"


@pytest.mark.parametrize("name", ["get_recommendations", "get_action_recommendations"])
def test_what_botocore_no_longer_has_leads_to_botocore(name: str, built: Any) -> None:
    runtime = built()
    assert way(runtime) == "direct"
    delattr(type(runtime._transport.client()), name)
    assert runtime._transport.way()[0] == "plain"
    assert "botocore is not as it is known here" in runtime._transport.way()[1]


@pytest.mark.parametrize("name", ["_endpoint", "_serializer", "_get_credentials", "meta"])
def test_a_client_without_one_of_its_parts_is_sent_plain(name: str, session: Any) -> None:
    from personalize_rt.transport.ways import Ways

    client = session.client("personalize-runtime")

    class Lacking:
        def __getattr__(self, asked: str) -> Any:
            if asked == name:
                raise AttributeError(asked)
            return getattr(client, asked)

    assert Ways(Lacking()).verdict().way is watching.Way.PLAIN


def test_a_proxy_leads_to_botocore(built: Any) -> None:
    config = Config(proxies={"http": "http://127.0.0.1:9"})
    assert built(config=config)._transport.way() == ("plain", "requests go through a proxy")


@pytest.mark.parametrize("value", ["plain", "through"])
def test_the_environment_may_exclude_the_faster_ways(value: str, built: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PERSONALIZE_RT_SEND", value)
    assert built()._transport.way() == (value, "PERSONALIZE_RT_SEND says so")


def test_another_value_of_the_environment_is_refused(built: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PERSONALIZE_RT_SEND", "direct")
    with pytest.raises(ConfigurationError, match="PERSONALIZE_RT_SEND must be plain or through"):
        built().connect()


@pytest.mark.parametrize("target", ["boto3.client", "boto3.Session", "boto3.session.Session.client"])
def test_who_patches_boto3_gives_the_client(target: str, built: Any) -> None:
    double = mock.Mock(name="the client of somebody else")
    double.get_recommendations.return_value = {"itemList": [{"itemId": "double"}]}
    with mock.patch(target) as patched:
        patched.return_value = patched.return_value.client.return_value = double
        if target == "boto3.session.Session.client":
            patched.return_value = double
        runtime = built(session=None, region_name="eu-west-1")
        assert runtime.connect()._transport.way()[0] == "plain"
        assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("double",)
    double.get_recommendations.assert_called_once_with(campaignArn=ARN)


def test_the_way_and_the_reason_are_told_once(built: Any, caplog: Any) -> None:
    runtime = built()
    with caplog.at_level(logging.DEBUG, "personalize_rt"):
        for _ in range(3):
            way(runtime)
        with mock.patch("botocore.endpoint.Endpoint._send"):
            way(runtime)
    assert [record.getMessage() for record in caplog.records] == [
        "requests are sent direct: nobody watches",
        "requests are sent plain: botocore.endpoint.Endpoint._send is not the library's own",
    ]


MOTO = """
import os
from personalize_rt import PersonalizeRuntime
runtime = PersonalizeRuntime(region_name="eu-west-1")
way = lambda runtime: runtime._transport.way()[0]
seen = [way(runtime)]
from moto import mock_aws
seen += [way(runtime)]
with mock_aws():
    inside = PersonalizeRuntime(region_name="eu-west-1")
    seen += [way(inside)]
seen += [way(inside)]
with mock_aws():
    seen += [way(inside)]
print(*seen)
"""
COOPERATIVE = """
%s
from personalize_rt import PersonalizeRuntime
with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=%r) as runtime:
    print(runtime.get_recommendations(campaign_arn=%r).item_ids[0], *runtime._transport.way())
"""


def in_a_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_moto_counts_only_while_it_answers() -> None:
    pytest.importorskip("moto")
    assert in_a_process(MOTO) == "direct direct through direct through"


@pytest.mark.parametrize(
    "patch",
    ["from gevent import monkey; monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"],
    ids=["gevent", "eventlet"],
)
def test_cooperative_sockets_are_no_stand_in(patch: str, server: Any, request: Any) -> None:
    pytest.importorskip(request.node.callspec.id)
    assert in_a_process(COOPERATIVE % (patch, server.url, ARN)) == "i1 direct nobody watches"


WRAPPED_BEFORE = """
import functools
import botocore.client
call = botocore.client.BaseClient._make_api_call
@functools.wraps(call)
def traced(*args, **kwargs):
    return call(*args, **kwargs)
botocore.client.BaseClient._make_api_call = traced
from personalize_rt import PersonalizeRuntime
print(PersonalizeRuntime(region_name="eu-west-1")._transport.way()[0])
"""


def test_who_was_there_before_our_import_is_noticed() -> None:
    assert in_a_process(WRAPPED_BEFORE) == "through"


def test_what_counts_as_botocores_own_is_what_a_fresh_client_has(built: Any) -> None:
    """Each handler of the table is there, so that a name that botocore drops is dropped from it."""
    found = set()
    client = built()._transport.client()
    for event, names in watching._HANDLERS.items():
        for handler in client.meta.events._emitter._handlers.prefix_search(
            f"{event}.personalize-runtime.GetRecommendations"
        ):
            name = getattr(handler, "__qualname__", "")
            if "moto" not in str(getattr(handler, "__module__", type(handler).__module__)):
                assert name in names, event
            found.add(name)
    known = {name for names in watching._HANDLERS.values() for name in names}
    assert known - found <= ONLY_IN_SOME


# Of other versions than the one that is installed here.
ONLY_IN_SOME = {
    "_handle_request_validation_mode_member",
    "inject_api_version_header_if_needed",
    "_set_auth_scheme_preference_signer",
    "generate_idempotent_uuid",
    "MaxAttemptsSeeder.seed_max_attempts",
}


def test_deciding_that_nobody_watches_costs_no_more_than_a_hundred_calls_of_an_empty_function(built: Any) -> None:
    """Which are about 2 µs. Python 3.12 and later call an empty function a fifth faster, and all else as fast.

    It is 75 calls on Python 3.11, and 98 on 3.12: either limit leaves a third.
    """
    runtime = built()
    assert way(runtime) == "direct"
    verdict = runtime._transport._ways._watching.verdict
    empty, asked = (
        min(timeit.repeat(work, timer=time.process_time, number=10_000, repeat=15)) for work in (lambda: None, verdict)
    )
    assert asked < (100 if sys.version_info < (3, 12) else 133) * empty
