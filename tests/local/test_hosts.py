"""The rule that keeps web pages of others from an embedded server."""

from __future__ import annotations

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.local.hosts import ForeignError, HostRule


def rule(address: str = "127.0.0.1", *allow_hosts: str) -> HostRule:
    return HostRule.of(address, allow_hosts)


def refusal(rule: HostRule, *headers: tuple[str, str]) -> int | None:
    """The status of the refusal of a request, if it is refused."""
    try:
        rule.check([(name.encode(), value.encode("latin-1")) for name, value in headers])
    except ForeignError as error:
        return error.status
    return None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8700",
        "127.0.0.1:",
        "127.0.0.2:1",
        "localhost",
        "LocalHost:8700",
        "localhost.",
        "localhost.:8700",
        "127.0.0.1.",
        "personalize.localhost:8700",
        "A.B.LOCALHOST.",
        "[::1]",
        "[::1]:8700",
        "[0:0:0:0:0:0:0:1]:8700",
        "[::ffff:127.0.0.1]:8700",
    ],
)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert refusal(rule(), ("host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "xlocalhost",
        "localhost..evil",
        "0.0.0.0:8700",
        "10.0.0.5",
        "[::]",
        "[::2]:8700",
        "[::ffff:10.0.0.5]",
        # Other spellings of 127.0.0.1: browsers send the usual one.
        "2130706433",
        "0x7f.1",
        "127.1",
        "127.000.000.001",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert refusal(rule(), ("host", host)) == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["."],
        [":8700"],
        ["localhost", "localhost"],
        ["localhost", "evil.example"],
        ["localhost, evil.example"],
        ["localhost evil.example"],
        ["localhost\t"],
        ["user@localhost"],
        ["evil.example@localhost:8700"],
        ["localhost@evil.example"],
        ["http://localhost"],
        ["localhost/evil.example"],
        ["localhost#evil.example"],
        ["localhost:8700:1"],
        ["localhost:abc"],
        ["localhost:123456"],
        ["::1"],
        ["[::1"],
        ["[::1]evil.example"],
        ["[::1%lo]"],
        ["[127.0.0.1]"],
        ["[localhost]"],
        ["localhost\xad"],
        ["l\xf6calhost"],
        ["localhost:\xb2"],
        ["a" * 300 + ".localhost"],
    ],
    ids=repr,
)
def test_what_is_no_host_is_refused(headers: list[str]) -> None:
    assert refusal(rule("127.0.0.1", "evil.example"), *[("host", host) for host in headers]) == 400


def test_refusal_tells_what_to_do() -> None:
    with pytest.raises(ForeignError, match=r"--allow-host evil\.example ") as caught:
        rule().check([(b"host", b"Evil.Example.:8700")])
    assert caught.value.code == "AccessDeniedException"


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("example.internal", "example.internal:8700"),
        ("Example.Internal.", "EXAMPLE.internal"),
        ("my_service", "my_service:8700"),
        ("10.0.0.5", "10.0.0.5:8700"),
        ("fe80::1", "[fe80::1]:8700"),
        ("[FE80:0::1]", "[fe80::1]:8700"),
        ("10.0.0.5", "[::ffff:10.0.0.5]"),
    ],
)
def test_hosts_that_are_allowed_are_answered_beside_those_of_this_machine(allowed: str, host: str) -> None:
    assert refusal(rule("127.0.0.1", allowed), ("host", host)) is None
    assert refusal(rule("127.0.0.1", "other", allowed), ("host", host)) is None
    assert refusal(rule("127.0.0.1", allowed), ("host", "localhost")) is None
    assert refusal(rule("127.0.0.1", allowed), ("host", f"x.{host}")) in (400, 403)


@pytest.mark.parametrize(
    "wrong", ["", "*", "http://x", "x:80", "x/y", "a b", "u@x", "[::1", "[x]", ":::", "b\xfccher", 7]
)
def test_what_is_no_host_cannot_be_allowed(wrong: str) -> None:
    with pytest.raises(ValidationError, match="--allow-host") as caught:
        rule("127.0.0.1", wrong)
    assert caught.value.parameter == "allow_hosts"


def test_one_text_is_no_list_of_hosts() -> None:
    with pytest.raises(ValidationError, match=r"write \[host\]"):
        HostRule.of("127.0.0.1", "example.internal")


@pytest.mark.parametrize("address", ["0.0.0.0", "", "::", "10.0.0.5"])
def test_where_other_machines_call_every_host_is_good_until_some_are_told(address: str) -> None:
    anyone = rule(address)
    for headers in ([("host", "evil.example")], [("host", "10.0.0.5:8700")], []):
        assert refusal(anyone, *headers) is None
    some = rule(address, "personalize.internal")
    for host, status in (
        ("personalize.internal:8700", None),
        ("localhost:8700", None),
        ("evil.example", 403),
        ("10.0.0.6", 403),
    ):
        assert refusal(some, ("host", host)) == status
    if address:
        assert refusal(some, ("host", f"[{address}]:1" if ":" in address else f"{address}:1")) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:3000",
        # The server's own: it has no pages.
        "http://127.0.0.1:8700",
        "null",
        "",
        "file://",
    ],
)
def test_pages_are_refused_unless_their_origin_is_allowed(origin: str) -> None:
    headers = ("host", "127.0.0.1:8700"), ("origin", origin)
    assert refusal(rule(), *headers) == 403
    assert refusal(HostRule.of("127.0.0.1", (), ["https://shop.example"]), *headers) == 403
    assert refusal(HostRule.of("", (), ["https://shop.example"]), *headers) == 403


@pytest.mark.parametrize(
    ("allowed", "origin", "accepted"),
    [
        ("http://localhost:3000", "http://localhost:3000", True),
        ("HTTP://LocalHost:3000", "http://localhost:3000", True),
        ("https://shop.example:443", "https://shop.example", True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("http://localhost:3000", "http://localhost:3001", False),
        ("http://localhost:3000", "https://localhost:3000", False),
        ("http://localhost:3000", "http://localhost:3000.evil.example", False),
        ("https://shop.example", "https://shop.example.evil.example", False),
    ],
)
def test_an_allowed_origin_is_the_whole_of_it(allowed: str, origin: str, accepted: bool) -> None:
    some = HostRule.of("127.0.0.1", (), [allowed])
    headers = (b"host", b"127.0.0.1:8700"), (b"origin", origin.encode())
    if accepted:
        assert some.check(headers) == origin
        with pytest.raises(ForeignError):
            some.check((*headers, (b"origin", origin.encode())))
    else:
        with pytest.raises(ForeignError, match="--allow-origin"):
            some.check(headers)


@pytest.mark.parametrize(
    "wrong",
    ["*", "null", "", "localhost:3000", "http://localhost:3000/", "http://", "http://a b", "http://a:b", "http://x:"],
)
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="neither \\* nor null"):
        HostRule.of("127.0.0.1", (), [wrong])


def test_a_single_text_is_not_taken_for_origins() -> None:
    with pytest.raises(ValidationError, match=r"write \[origin\]"):
        HostRule.of("127.0.0.1", (), "http://localhost:3000")
