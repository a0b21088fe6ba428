"""Handles for any ARN, an object with boto3's methods, and values and promotions in the service's form."""

from __future__ import annotations

from typing import Any, Never, assert_type

from personalize_rt import Campaign, PersonalizeRuntime, Promotion, RawFilterValue, RawFilterValues, Recommender
from personalize_rt.aio import AsyncCampaign, AsyncPersonalizeRuntime, AsyncRecommender
from personalize_rt.local import LocalPersonalize
from personalize_rt.options import BuildOptions, CallOptions
from personalize_rt.testing.record import Cassette

runtime = PersonalizeRuntime(verify="/etc/ssl/bundle.pem")
assert_type(PersonalizeRuntime(verify=False), PersonalizeRuntime)
handle = runtime.resource("arn", num_results=10)
assert_type(handle, Campaign | Recommender)
if isinstance(handle, Campaign):
    handle.rank("u", ["a"])

sale = {"name": "sale", "percentPromotedItems": 20, "filterArn": "arn", "filterValues": {"GENRE": '"Comedy"'}}
values = RawFilterValues({"GENRE": '"Comedy","Drama"'})
assert_type(values["GENRE"], RawFilterValue)
handle.recommend("u", promotions=[sale], filter_arn="arn", filter_values=values)
handle.recommend("u", promotions=[Promotion("spring", 10), sale])

client = runtime.as_boto3()
assert_type(client.get_recommendations(campaignArn="arn", userId="u"), dict[str, Any])
try:
    client.get_personalized_ranking(campaignArn="arn", userId="u", inputList=["a"])
except client.exceptions.ResourceNotFoundException as error:
    assert_type(error.code, str)
assert_type(runtime.can_paginate("get_recommendations"), bool)


def pages() -> Never:
    runtime.get_paginator("get_recommendations")


def wait() -> Never:
    runtime.get_waiter("campaign_active")


def made(local: LocalPersonalize, cassette: Cassette, options: CallOptions) -> PersonalizeRuntime:
    more: BuildOptions = {"deadline": 0.15, "region_name": "eu-west-1"}
    assert_type(local.runtime(**more), PersonalizeRuntime)
    return cassette.runtime(**options)


async def awaited(waiting: AsyncPersonalizeRuntime) -> None:
    assert_type(waiting.resource("arn"), AsyncCampaign | AsyncRecommender)
    assert_type(await waiting.as_boto3().get_recommendations(campaignArn="arn"), dict[str, Any])
