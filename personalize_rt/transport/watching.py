"""Who is watching: which of the three ways a request may take.

Whoever traces calls, handles events, records, replays or stands in for the network must see, and decide, what they
would with plain boto3. So each call looks whether somebody does:

=======  ===========================================================================================================
direct   a client that we built, and nobody watches
through  somebody watches calls or events: botocore makes the call, with our serialiser, reader and sender
plain    somebody stands in for the network, or botocore is not as it is known here: botocore alone
=======  ===========================================================================================================

What counts as nobody is a list of botocore's own functions and event handlers, by the place in its code. Neither a
module's name says so (a wrapper of ``functools.wraps`` has the name of what it wraps), nor what was there when this
module was imported (``opentelemetry-instrument`` wraps before).
"""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable, Mapping
from operator import is_, itemgetter
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.clients import SERVICE
from personalize_rt.transport.untyped import untyped

__all__ = ["Verdict", "Watching", "Way"]


class Way(enum.Enum):
    """A way to send a request."""

    DIRECT = "direct"
    THROUGH = "through"
    PLAIN = "plain"


class Verdict(NamedTuple):
    """The way of a call, and the reason in a few words."""

    way: Way
    reason: str


NOBODY = Verdict(Way.DIRECT, "nobody watches")


class _Place(NamedTuple):
    """Names of a module, or of a class in it, that a tool may patch."""

    module: str
    owner: str | None
    names: tuple[str, ...]


# What a call of botocore goes through: who patches one of these sees the call, or answers it.
_CALLS = (
    _Place("botocore.client", "BaseClient", ("_make_api_call", "_make_request", "_emit_api_params")),
    _Place("botocore.endpoint", "Endpoint", ("make_request", "create_request", "_send_request", "_get_response")),
)
# What stands between botocore and the wire: who patches one of these stands in for the network.
_NETWORK = (
    _Place("botocore.endpoint", "Endpoint", ("_send",)),
    _Place("botocore.httpsession", "URLLib3Session", ("send",)),
    _Place("botocore.awsrequest", "AWSHTTPConnectionPool", ("ConnectionCls",)),
    _Place("botocore.awsrequest", "AWSHTTPSConnectionPool", ("ConnectionCls",)),
    _Place("botocore.awsrequest", "AWSConnection", ("request", "send")),
    _Place("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen", "_make_request", "_get_conn", "_new_conn")),
    _Place("urllib3.connection", "HTTPConnection", ("_new_conn", "connect", "request", "getresponse")),
    _Place("urllib3.connection", "HTTPSConnection", ("connect",)),
    _Place("http.client", "HTTPConnection", ("connect", "request", "putrequest", "endheaders", "send", "getresponse")),
    _Place("socket", None, ("socket", "create_connection", "getaddrinfo")),
    _Place("ssl", None, ("SSLContext",)),
)
# Libraries that replace sockets by others that work: no stand-in for the network.
_COOPERATIVE = {
    "socket": ("gevent.socket", "eventlet.green.socket"),
    "ssl": ("gevent.ssl", "eventlet.green.ssl"),
}
# A call is logged by these, each of which may have a level of its own.
_LOGGERS = ("", ".auth", ".client", ".endpoint", ".hooks", ".httpsession", ".parsers")

# botocore's own handlers of a client that we build, by event; from 1.40.0 to 1.44.
_HANDLERS: Mapping[str, frozenset[str]] = {
    "before-parameter-build": frozenset({"generate_idempotent_uuid", "_handle_request_validation_mode_member"}),
    "before-call": frozenset({"add_recursion_detection_header", "inject_api_version_header_if_needed"}),
    "request-created": frozenset(
        {
            "RequestSigner.handler",
            "MaxAttemptsSeeder.seed_max_attempts",
            "UserAgentString.rebuild_and_replace_user_agent_handler",
            "add_retry_headers",
        }
    ),
    "choose-signer": frozenset({"set_operation_specific_signer", "_set_auth_scheme_preference_signer"}),
    "needs-retry": frozenset({"RetryHandler.needs_retry"}),
    "after-call": frozenset({"RetryQuotaChecker.release_retry_quota"}),
    **dict.fromkeys(
        (
            "provide-client-params",
            "before-endpoint-resolution",
            "before-sign",
            "before-send",
            "before-parse",
            "response-received",
            "after-call-error",
        ),
        frozenset(),
    ),
}


class Watching:
    """Says for each call which way it may take. May be used by many threads at once.

    Args:
        client: A client that we built, and nobody changed.
        forced: The way that the environment asks for, or ``None``.

    Raises:
        AttributeError, KeyError: botocore is not as it is known here.
    """

    def __init__(self, client: Any, forced: Way | None = None) -> None:
        self._forced = forced
        self._endpoint: Any = client._endpoint
        self._session: Any = client._endpoint.http_session
        self._emitter: Any = client.meta.events._emitter
        self._history: Any = untyped("botocore.history").get_global_history_recorder()
        self._logs = [logging.getLogger(f"botocore{name}").isEnabledFor for name in _LOGGERS]
        # Twice the first name: an itemgetter of one name would give no tuple.
        # moto stands on every client that is built once it is imported, and answers only within mock_aws().
        self._moto: Any = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
        self._places: list[tuple[Mapping[str, Any], Callable[[Any], tuple[Any, ...]]]] = [
            (_names_of(place), itemgetter(place.names[0], *place.names)) for place in (*_CALLS, *_NETWORK)
        ]
        self._never_direct: str | None = None
        self._last: tuple[list[Any], Verdict] | None = None
        self._proxied = bool(self._session._proxy_config.proxy_url_for(client.meta.endpoint_url))
        self.verdict()

    def verdict(self) -> Verdict:
        """The way of a call that is made now, and why."""
        seen = self._seen()
        last = self._last
        # By identity: a wrapper of wrapt is equal to what it wraps.
        if last is not None and all(map(is_, last[0], seen)):
            return last[1]
        verdict = self._judged()
        self._last = seen, verdict
        return verdict

    def without_direct(self, reason: str) -> None:
        """From now on nothing is sent directly."""
        self._never_direct, self._last = reason, None

    def _seen(self) -> list[Any]:
        """What a patch, a handler or a log level would change; held, so that no other object takes its place."""
        # botocore drops the look-up cache of its events whenever a handler comes or goes.
        seen: list[Any] = [self._emitter._lookup_cache, self._endpoint.http_session, self._history._enabled]
        for names, get in self._places:
            seen += get(names)
        for enabled in self._logs:
            seen.append(enabled(logging.DEBUG))
        if self._moto is not None:
            seen.append(self._moto.enabled)
        return seen

    def _judged(self) -> Verdict:
        if self._forced is Way.PLAIN:
            return Verdict(Way.PLAIN, "PERSONALIZE_RT_SEND says so")
        if self._proxied:
            return Verdict(Way.PLAIN, "requests go through a proxy")
        if self._endpoint.http_session is not self._session:
            return Verdict(Way.PLAIN, "the client sends through another session")
        for place in _NETWORK:
            if (name := _foreign(place)) is not None:
                return Verdict(Way.PLAIN, f"{name} is not the library's own")
        if self._forced is Way.THROUGH:
            return Verdict(Way.THROUGH, "PERSONALIZE_RT_SEND says so")
        if self._never_direct is not None:
            return Verdict(Way.THROUGH, self._never_direct)
        for place in _CALLS:
            if (name := _foreign(place)) is not None:
                return Verdict(Way.THROUGH, f"{name} is not botocore's own")
        for event, own in _HANDLERS.items():
            if not self._only(event, own):
                return Verdict(Way.THROUGH, f"there is a handler of the event {event}")
        if any(enabled(logging.DEBUG) for enabled in self._logs):
            return Verdict(Way.THROUGH, "botocore's debug log is on")
        if self._history._enabled:
            return Verdict(Way.THROUGH, "botocore's history recorder is on")
        return NOBODY

    def _only(self, event: str, own: frozenset[str]) -> bool:
        search: Callable[[str], Any] = self._emitter._handlers.prefix_search
        names = [f"{event}.{SERVICE}.{operation}" for operation in OPERATIONS]
        handlers = [handler for name in names for handler in search(name)]
        return all(_is_own(handler, own) or handler is self._moto and not handler.enabled for handler in handlers)


def _names_of(place: _Place) -> Mapping[str, Any]:
    module = untyped(place.module)
    names: Mapping[str, Any] = vars(module if place.owner is None else getattr(module, place.owner))
    return names


def _foreign(place: _Place) -> str | None:
    """The first name of a place that somebody replaced, or ``None``."""
    names = _names_of(place)
    for name in place.names:
        thing = names[name]
        if any(
            thing is vars(sys.modules[it]).get(name) for it in _COOPERATIVE.get(place.module, ()) if it in sys.modules
        ):
            continue
        qualified = f"{place.owner}.{name}" if place.owner else name
        if issubclass(type(thing), type):
            own = thing.__module__ == place.module and _is_own_class(thing)
        else:
            own = _is_own(thing, frozenset({qualified}), place.module)
        if not own:
            return f"{place.module}.{qualified}"
    return None


def _is_own_class(kind: type) -> bool:
    """Whether a class and those that it is made of are as their modules define them."""
    if type(kind) is not type:
        return False
    files = {_file_of(each.__module__) for each in kind.__mro__}
    functions = [part for each in kind.__mro__ for part in vars(each).values() if isinstance(part, FunctionType)]
    return all(function.__code__.co_filename in files for function in functions)


def _is_own(thing: Any, names: frozenset[str], module: str | None = None) -> bool:
    """Whether something is one of botocore's functions, by the place of its code.

    Args:
        thing: A function, or a method of an object.
        names: The qualified names that it may have in its file.
        module: The module of that file; ``None`` for any of botocore.
    """
    # By type(): a wrapper of wrapt passes for an instance of what it wraps.
    if type(thing) is MethodType:
        thing = thing.__func__
    if type(thing) is not FunctionType:
        return False
    code = thing.__code__
    if code.co_qualname == _WITH_CONTEXT and code.co_filename == _file_of("botocore.context"):
        # botocore's own decorator, with what it wraps in its one cell of a function.
        wrapped = getattr(thing, "__wrapped__", None)
        closure = thing.__closure__ or ()
        return any(cell.cell_contents is wrapped for cell in closure) and _is_own(wrapped, names, module)
    if code.co_qualname not in names:
        return False
    if module is not None:
        return code.co_filename == _file_of(module)
    return code.co_filename in {_file_of(each) for each in sys.modules if each.partition(".")[0] == "botocore"}


_WITH_CONTEXT = "with_current_context.<locals>.decorator.<locals>.wrapper"


def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""
