"""What users import in their own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from personalize_rt import PersonalizeRuntime
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.moto import mock_personalize
from personalize_rt.testing import set_testing, verify
from personalize_rt.testing.record import Cassette, Exchange, Recorder, record
from personalize_rt.verify import Finding, PlannedRequest, Report, plan

with set_testing(attempts=2) as nothing:
    assert_type(nothing, None)
set_testing()
set_testing(False)

with record("cassette.json", client=object()) as recorder:
    assert_type(recorder, Recorder)
    assert_type(recorder.runtime(deadline=None), PersonalizeRuntime)
    assert_type(recorder.boto3_client(), Any)
with record("cassette.json", mode="once", region_name="eu-west-1") as service:
    assert_type(service, Recorder | Cassette)
    assert_type(service.runtime(), PersonalizeRuntime)
with record("cassette.json", mode="rewrite") as again:
    assert_type(again, Recorder)
cassette = Cassette.load(Path("cassette.json"), users=["u"])
assert_type(cassette, Cassette)
assert_type(cassette.runtime(), PersonalizeRuntime)
assert_type(cassette.exchanges, tuple[Exchange, ...])
with cassette.serve() as url:
    assert_type(url, str)

with mock_personalize(LocalPersonalize.sample()):
    pass

report = verify(object(), campaign_arn=["arn"], filter_arn="arn", filter_values={"A": ["b"]}, context={"A": "b"})
assert_type(report, Report)
assert_type(report.disagreements, tuple[Finding, ...])
assert_type(report.to_json(), str)
assert_type(plan(campaign_arn="arn", item_ids=("a", "b")), list[PlannedRequest])


# The fixtures, as a test names their types.
def test_a_page(
    personalize_runtime: PersonalizeRuntime,
    local_personalize: LocalPersonalize,
    personalize_endpoint: str,
    personalize_cassette: Recorder | Cassette,
) -> None:
    assert_type(personalize_cassette.runtime(), PersonalizeRuntime)
    assert_type(personalize_runtime.campaign(local_personalize.campaign_arn("movies-ranking")).arn, str)
    assert_type(personalize_endpoint, str)
