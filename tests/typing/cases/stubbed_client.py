# pyright: strict, reportUnknownMemberType=false
"""A client that stubs describe (``boto3-stubs[personalize-runtime]``). Checked only where they are installed.

Strict but for one thing: the type of ``boto3.client`` itself names the clients of services without installed stubs.
"""

from __future__ import annotations

from typing import assert_type

import boto3
from mypy_boto3_personalize_runtime import PersonalizeRuntimeClient
from mypy_boto3_personalize_runtime.type_defs import GetPersonalizedRankingResponseTypeDef

from personalize_rt import ActionRecommendations, PersonalizeRuntime, Ranking, Recommendations

client = boto3.client("personalize-runtime")
assert_type(client, PersonalizeRuntimeClient)
assert_type(PersonalizeRuntime(client=client), PersonalizeRuntime)
assert_type(PersonalizeRuntime(client=boto3.Session().client("personalize-runtime")), PersonalizeRuntime)

# What the stubs call a reply is what from_response reads.
assert_type(Recommendations.from_response(client.get_recommendations(campaignArn="arn")), Recommendations)
assert_type(
    ActionRecommendations.from_response(client.get_action_recommendations(campaignArn="arn", userId="u")),
    ActionRecommendations,
)


def read(reply: GetPersonalizedRankingResponseTypeDef) -> Ranking:
    return Ranking.from_response(reply, input_list=["a"])
