"""Whom a client asks, and as whom: what a shared cache tells clients apart by. Nothing is fetched to know it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ContainerProvider, Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.utils import InstanceMetadataFetcher

from personalize_rt import Cache, PersonalizeRuntime, RetryPolicy, StaleFallback
from personalize_rt.transport import credentials, origin
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
Clients = Callable[..., Any]


def origin_of(client: Any) -> str:
    return origin.origin_of(client)[0]


@pytest.fixture
def client() -> Iterator[Clients]:
    """Makes boto3 clients that sign with some credentials."""
    made = []

    def make(credentials: Any, *, url: str = "http://127.0.0.1:9", region: str = "eu-west-1", **config: Any) -> Any:
        target = {"region_name": region, "endpoint_url": url, "config": Config(**config)}
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
        made.append(botocore.session.get_session().create_client("personalize-runtime", **target, **keys))
        made[-1]._request_signer._credentials = credentials
        return made[-1]

    yield make
    for each in made:
        each.close()


def metadata(number: int = 0) -> dict[str, Any]:
    """Keys that are another set each time."""
    expires = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).isoformat()
    return {
        "access_key": f"ASIA{number}",
        "secret_key": "secret",
        "token": "token",
        "expiry_time": expires,
        "AccessKeyId": f"ASIA{number}",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": expires,
    }


# Fixed keys


def test_endpoint_region_and_access_key_each_make_a_difference(client: Clients) -> None:
    keys = Credentials("AKIA1", "secret")
    origins = {
        origin_of(client(keys)),
        origin_of(client(keys, url="http://127.0.0.1:8")),
        origin_of(client(keys, region="us-east-1")),
        origin_of(client(Credentials("AKIA2", "secret"))),
        origin_of(client(None)),
    }
    assert len(origins) == 5


def test_equal_settings_make_none(client: Clients) -> None:
    # Also in another process: nothing of this one is in it.
    assert origin_of(client(Credentials("AKIA1", "secret"))) == origin_of(client(Credentials("AKIA1", "secret", "t")))
    assert origin_of(client(ReadOnlyCredentials("AKIA1", "s", None, None))) == origin_of(
        client(Credentials("AKIA1", ""))
    )
    assert origin_of(client(None)) == origin_of(client(None, signature_version=UNSIGNED))


def test_it_shows_neither_the_key_nor_the_address(client: Clients) -> None:
    shown = origin_of(client(Credentials("AKIA1", "secret"), url="http://user:pass@127.0.0.1:9"))
    assert len(shown) == 64
    assert set(shown) <= set("0123456789abcdef")


# Keys that change


class Fetcher:
    """Gives other keys each time."""

    def __init__(self) -> None:
        self.fetched = 0

    def __call__(self) -> dict[str, Any]:
        self.fetched += 1
        return metadata(self.fetched)

    def full_url(self, path: str) -> str:
        return path

    def retrieve_full_uri(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self()


def in_a_container(fetcher: Fetcher) -> Any:
    return ContainerProvider({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/keys"}, fetcher).load()


def of_the_machine() -> Any:
    # As InstanceMetadataProvider.load does it; the fetcher itself would look for the machine's service.
    fetch = InstanceMetadataFetcher().retrieve_iam_role_credentials
    return RefreshableCredentials.create_from_metadata(metadata(), fetch, "iam-role")


def test_the_role_of_a_container_is_one_through_all_its_keys_and_processes(client: Clients) -> None:
    fetcher = Fetcher()
    one, other = client(in_a_container(fetcher)), client(in_a_container(fetcher))
    fetched = fetcher.fetched
    assert origin_of(one) == origin_of(other)
    one._get_credentials()._expiry_time = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert origin_of(one) == origin_of(other)
    assert fetcher.fetched == fetched, "the keys were refreshed only to know whose they are"
    assert origin_of(client(of_the_machine())) == origin_of(client(of_the_machine())) != origin_of(one)


def test_only_botocore_s_own_fetchers_are_taken_at_their_word(client: Clients) -> None:
    """Anybody may say "iam-role"."""
    one = RefreshableCredentials.create_from_metadata(metadata(1), Fetcher(), "iam-role")
    other = RefreshableCredentials.create_from_metadata(metadata(2), Fetcher(), "iam-role")
    assert len({origin_of(client(each)) for each in (one, other, of_the_machine())}) == 3


def test_credentials_that_a_program_refreshes_itself_are_known_by_the_object(client: Clients) -> None:
    fetchers = Fetcher(), Fetcher()
    one, other = [
        RefreshableCredentials.create_from_metadata(metadata(), fetcher, "sts-assume-role") for fetcher in fetchers
    ]
    assert origin_of(client(one)) == origin_of(client(one))
    assert origin_of(client(one)) != origin_of(client(other))
    one._expiry_time = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    before = origin_of(client(one))
    assert one.get_frozen_credentials().access_key == "ASIA1"
    assert origin_of(client(one)) == before
    assert [fetcher.fetched for fetcher in fetchers] == [1, 0]


def test_a_property_of_a_strange_class_is_not_asked(client: Clients) -> None:
    class Vault:
        method = "vault"

        @property
        def access_key(self) -> str:
            raise AssertionError("this would ask the vault")

    one, other = Vault(), Vault()
    assert origin_of(client(one)) == origin_of(client(one)) != origin_of(client(other))


PROFILES = """
[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = secret

[profile one]
role_arn = arn:aws:iam::123456789012:role/one
source_profile = base

[profile same]
role_arn = arn:aws:iam::123456789012:role/one
source_profile = base

[profile other]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = base

[profile web]
role_arn = arn:aws:iam::123456789012:role/one
web_identity_token_file = {token}

[profile web-other]
role_arn = arn:aws:iam::123456789012:role/other
web_identity_token_file = {token}
"""


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("token")
    config = tmp_path / "config"
    config.write_text(PROFILES.format(token=token))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("profiles")
def test_an_assumed_role_is_known_by_what_is_assumed_before_anybody_has_asked_for_keys() -> None:
    """``_cache_key`` of botocore's fetchers: a failure here means that each refresh is a new principal."""

    def origin(profile: str) -> str:
        session = botocore.session.Session(profile=profile)
        made = session.create_client("personalize-runtime", region_name="eu-west-1")
        try:
            assert made._get_credentials()._access_key is None  # deferred: nothing was fetched
            return origin_of(made)
        finally:
            made.close()

    assert origin("one") == origin("same") == origin("one")
    assert len({origin("one"), origin("other"), origin("web"), origin("web-other")}) == 4


ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/one/s</Arn></AssumedRoleUser><Credentials>
<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.mark.usefixtures("profiles")
def test_a_refresh_does_not_empty_the_cache(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real role, assumed anew for each request, since its keys expire in a minute."""
    monkeypatch.setattr(credentials, "AT_A_GLANCE", 10.0)  # a busy machine takes longer to find where keys come from
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    signed: list[str] = []

    def answer(request: Any) -> Any:
        if request.path == "/":
            expires = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)).isoformat()
            text = ASSUMED.format(number=len(signed), expires=expires)
            return server.answer(200, text.encode(), content_type="text/xml")
        signed.append(request.headers["authorization"].partition("Credential=")[2].partition("/")[0])
        return None

    server.always(answer)
    session = botocore.session.Session(profile="one")
    runtime = PersonalizeRuntime(
        session=session, region_name="eu-west-1", endpoint_url=server.url, deadline=20, cache=Cache(personal=True)
    )
    with runtime:
        asked = [runtime.get_recommendations(campaign_arn=ARN, num_results=n).info.source for n in (1, 2, 1, 2)]
    assert asked == ["service", "service", "cache", "cache"]
    assert signed == ["ASIA0", "ASIA1"]


# Doubles, and clients without a network


def test_an_in_process_client_is_known_by_itself() -> None:
    """Whoever answers is known to nobody else, and the address is that of AWS."""
    one, other = in_process_client(lambda *_: (200, {}, b"{}")), in_process_client(lambda *_: (200, {}, b"{}"))
    assert origin_of(one) == origin_of(one) != origin_of(other)


@pytest.mark.parametrize("make", [mock.MagicMock, SimpleNamespace, object])
def test_a_double_is_known_by_itself(make: Any) -> None:
    class Double(make):  # type: ignore[misc]
        pass

    one, other = Double(), Double()
    assert origin_of(one) != origin_of(other)
    if make is not SimpleNamespace:  # which can be no key of a dict
        assert origin_of(one) == origin_of(one)


def test_a_client_that_hides_its_credentials_is_known_by_itself() -> None:
    meta = SimpleNamespace(endpoint_url="http://127.0.0.1:9", region_name="eu-west-1")
    one, other = (type("Client", (), {"meta": meta})() for _ in range(2))
    assert origin_of(one) == origin_of(one) != origin_of(other)


# In the client


@pytest.fixture
def shared(server: Any, client: Clients) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes runtimes for the server, on clients of ours or of the caller's, by access key."""
    made: list[PersonalizeRuntime] = []

    def make(kind: str, key: str, *, region: str = "eu-west-1", **options: Any) -> PersonalizeRuntime:
        keys = Credentials(key, "secret")
        if kind == "the caller's":
            made.append(
                PersonalizeRuntime(client(keys, url=server.url, region=region), retry=RetryPolicy(1), **options)
            )
        else:
            session = botocore.session.get_session()
            session._credentials = keys
            target = {"session": session, "region_name": region, "endpoint_url": server.url}
            made.append(PersonalizeRuntime(retry=RetryPolicy(1), **target, **options))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


@pytest.mark.parametrize("kind", ["ours", "the caller's"])
def test_clients_with_other_keys_or_regions_share_a_cache_but_no_answer(kind: str, shared: Any, server: Any) -> None:
    cache = Cache(personal=True)
    runtimes = [
        shared(kind, "AKIA1", cache=cache),
        shared(kind, "AKIA2", cache=cache),
        shared(kind, "AKIA1", cache=cache, region="us-east-1"),
        shared(kind, "AKIA1", cache=cache),
    ]
    sources = [runtime.get_recommendations(campaign_arn=ARN, user_id="u").info.source for runtime in runtimes]
    assert sources == ["service", "service", "service", "cache"]
    assert {runtime.get_recommendations(campaign_arn=ARN, user_id="u").info.source for runtime in runtimes} == {"cache"}


def test_who_is_refused_gets_nothing_out_of_the_cache_of_who_is_not(shared: Any, server: Any) -> None:
    cache = Cache()
    shared("ours", "AKIA1", cache=cache).get_recommendations(campaign_arn=ARN)
    server.script(403)
    with pytest.raises(Exception, match="HTTP 403"):
        shared("ours", "AKIA2", cache=cache).get_recommendations(campaign_arn=ARN)


def test_embedded_services_share_a_cache_but_no_answer() -> None:
    def answering(item: bytes) -> Any:
        return in_process_client(lambda *_: (200, {}, b'{"itemList": [{"itemId": "%b"}]}' % item))

    cache = Cache()
    one, other = (PersonalizeRuntime(answering(item), cache=cache) for item in (b"a", b"b"))
    assert [runtime.get_recommendations(campaign_arn=ARN).item_ids for runtime in (one, other, one)] == [
        ("a",),
        ("b",),
        ("a",),
    ]


def test_a_stale_fallback_keeps_clients_apart_too(shared: Any, server: Any) -> None:
    fallback = StaleFallback()
    one, other = shared("ours", "AKIA1", fallback=fallback), shared("ours", "AKIA2", fallback=fallback)
    one.get_recommendations(campaign_arn=ARN)
    one.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["i1"])
    server.always(503)
    with pytest.raises(Exception, match="HTTP 503"):
        other.get_recommendations(campaign_arn=ARN)
    assert one.get_recommendations(campaign_arn=ARN).degraded
    assert one.rank_long(campaign_arn=ARN, user_id="u", input_list=["i1"]).degraded
