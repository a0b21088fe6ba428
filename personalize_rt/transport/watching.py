"""Detect who is watching, which decides the way that a request may take.

Whoever traces calls, handles events, records, replays or stands in for the network must see, and decide, what they
would with plain boto3. So each call looks for them:

=======  ===========================================================================================================
direct   a client that we built, and nobody watches
through  somebody watches calls or events: botocore makes the call, with our serialiser, reader and sender
plain    somebody stands in for the network, or botocore is not as it is known here: botocore alone
=======  ===========================================================================================================

Nobody watches when all that a call of botocore runs through is botocore's own
(:mod:`personalize_rt.transport.own`), and its events have the handlers of the table below and no others.
"""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.clients import SERVICE
from personalize_rt.transport.own import attributes_of, is_own_class, is_own_function
from personalize_rt.transport.untyped import untyped

__all__ = ["Verdict", "Watching", "Way", "unknown"]


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


def unknown(error: Exception) -> Verdict:
    """The verdict where looking fails: botocore has changed, or something stands in for it."""
    return Verdict(Way.PLAIN, f"botocore is not as it is known here ({type(error).__name__}: {error})")


class _Place:
    """Names of a module, or of a class in it, that a tool may patch."""

    def __init__(self, module: str, owner: str | None, names: tuple[str, ...]) -> None:
        self.module, self.owner, self.names = module, owner, names


# What a call of botocore goes through: who patches one of these sees the call, or answers it.
_CALLS = (
    _Place("botocore.client", "BaseClient", ("_make_api_call", "_make_request", "_emit_api_params")),
    _Place(
        "botocore.endpoint",
        "Endpoint",
        ("make_request", "create_request", "prepare_request", "_send_request", "_get_response"),
    ),
    _Place("botocore.hooks", "HierarchicalEmitter", ("_emit",)),
    _Place("botocore.awsrequest", "AWSRequest", ("__init__",)),
    _Place("botocore.signers", "RequestSigner", ("handler", "sign")),
    _Place("botocore.auth", "SigV4Auth", ("add_auth",)),
)
# What stands between botocore and the wire: who patches one of these stands in for the network, or looks at it.
_NETWORK = (
    _Place("socket", None, ("socket", "create_connection", "getaddrinfo")),
    _Place("ssl", None, ("SSLContext",)),
    _Place("ssl", "SSLContext", ("wrap_socket",)),
    _Place("socket", "socket", ("makefile",)),
    _Place(
        "http.client",
        "HTTPConnection",
        ("connect", "request", "putrequest", "putheader", "endheaders", "send", "getresponse"),
    ),
    _Place("http.client", "HTTPResponse", ("read",)),
    _Place("urllib3.util.connection", None, ("create_connection", "allowed_gai_family")),
    _Place("urllib3.connection", "HTTPConnection", ("_new_conn", "connect", "request", "getresponse")),
    _Place("urllib3.response", "HTTPResponse", ("stream",)),
    _Place("urllib3.poolmanager", "PoolManager", ("connection_from_url",)),
    _Place("urllib3.connection", "HTTPSConnection", ("connect",)),
    _Place("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen", "_make_request", "_get_conn", "_new_conn")),
    _Place("botocore.awsrequest", "AWSConnection", ("request", "send")),
    _Place("botocore.awsrequest", "AWSHTTPConnectionPool", ("ConnectionCls",)),
    _Place("botocore.awsrequest", "AWSHTTPSConnectionPool", ("ConnectionCls",)),
    _Place("botocore.httpsession", "URLLib3Session", ("send",)),
    _Place("botocore.endpoint", "Endpoint", ("_send",)),
    _Place("botocore.parsers", "ResponseParser", ("parse",)),
)
# The methods of a client's class, which botocore makes for each operation.
_METHOD = "ClientCreator._create_api_method.<locals>._api_call"
# Attributes that botocore's classes do not have by themselves: who patches one adds it.
_GROWING = (
    ("socket", "socket"),
    ("botocore.awsrequest", "AWSHTTPConnectionPool"),
    ("botocore.awsrequest", "AWSHTTPSConnectionPool"),
    ("botocore.awsrequest", "AWSHTTPConnection"),
    ("botocore.awsrequest", "AWSHTTPSConnection"),
    ("botocore.parsers", "RestJSONParser"),
)
# Libraries that replace sockets by others that work: no stand-in for the network.
_COOPERATIVE = {
    "socket": ("gevent.socket", "eventlet.green.socket"),
    "ssl": ("gevent.ssl", "eventlet.green.ssl"),
}
# The parts of a client, none of which has an attribute of its own that stands before its class's.
_PARTS = (
    ("botocore.endpoint", "Endpoint"),
    ("botocore.httpsession", "URLLib3Session"),
    ("urllib3.poolmanager", "PoolManager"),
    ("botocore.signers", "RequestSigner"),
    ("botocore.hooks", "EventAliaser"),
    ("botocore.hooks", "HierarchicalEmitter"),
    ("botocore.parsers", "ResponseParserFactory"),
)
# What a client's class has beside the operations, as any class.
_OF_ANY_CLASS = {"_PY_TO_OP_NAME", "__module__", "__doc__", "__firstlineno__", "__static_attributes__"}
# A call is logged by these, each of which may have a level of its own.
_LOGGERS = ("", ".auth", ".client", ".endpoint", ".hooks", ".httpsession", ".parsers", ".regions", ".retryhandler")
_NETWORK_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")

# botocore's own handlers of a client that we build, by event; from 1.40.0 to 1.44.
_HANDLERS: Mapping[str, tuple[str, ...]] = {
    "provide-client-params": (),
    "before-parameter-build": ("generate_idempotent_uuid", "_handle_request_validation_mode_member"),
    "before-endpoint-resolution": (),
    "before-call": ("add_recursion_detection_header", "inject_api_version_header_if_needed"),
    "request-created": (
        "RequestSigner.handler",
        "MaxAttemptsSeeder.seed_max_attempts",
        "UserAgentString.rebuild_and_replace_user_agent_handler",
        "add_retry_headers",
    ),
    "choose-signer": ("set_operation_specific_signer", "_set_auth_scheme_preference_signer"),
    "before-sign": (),
    "before-send": (),
    "response-received": (),
    "before-parse": (),
    "needs-retry": ("RetryHandler.needs_retry",),
    "after-call": ("RetryQuotaChecker.release_retry_quota",),
    "after-call-error": (),
}


class Watching:
    """Decides for each call which way it may take. May be used by many threads at once.

    Args:
        client: A client that we built, and nobody changed.
        forced: The way that the environment asks for, or ``None``.

    Raises:
        Exception: botocore is not as it is known here.
    """

    def __init__(self, client: Any, forced: Way | None = None) -> None:
        self._forced = forced
        self._own = attributes_of(client)
        self._made = dict(self._own)
        self._endpoint: Any = client._endpoint
        self._session: Any = client._endpoint.http_session
        if type(self._session) is not untyped("botocore.httpsession").URLLib3Session:
            raise TypeError("the client sends through another session than URLLib3Session")
        self._emitter: Any = client.meta.events._emitter
        manager, signer, parsers = (
            self._session._manager,
            client._request_signer,
            client._endpoint._response_parser_factory,
        )
        self._parts = (self._endpoint, self._session, manager, signer, client.meta.events, self._emitter, parsers)
        self._history: Any = untyped("botocore.history").get_global_history_recorder()
        self._proxied = bool(self._session._proxy_config.proxy_url_for(client.meta.endpoint_url))
        self._kind: Any = type(client)
        self._not_direct: str | None = None
        self._verdict = NOBODY
        self._is_unchanged: Callable[[], object] = bool
        self.verdict()

    def verdict(self) -> Verdict:
        """The way of a call that is made now, and the reason."""
        try:
            is_unchanged: object = self._is_unchanged()
        except Exception:  # something of botocore is gone
            is_unchanged = False
        if is_unchanged:
            return self._verdict
        try:
            # The comparison first: what changes while the look is taken is noticed by the next call.
            comparison = self._comparison()
            self._verdict = self._judged()
            self._is_unchanged = comparison
        except Exception as error:
            self._verdict = unknown(error)
            self._is_unchanged = bool
        return self._verdict

    def exclude_direct(self, reason: str) -> None:
        """Let nothing be sent directly from now on."""
        self._not_direct, self._is_unchanged = reason, bool

    def _comparison(self) -> Callable[[], object]:
        """A function that tells whether all is as it is now which a patch, a handler or a log level would change.

        It is compiled as a single expression, since it runs in each call: a loop takes twice as long. Objects are
        compared by identity, since one of wrapt equals what it wraps; and they are held, so that no other takes the
        place of one.
        """
        # Emptied whenever the level of any logger changes. Each client has a key of its own, which is not a level: the
        # look of another client must not hide the change.
        logger: Any = logging.getLogger(f"{__name__}.levels")
        levels: dict[int, bool] = logger._cache
        key = -id(self)
        levels[key] = True
        known: dict[str, Any] = {"own": self._own, "endpoint": self._endpoint, "emitter": self._emitter}
        known |= {"history": self._history, "levels": levels}
        terms = [f"{key} in levels", f"len(own) == {len(self._own)}", f"history._enabled is {self._history._enabled!r}"]

        def same(expression: str, now: Any) -> None:
            known[f"was_{len(known)}"] = now
            terms.append(f"{expression} is was_{len(known) - 1}")

        same("own['_endpoint']", self._own["_endpoint"])
        same("endpoint.http_session", self._endpoint.http_session)
        # botocore replaces it whenever a handler comes or goes.
        same("emitter._lookup_cache", self._emitter._lookup_cache)
        places = [(_names_of(place), place.names) for place in (*_CALLS, *_NETWORK)]
        places.append((attributes_of(self._kind), tuple(operation.method for operation in OPERATIONS.values())))
        places.append((attributes_of(untyped("http.client").HTTPConnection), ("debuglevel",)))
        for number, (attributes, names) in enumerate(places):
            known[f"place_{number}"] = attributes
            for name in names:
                if name in attributes:
                    same(f"place_{number}[{name!r}]", attributes[name])
                else:
                    terms.append(f"{name!r} not in place_{number}")
        growing = [getattr(untyped(module), name) for module, name in _GROWING]
        for number, each in enumerate((*growing, self._kind, self._endpoint, self._session)):
            known[f"growing_{number}"] = attributes_of(each)
            terms.append(f"len(growing_{number}) == {len(known[f'growing_{number}'])}")
        # moto stands on every client that is built once it is imported, and answers only within mock_aws().
        moto = _moto()
        if moto is not None:
            known["moto"] = moto
            same("moto.enabled", moto.enabled)
        comparison: Callable[[], object] = eval(f"lambda: {' and '.join(terms)}", known)
        return comparison

    def _judged(self) -> Verdict:
        if self._forced is Way.PLAIN:
            return Verdict(Way.PLAIN, "PERSONALIZE_RT_SEND says so")
        if self._proxied:
            return Verdict(Way.PLAIN, "requests go through a proxy")
        if self._endpoint.http_session is not self._session:
            return Verdict(Way.PLAIN, "the client sends through another session than its own")
        if self._own != self._made:
            return Verdict(Way.PLAIN, "the client was changed")
        if self._kind.__mro__[1:] != (untyped("botocore.client").BaseClient, object):
            return Verdict(Way.PLAIN, "the client's class has other bases than botocore's")
        if (part := self._changed_part()) is not None:
            return Verdict(Way.PLAIN, f"{part} of the client was changed")
        for place in _NETWORK:
            if (name := _foreign(place)) is not None:
                return Verdict(Way.PLAIN, f"{name} is not the library's own")
        for module, name in _GROWING[1:]:  # the first is looked at above
            if not is_own_class(getattr(untyped(module), name), module):
                return Verdict(Way.PLAIN, f"{module}.{name} is not the library's own")
        if untyped("http.client").HTTPConnection.debuglevel:
            return Verdict(Way.PLAIN, "http.client prints what is sent")
        if any(logging.getLogger(name).isEnabledFor(logging.DEBUG) for name in _NETWORK_LOGGERS):
            return Verdict(Way.PLAIN, "urllib3's debug log is on")
        if self._forced is Way.THROUGH:
            return Verdict(Way.THROUGH, "PERSONALIZE_RT_SEND says so")
        if self._not_direct is not None:
            return Verdict(Way.THROUGH, self._not_direct)
        for operation in OPERATIONS.values():
            if not is_own_function(vars(self._kind)[operation.method], _METHOD, "botocore.client"):
                return Verdict(Way.PLAIN, f"the client's method {operation.method} is not botocore's own")
        for place in _CALLS:
            if (name := _foreign(place)) is not None:
                return Verdict(Way.THROUGH, f"{name} is not botocore's own")
        for event, own in _HANDLERS.items():
            if not self._has_only(event, own):
                return Verdict(Way.THROUGH, f"there is a handler of the event {event}")
        if any(logging.getLogger(f"botocore{name}").isEnabledFor(logging.DEBUG) for name in _LOGGERS):
            return Verdict(Way.THROUGH, "botocore's debug log is on")
        if self._history._enabled:
            return Verdict(Way.THROUGH, "botocore's history recorder is on")
        return NOBODY

    def _changed_part(self) -> str | None:
        """The name of the part of the client, or of its class, that somebody changed; ``None`` if nothing."""
        base = untyped("botocore.client").BaseClient
        if (set(attributes_of(self._kind)) - _OF_ANY_CLASS) & set(attributes_of(base)):
            return "the class"
        if any(hasattr(self._kind, name) for name in self._own):
            return "a method"
        for (module, name), part in zip(_PARTS, self._parts, strict=True):
            kind = getattr(untyped(module), name)
            if type(part) is not kind or any(hasattr(kind, each) for each in attributes_of(part)):
                return name
        own = untyped("botocore.awsrequest")
        pools = {"http": own.AWSHTTPConnectionPool, "https": own.AWSHTTPSConnectionPool}
        return None if self._session._manager.pool_classes_by_scheme == pools else "the connection pool"

    def _has_only(self, event: str, own: tuple[str, ...]) -> bool:
        """Tell whether the handlers of an event are botocore's, as it registers them by itself."""
        search: Callable[[str], Any] = self._emitter._handlers.prefix_search
        moto = _moto()
        for operation in OPERATIONS:
            for handler in search(f"{event}.{SERVICE}.{operation}"):
                if not any(is_own_function(handler, name, "botocore") for name in own) and not (
                    handler is moto and not handler.enabled
                ):
                    return False
        return True


def _moto() -> Any:
    return getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)


def _names_of(place: _Place) -> Mapping[str, Any]:
    module = untyped(place.module)
    return attributes_of(module if place.owner is None else getattr(module, place.owner))


def _foreign(place: _Place) -> str | None:
    """The first name of a place that somebody replaced, or ``None``."""
    if place.owner is not None and _is_cooperative(place.module, place.owner):
        return None
    names = _names_of(place)
    for name in place.names:
        if name not in names:
            return f"{place.module}.{place.owner or name}"
        if place.owner is None and _is_cooperative(place.module, name):
            continue
        thing = names[name]
        qualified = f"{place.owner}.{name}" if place.owner else name
        # By the type's type, since a proxy may pass for a class.
        is_class = issubclass(type(thing), type)
        if not (is_own_class(thing, place.module) if is_class else is_own_function(thing, qualified, place.module)):
            return f"{place.module}.{qualified}"
    return None


def _is_cooperative(module: str, name: str) -> bool:
    """Tell whether a name of a module stands for what a library of cooperative sockets has put there."""
    thing = getattr(untyped(module), name, None)
    libraries = (sys.modules.get(each) for each in _COOPERATIVE.get(module, ()))
    return any(thing is vars(library).get(name) for library in libraries if library is not None)
