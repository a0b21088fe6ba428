"""The moto door: boto3 clients inside mock_aws(), and what stays moto's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws
from moto.core.models import botocore_stubber

from personalize_rt import PersonalizeRuntime
from personalize_rt.errors import ConfigurationError, ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.moto import mock_personalize
from personalize_rt.testing.cassette import Cassette

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


@pytest.fixture
def other(service: Callable[..., Any]) -> LocalPersonalize:
    """One that knows another item as the popular one."""
    other: LocalPersonalize = service(
        {
            "interactions.csv": "USER_ID,ITEM_ID,TIMESTAMP\nann,only,1\n",
            "personalize.toml": '[campaigns]\npopular = "aws-popularity-count"\n',
        }
    ).local
    return other


@pytest.fixture(scope="module")
def early() -> Iterator[Any]:
    """A client that was made before there was a mock_aws()."""
    client = boto3.Session(region_name="eu-west-1").client("personalize-runtime", config=ONCE)
    yield client
    client.close()


EVENT = "before-send.personalize-runtime.GetRecommendations"


def prepared() -> AWSPreparedRequest:
    url = "https://personalize-runtime.eu-west-1.amazonaws.com/recommendations"
    return AWSPreparedRequest("POST", url, {}, b"{}", False)


def popular(client: Any, local: LocalPersonalize) -> list[str]:
    reply = client.get_recommendations(campaignArn=local.campaign_arn("popular"), numResults=2)
    return [item["itemId"] for item in reply["itemList"]]


def test_it_answers_beside_the_services_of_moto(local: LocalPersonalize) -> None:
    with mock_aws(), mock_personalize(local):
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="films")
        client = boto3.client("personalize-runtime", region_name="us-east-2")
        assert popular(client, local) == ["hit", "a"]
        with pytest.raises(client.exceptions.InvalidInputException):
            client.get_recommendations(campaignArn=local.campaign_arn("popular") + "x")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["films"]


def test_a_client_made_before_the_block_is_answered_in_it_and_only_there(early: Any, local: LocalPersonalize) -> None:
    with mock_aws():
        with mock_personalize(local):
            assert popular(early, local) == ["hit", "a"]
        with pytest.raises(ClientError) as failure:
            popular(early, local)
    assert failure.value.response["Error"]["Code"] == "404"


def test_a_runtime_that_builds_its_own_client_is_answered(local: LocalPersonalize) -> None:
    arn = local.campaign_arn("popular")
    with mock_aws(), mock_personalize(local), PersonalizeRuntime(region_name="eu-west-1") as runtime:
        answer = runtime.get_recommendations(campaign_arn=arn, num_results=1)
    assert answer.item_ids == ("hit",)


def test_all_three_apis_are_answered_here_and_never_by_moto(local: LocalPersonalize) -> None:
    schema = {"name": "ratings", "schema": "{}"}
    with mock_aws():
        control = boto3.client("personalize", region_name="eu-west-1", config=ONCE)
        of_moto = control.create_schema(**schema)["schemaArn"]
        with mock_personalize(local):
            # moto's schema cannot be seen, and what is written here does not reach moto.
            with pytest.raises(ClientError) as unseen:
                control.describe_schema(schemaArn=of_moto)
            with suppress(ClientError):
                control.create_schema(name="inner", schema="{}")
            with suppress(ClientError):
                boto3.client("personalize-events", region_name="eu-west-1", config=ONCE).put_events(
                    trackingId="t", sessionId="s", eventList=[{"eventType": "Watch", "sentAt": 1}]
                )
        assert unseen.value.response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/x-amz-json-1.1"
        assert [one["name"] for one in control.list_schemas()["schemas"]] == ["ratings"]
    assert [(row.service, row.operation) for row in local.requests] == [
        ("personalize", "DescribeSchema"),
        ("personalize", "CreateSchema"),
        ("personalize-events", "PutEvents"),
    ]


def test_a_cassette_leaves_the_other_apis_to_moto() -> None:
    cassette = Cassette([])
    with mock_aws(), mock_personalize(cassette):
        control = boto3.client("personalize", region_name="eu-west-1", config=ONCE)
        assert control.list_schemas()["schemas"] == []
    with pytest.raises(ValidationError, match="personalize-runtime"):
        cassette.boto3_client("personalize")


def test_it_is_a_decorator_too(early: Any, local: LocalPersonalize) -> None:
    @mock_aws
    @mock_personalize(local)
    def asked() -> list[str]:
        return popular(early, local)

    assert asked() == ["hit", "a"]
    assert asked() == ["hit", "a"]


def test_the_innermost_block_counts(early: Any, local: LocalPersonalize, other: LocalPersonalize) -> None:
    with mock_aws(), mock_personalize(local):
        with mock_personalize(other):
            assert popular(early, other)[0] == "only"
        assert popular(early, local)[0] == "hit"


def test_a_client_with_an_endpoint_of_its_own_goes_there(local: LocalPersonalize) -> None:
    with mock_aws(), mock_personalize(local):
        client = boto3.client(
            "personalize-runtime", region_name="eu-west-1", endpoint_url="http://127.0.0.1:9", config=ONCE
        )
        with pytest.raises(EndpointConnectionError):
            popular(client, local)


def test_an_in_process_client_is_answered_by_its_own_service_alone(
    local: LocalPersonalize, other: LocalPersonalize
) -> None:
    other.faults.fail()
    with mock_aws(), mock_personalize(other):
        assert popular(local.boto3_client(), local)[0] == "hit"
    assert other.faults.rules[0].fired == 0


@pytest.mark.parametrize(
    "host",
    [
        "personalize-runtime.cn-north-1.amazonaws.com.cn",
        "personalize-runtime.eu-west-1.api.aws",
        "vpce-1.personalize-runtime.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_every_host_of_aws_is_answered(host: str, local: LocalPersonalize) -> None:
    with mock_aws(), mock_personalize(local):
        client = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=f"https://{host}")
        assert popular(client, local) == ["hit", "a"]


def test_each_client_sees_faults_by_its_own_time_out(early: Any, local: LocalPersonalize) -> None:
    patient = early  # botocore's own 60 seconds
    with mock_aws(), mock_personalize(local):
        hasty = boto3.client("personalize-runtime", region_name="eu-west-1", config=Config(read_timeout=1).merge(ONCE))
        local.faults.latency(30)
        assert popular(patient, local) == ["hit", "a"]
        with pytest.raises(ReadTimeoutError):
            popular(hasty, local)
        local.faults.clear()
        local.faults.throttle(times=1)
        with pytest.raises(ClientError, match="ThrottlingException"):
            popular(patient, local)
        assert popular(hasty, local) == ["hit", "a"]


def test_threads_are_answered_each_by_its_own_client(early: Any, local: LocalPersonalize) -> None:
    answers: list[list[str]] = []
    with mock_aws(), mock_personalize(local):
        threads = [threading.Thread(target=lambda: answers.append(popular(early, local))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [["hit", "a"]] * 8


def test_outside_of_mock_aws_it_says_where_it_belongs(local: LocalPersonalize) -> None:
    with pytest.raises(ConfigurationError, match=r"inside mock_aws\(\)"), mock_personalize(local):
        pass


def test_without_moto_it_says_what_to_install(local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "moto.core.models", None)
    with pytest.raises(ConfigurationError, match=r'pip install "moto>=5"'), mock_personalize(local):
        pass


def test_a_request_that_no_client_of_boto3_makes_gets_an_error_that_says_so(local: LocalPersonalize) -> None:
    """Aiobotocore asks moto's handler like this."""
    with mock_aws(), mock_personalize(local), pytest.raises(ConfigurationError, match="aiobotocore"):
        botocore_stubber(event_name=EVENT, request=prepared())


def test_when_mock_aws_ends_first_requests_go_where_they_always_go(local: LocalPersonalize) -> None:
    aws = mock_aws()
    aws.start()
    with mock_personalize(local):
        aws.stop()
        assert botocore_stubber(event_name=EVENT, request=prepared()) is None


def test_a_client_of_aiobotocore_gets_that_error(local: LocalPersonalize) -> None:
    asyncio = pytest.importorskip("asyncio")
    session = pytest.importorskip("aiobotocore.session")

    async def ask() -> None:
        async with session.get_session().create_client("personalize-runtime", region_name="eu-west-1") as client:
            await client.get_recommendations(campaignArn=local.campaign_arn("popular"))

    with mock_aws(), mock_personalize(local), pytest.raises(ConfigurationError, match="aiobotocore"):
        asyncio.run(ask())


def test_the_end_of_the_block_waits_for_jobs(local: LocalPersonalize) -> None:
    """A job that went on would find another mock_aws(), or none."""
    fields = [{"name": name, "type": kind} for name, kind in (("ITEM_ID", "string"), ("YEAR", "long"))]
    schema = json.dumps({"type": "record", "name": "Items", "namespace": "x", "fields": fields, "version": "1.0"})
    with mock_aws():
        s3: Any = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="a.csv", Body=b"ITEM_ID,YEAR\n" + b"i,1990\n" * 20_000)
        with mock_personalize(local):
            control: Any = boto3.client("personalize", region_name="us-east-1")
            group = control.create_dataset_group(name="films")["datasetGroupArn"]
            made = {"datasetGroupArn": group, "datasetType": "Items"}
            made["schemaArn"] = control.create_schema(name="s", schema=schema)["schemaArn"]
            job = control.create_dataset_import_job(
                jobName="j",
                datasetArn=control.create_dataset(name="d", **made)["datasetArn"],
                dataSource={"dataLocation": "s3://bucket/a.csv"},
                roleArn="arn:aws:iam::123456789012:role/r",
            )["datasetImportJobArn"]
        assert local.finish_jobs(timeout=0)
    found = local.boto3_client("personalize").describe_dataset_import_job(datasetImportJobArn=job)
    assert found["datasetImportJob"]["status"] == "ACTIVE"


def test_the_end_of_the_block_leaves_nothing_behind(local: LocalPersonalize) -> None:
    before = type(botocore_stubber).__call__, BaseClient._make_api_call
    with mock_aws(), suppress(LookupError), mock_personalize(local):
        assert (type(botocore_stubber).__call__, BaseClient._make_api_call) != before
        raise LookupError
    assert (type(botocore_stubber).__call__, BaseClient._make_api_call) == before
