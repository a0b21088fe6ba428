"""Ways to rank a list and read ids and scores: plain boto3, its wrappers and rivals, this project, and the floor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

ARN = "arn:aws:personalize:eu-west-1:000000000000:campaign/benchmark"
KEY, SECRET, REGION = "benchmark", "benchmark", "eu-west-1"

Contender = Callable[..., tuple[Any, Any]]
"""Ranks a list, given ``input_list`` and ``metadata``: whether to ask for item metadata too; gives ids and scores."""

COLUMNS = ["TITLE", "GENRES"]


def items(size: int) -> list[str]:
    """The items of a request."""
    return [f"item-{index:06d}" for index in range(size)]


def credentials_for_all() -> None:
    """The same fixed credentials for every contender, by the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID=KEY,
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_DEFAULT_REGION=REGION,
        AWS_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )


def more(metadata: bool) -> dict[str, Any]:
    """The member that asks for metadata, or none."""
    return {"metadataColumns": {"ITEMS": COLUMNS}} if metadata else {}


def boto3_plain(url: str) -> Contender:
    """boto3 as it comes, its dict read by hand."""
    import boto3

    client = boto3.client("personalize-runtime", endpoint_url=url)

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        reply = client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=input_list, **more(metadata))
        rows = reply["personalizedRanking"]
        return [row["itemId"] for row in rows], [row.get("score") for row in rows]

    return rank


def boto3_dataclasses(url: str) -> Contender:
    """boto3, its dict turned into dataclasses as teams do by hand."""
    import boto3

    @dataclass(frozen=True)
    class Item:
        item_id: str
        score: float | None
        metadata: dict[str, str] | None

    client = boto3.client("personalize-runtime", endpoint_url=url)

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        reply = client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=input_list, **more(metadata))
        rows = [Item(row["itemId"], row.get("score"), row.get("metadata")) for row in reply["personalizedRanking"]]
        return [row.item_id for row in rows], [row.score for row in rows]

    return rank


def boto3_dataclass_package(url: str) -> Contender:
    """``boto3-dataclass-personalize-runtime`` around boto3."""
    import boto3
    from boto3_dataclass_personalize_runtime import caster

    client = boto3.client("personalize-runtime", endpoint_url=url)

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        reply = client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=input_list, **more(metadata))
        rows = caster.get_personalized_ranking(reply).personalizedRanking
        return [row.itemId for row in rows], [row.score for row in rows]

    return rank


def capo(url: str) -> Contender:
    """``capo-personalize-runtime``: typed, without boto3."""
    from capo_personalize_runtime import PersonalizeRuntimeClient

    client = PersonalizeRuntimeClient(region=REGION, endpoint=url)

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        columns = {"metadata_columns": {"ITEMS": COLUMNS}} if metadata else {}
        reply = client.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=input_list, **columns)
        rows = reply["personalized_ranking"]
        return [row["item_id"] for row in rows], [row.get("score") for row in rows]

    return rank


def personalize_rt(url: str) -> Contender:
    """A client of this project."""
    from personalize_rt import Limits, PersonalizeRuntime

    # The service ranks at most 50 items with metadata; the responder is more generous.
    runtime = PersonalizeRuntime(endpoint_url=url, limits=Limits(input_list_with_metadata=500))

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        columns = COLUMNS if metadata else None
        ranking = runtime.get_personalized_ranking(
            campaign_arn=ARN, user_id="u", input_list=input_list, metadata_columns=columns
        )
        return ranking.item_ids, ranking.scores

    return rank


def floor(url: str) -> Contender:
    """The signer of botocore, urllib3 and json, and nothing else."""
    import urllib3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(KEY, SECRET), "personalize", REGION)
    pool = urllib3.connection_from_url(url)

    def rank(input_list: list[str], metadata: bool = False) -> tuple[Any, Any]:
        body = json.dumps({"campaignArn": ARN, "userId": "u", "inputList": input_list, **more(metadata)})
        request = AWSRequest(
            "POST", f"{url}/personalize-ranking", headers={"Content-Type": "application/json"}, data=body
        )
        signer.add_auth(request)
        reply = pool.urlopen("POST", "/personalize-ranking", body=body, headers=dict(request.headers))
        rows = json.loads(reply.data)["personalizedRanking"]
        return [row["itemId"] for row in rows], [row.get("score") for row in rows]

    return rank


CONTENDERS: dict[str, Callable[[str], Contender]] = {
    "boto3": boto3_plain,
    "boto3 + dataclasses by hand": boto3_dataclasses,
    **({"boto3-dataclass": boto3_dataclass_package} if find_spec("boto3_dataclass_personalize_runtime") else {}),
    **({"capo": capo} if find_spec("capo_personalize_runtime") else {}),
    "personalize-rt": personalize_rt,
    "floor (SigV4 + urllib3 + json)": floor,
}
