"""Whatever botocore signs is accepted as it is, and refused when any part of it was changed on the way."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ConfigurationError
from personalize_rt.local.sigv4 import Credentials, SignatureError, SignedRequest, Verifier

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"campaignArn": "arn:aws:personalize:eu-west-1:000000000000:campaign/movies-ranking", "userId": "\xc3\xbc"}'
URL = "http://127.0.0.1:8700/recommendations"
NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def leap_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always noon for botocore."""
    for name in ("get_current_datetime", "utcnow"):
        if hasattr(auth, name):
            monkeypatch.setattr(auth, name, lambda *_, **__: NOW.replace(tzinfo=None))


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def signed(
    url: str = URL,
    *,
    method: str = "POST",
    body: bytes = BODY,
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),),
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "personalize",
    region: str = "eu-west-1",
    signer: type[auth.SigV4Auth] = auth.SigV4Auth,
) -> SignedRequest:
    """A request as botocore signs it, in the bytes that it sends."""
    request = AWSRequest(method, url, data=body)
    for name, value in headers:
        request.headers.add_header(name, value)
    signer(BotoCredentials(key, secret, token), service, region).add_auth(request)
    parts = urlsplit(url)
    sent = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return SignedRequest(
        method.encode(), parts.path.encode(), parts.query.encode(), [(b"host", parts.netloc.encode()), *sent], body
    )


def verify(request: SignedRequest, *, at: datetime = NOW, token: str | None = None) -> None:
    Verifier([Credentials(KEY, SECRET, token)], lambda: at).verify(request)


def refused(request: SignedRequest, **how: Any) -> str:
    """The code with which a request is refused."""
    with pytest.raises(SignatureError) as caught:
        verify(request, **how)
    for secret in (SECRET, "userId", "\xfc", "session-token"):
        assert secret not in caught.value.message
    return caught.value.code


def with_header(request: SignedRequest, name: bytes, change: Callable[[bytes], bytes | None]) -> SignedRequest:
    """The same request with one header changed, or taken out."""
    headers = [(header, change(value) if header == name else value) for header, value in request.headers]
    assert headers != list(request.headers)
    return attrs.evolve(request, headers=[(header, value) for header, value in headers if value is not None])


def without(request: SignedRequest, name: bytes) -> SignedRequest:
    return with_header(request, name, lambda _: None)


def replaced(request: SignedRequest, old: bytes, new: bytes) -> SignedRequest:
    """The same request with a piece of its Authorization header replaced."""
    return with_header(request, b"authorization", lambda value: value.replace(old, new))


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://localhost/recommendations",
        "http://127.0.0.1:8700",
        "http://127.0.0.1:8700/a//b/./c/../d/",
        "http://127.0.0.1:8700/with%20space/%C3%BC/~tilde",
        "http://127.0.0.1:8700/recommendations?b=2&a=1&a=0&empty=&bare",
        "http://127.0.0.1:8700/recommendations?name=%C3%BC%20%2B%2F%3D&n%26me=1",
        "http://127.0.0.1:8700/recommendations?a-b=1&a=2&a%2Bb=3",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_botocore_signs_is_accepted(url: str, method: str) -> None:
    verify(signed(url, method=method))
    verify(signed(url, method=method, body=b""))


@given(
    body=st.binary(max_size=200),
    path=st.lists(st.sampled_from(["a", "..", ".", "", "%20", "%C3%BC", "x~y", "a+b", "a:b"]), max_size=6),
)
def test_any_path_and_body_that_botocore_signs_are_accepted(body: bytes, path: list[str]) -> None:
    request = signed("http://127.0.0.1:8700/" + "/".join(path), body=body)
    verify(request)
    assert refused(attrs.evolve(request, body=body + b" ")) == "InvalidSignatureException"


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1"])
def test_any_region_is_accepted(region: str) -> None:
    verify(signed(region=region))


def test_white_space_in_header_values_may_change_on_the_way() -> None:
    request = signed(headers=(("X-Amz-Note", "one   two"), ("Content-Type", "application/json")))
    verify(with_header(request, b"x-amz-note", lambda _: b"  one two "))


def test_repeated_headers_are_signed_in_their_order() -> None:
    request = signed(headers=(("X-Amz-Note", "one"), ("X-Amz-Note", "two")))
    verify(request)
    *rest, first, second = sorted(request.headers, key=lambda header: header[0] == b"x-amz-note")
    assert refused(attrs.evolve(request, headers=[*rest, second, first])) == "InvalidSignatureException"
    assert refused(attrs.evolve(request, headers=[*rest, first])) == "InvalidSignatureException"


def test_header_values_beyond_ascii_are_signed_as_bytes() -> None:
    verify(signed(headers=(("X-Amz-Note", "früh"),)))


def test_headers_that_nobody_signed_are_of_no_account() -> None:
    request = signed()
    verify(attrs.evolve(request, headers=[*request.headers, (b"user-agent", b"any"), (b"amz-sdk-request", b"1")]))


def test_a_header_of_aws_that_was_added_on_the_way_is_refused() -> None:
    request = signed()
    added = attrs.evolve(request, headers=[*request.headers, (b"x-amz-note", b"any")])
    assert refused(added) == "InvalidSignatureException"


@pytest.mark.parametrize("name", [b"x-amz-date", b"date"])
def test_the_time_of_the_signature_must_itself_be_signed(name: bytes) -> None:
    request = signed(headers=(("Date", "any"),) if name == b"date" else ())
    verify(request)
    unsigned = replaced(request, b";" + name, b"") if name != b"date" else replaced(request, b"date;", b"")
    assert refused(unsigned) == "InvalidSignatureException"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be changed here")
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_date_header_says_the_time_where_there_is_no_other(zone: str, in_zone: Callable[[str], None]) -> None:
    in_zone(zone)
    request = signed(headers=(("Date", "any"),))
    assert b"x-amz-date" not in dict(request.headers)
    assert dict(request.headers)[b"date"] == format_datetime(NOW).encode().replace(b"+0000", b"-0000")
    verify(request)
    assert refused(request, at=NOW + timedelta(hours=1)) == "InvalidSignatureException"


@pytest.fixture
def chicago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of this machine."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "America/Chicago")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("chicago")
def test_the_time_zone_of_this_machine_is_not_that_of_the_date_header() -> None:
    verify(signed(headers=(("Date", "any"),)))


@pytest.mark.parametrize(
    "change",
    [
        lambda request: attrs.evolve(request, method=b"PUT"),
        lambda request: attrs.evolve(request, path=b"/personalize-ranking"),
        lambda request: attrs.evolve(request, path=b"/recommendations/"),
        lambda request: attrs.evolve(request, query=b"a=1"),
        lambda request: attrs.evolve(request, body=request.body + b" "),
        lambda request: attrs.evolve(request, body=b""),
        lambda request: with_header(request, b"host", lambda _: b"127.0.0.1:8701"),
        lambda request: with_header(request, b"content-type", lambda _: b"text/plain"),
        lambda request: without(request, b"content-type"),
        lambda request: without(request, b"host"),
        lambda request: with_header(request, b"x-amz-date", lambda _: b"20240229T120001Z"),
        lambda request: replaced(request, b"eu-west-1", b"us-east-1"),
        lambda request: replaced(request, b"content-type;", b""),
        lambda request: replaced(request, b"host;", b""),
        lambda request: replaced(request, b"x-amz-date", b"x-amz-date;x-amz-extra"),
        lambda request: replaced(request, b"/20240229/", b"/20240228/"),
        lambda request: replaced(request, b"/personalize/", b"/execute-api/"),
        lambda request: replaced(request, b"aws4_request", b"aws5_request"),
    ],
)
def test_a_request_that_was_changed_on_the_way_is_refused(change: Callable[[SignedRequest], SignedRequest]) -> None:
    assert refused(change(signed())) == "InvalidSignatureException"


class Careless(auth.SigV4Auth):
    """Signs well, but not all that must be signed, or not for here and today."""

    left_out: tuple[str, ...] = ()
    changed: tuple[str, str] = ("", "")

    def headers_to_sign(self, request: Any) -> Any:
        headers = super().headers_to_sign(request)
        for name in self.left_out:
            del headers[name]
        return headers

    def scope(self, request: Any) -> str:
        return str(super().scope(request)).replace(*self.changed)

    def credential_scope(self, request: Any) -> str:
        return str(super().credential_scope(request)).replace(*self.changed)

    def signature(self, string_to_sign: Any, request: Any) -> str:
        key = f"AWS4{SECRET}".encode()
        for part in self.credential_scope(request).split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()

    def canonical_request(self, request: Any) -> str:
        *rest, _ = str(super().canonical_request(request)).split("\n")
        return "\n".join((*rest, sha256(BODY).hexdigest()))


@pytest.mark.parametrize(
    ("left_out", "changed", "headers", "message"),
    [
        ((), ("", ""), (), None),
        (("host",), ("", ""), (), "host must be signed"),
        (("x-amz-date",), ("", ""), (), "x-amz-date must be signed"),
        (("date",), ("", ""), (("Date", "any"),), "date must be signed"),
        (("x-amz-note",), ("", ""), (("X-Amz-Note", "any"),), "x-amz-note must be signed"),
        (("x-note",), ("", ""), (("X-Note", "any"),), None),
        ((), ("20240229", "20240228"), (), "is not the day"),
        ((), ("aws4_request", "aws5_request"), (), "aws4_request"),
        ((), ("/personalize/", "/execute-api/"), (), "service 'personalize'"),
        ((), ("", ""), (("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),), "SHA-256 of the body"),
    ],
)
def test_a_good_signature_over_too_little_or_for_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, left_out: Any, changed: Any, headers: Any, message: str | None
) -> None:
    monkeypatch.setattr(Careless, "left_out", left_out)
    monkeypatch.setattr(Careless, "changed", changed)
    request = signed(headers=headers, signer=Careless)
    if message is None:
        verify(request)
    else:
        with pytest.raises(SignatureError, match=message) as caught:
            verify(request)
        assert caught.value.code == "InvalidSignatureException"


def test_each_digit_of_the_signature_counts() -> None:
    def flip(digit: int, value: bytes) -> bytes:
        at = value.index(b"Signature=") + len(b"Signature=") + digit
        return value[:at] + (b"1" if value[at : at + 1] == b"0" else b"0") + value[at + 1 :]

    for digit in range(64):
        request = with_header(signed(), b"authorization", partial(flip, digit))
        assert refused(request) == "InvalidSignatureException", digit


def test_a_wrong_secret_is_refused() -> None:
    assert refused(signed(secret="not the secret")) == "InvalidSignatureException"


def test_a_signature_for_another_service_is_refused() -> None:
    assert refused(signed(service="personalize-runtime")) == "InvalidSignatureException"


def test_an_unknown_access_key_is_refused() -> None:
    assert refused(signed(key="AKIDOTHER")) == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("minutes", "accepted"), [(-15, True), (15, True), (-15.02, False), (15.02, False), (60 * 24, False)]
)
def test_a_signature_is_good_for_fifteen_minutes_either_way(minutes: float, accepted: bool) -> None:
    at = NOW + timedelta(minutes=minutes)
    if accepted:
        verify(signed(), at=at)
    else:
        assert refused(signed(), at=at) == "InvalidSignatureException"


def test_the_clock_is_that_of_the_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # botocore signs as of now again
    Verifier([Credentials(KEY, SECRET)]).verify(signed())


@pytest.mark.parametrize(
    ("sent", "expected", "code"),
    [
        ("session-token", "session-token", None),
        (None, "session-token", "UnrecognizedClientException"),
        ("session-token", None, "UnrecognizedClientException"),
        ("session-token", "other session-token", "UnrecognizedClientException"),
    ],
)
def test_a_session_token_must_be_the_one_of_the_keys(sent: str | None, expected: str | None, code: str | None) -> None:
    request = signed(token=sent)
    if code is None:
        verify(request, token=expected)
    else:
        assert refused(request, token=expected) == code


def test_a_declared_digest_of_the_body_must_be_right_and_not_left_out() -> None:
    for digest in ("UNSIGNED-PAYLOAD", "0" * 64):
        request = signed(headers=(("X-Amz-Content-SHA256", digest),))
        assert refused(request) == "InvalidSignatureException"
    verify(signed(headers=(("X-Amz-Content-SHA256", sha256(BODY).hexdigest()),)))


def test_a_request_without_a_signature_is_refused() -> None:
    assert refused(without(signed(), b"authorization")) == "MissingAuthenticationToken"
    in_query = attrs.evolve(without(signed(), b"authorization"), query=b"X-Amz-Signature=" + b"0" * 64)
    assert refused(in_query) == "MissingAuthenticationToken"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic dXNlcjpwYXNz",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA512 Credential=a/20240229/r/personalize/aws4_request, SignedHeaders=host, Signature="
        + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=/20240229/r/personalize/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=a/20240229/r/personalize/aws4_request, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=a/20240229/r/personalize/aws4_request, SignedHeaders=host",
        b"AWS4-HMAC-SHA256 Credential=a/20240229/r/personalize/aws4_request, SignedHeaders=host, Signature=00",
        b"AWS4-HMAC-SHA256 Credential=a/20240229/r/personalize/aws4_request, SignedHeaders=host, Signature="
        + "é".encode() * 32,
        b"AWS4-HMAC-SHA256 Credential=a/20240229/r/personalize/aws4_request, SignedHeaders=host, Signature="
        + b"0" * 64
        + b", Signature="
        + b"0" * 64,
    ],
)
def test_a_header_of_another_form_is_refused(header: bytes) -> None:
    assert refused(with_header(signed(), b"authorization", lambda _: header)) == "IncompleteSignature"


@pytest.mark.parametrize("names", [b"x-amz-date;host", b"Host;x-amz-date", b"host;host", b"host;;x-amz-date", b";"])
def test_signed_headers_of_another_form_are_refused(names: bytes) -> None:
    request = replaced(signed(headers=()), b"SignedHeaders=host;x-amz-date", b"SignedHeaders=" + names)
    assert refused(request) == "IncompleteSignature"


@pytest.mark.parametrize("name", [b"authorization", b"x-amz-date", b"x-amz-security-token"])
def test_headers_that_say_who_and_when_come_once(name: bytes) -> None:
    request = signed(token="session-token")
    doubled = attrs.evolve(request, headers=[*request.headers, (name, dict(request.headers)[name])])
    assert refused(doubled, token="session-token") == "IncompleteSignature"


@pytest.mark.parametrize("stamp", [b"", b"2024-02-29T12:00:00Z", b"20240230T120000Z", b"20240229T120000", b"today"])
def test_a_time_of_another_form_is_refused(stamp: bytes) -> None:
    assert refused(with_header(signed(), b"x-amz-date", lambda _: stamp)) == "IncompleteSignature"
    dated = signed(headers=(("Date", "any"),))
    assert refused(with_header(dated, b"date", lambda _: stamp)) == "IncompleteSignature"


def test_a_request_must_say_when_it_was_signed() -> None:
    assert refused(without(signed(), b"x-amz-date")) == "IncompleteSignature"


def test_secrets_are_not_shown() -> None:
    credentials = Credentials(KEY, SECRET, "session-token")
    for text in (repr(credentials), repr(Verifier([credentials])), repr(signed())):
        assert SECRET not in text
        assert "session-token" not in text
        assert "Signature=" not in text


def test_credentials_come_from_the_environment() -> None:
    variables = {"PERSONALIZE_RT_ACCESS_KEY_ID": KEY, "PERSONALIZE_RT_SECRET_ACCESS_KEY": SECRET}
    assert Credentials.from_environment(variables) == Credentials(KEY, SECRET)
    variables["PERSONALIZE_RT_SESSION_TOKEN"] = "token"
    assert Credentials.from_environment(variables) == Credentials(KEY, SECRET, "token")
    assert Credentials.from_environment({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}) is None


@pytest.mark.parametrize("name", ["PERSONALIZE_RT_ACCESS_KEY_ID", "PERSONALIZE_RT_SECRET_ACCESS_KEY"])
def test_half_a_pair_in_the_environment_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not set") as caught:
        Credentials.from_environment({name: SECRET})
    assert SECRET not in str(caught.value)


def test_credentials_come_from_a_file_of_the_form_that_aws_tools_share(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = 100%/secret\n"
        "[ci]\naws_access_key_id=two\naws_secret_access_key=s\naws_session_token=t\n"
    )
    assert Credentials.from_file(file) == (Credentials("one", "100%/secret"), Credentials("two", "s", "t"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "no section"),
        ("AKID SECRET-VALUE", "not an INI file"),
        ("[default]\nSECRET-VALUE", "not an INI file"),
        ("[default]\naws_access_key_id = AKID", "has no aws_secret_access_key"),
        ("[default]\naws_secret_access_key = SECRET-VALUE", "has no aws_access_key_id"),
        (b"[default]\naws_secret_access_key = SECRET-VALUE\xff", "not an INI file"),
    ],
)
def test_a_credentials_file_of_another_form_is_an_error_that_shows_no_secret(
    tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    file = tmp_path / "keys.ini"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=message) as caught:
        Credentials.from_file(file)
    assert "keys.ini" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "SECRET-VALUE" not in str(error)
        error = error.__cause__ or error.__context__
