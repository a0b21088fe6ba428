# pyright: basic
"""Any boto3 client is accepted: one that no stubs describe, and one that they do.

Not strict for pyright: without stubs nothing of boto3 has a type that could be strict.
"""

from __future__ import annotations

from typing import assert_type

import boto3
from botocore.config import Config

from personalize_rt import PersonalizeRuntime, Recommendations

once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
client = boto3.client("personalize-runtime", region_name="eu-west-1", config=once)
assert_type(PersonalizeRuntime(client=client), PersonalizeRuntime)
assert_type(PersonalizeRuntime(client), PersonalizeRuntime)
assert_type(PersonalizeRuntime(session=boto3.Session(), config=once), PersonalizeRuntime)
assert_type(Recommendations.from_response(client.get_recommendations(campaignArn="arn")), Recommendations)
