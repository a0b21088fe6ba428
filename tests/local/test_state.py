"""A directory of state: a restart goes on, and damage is told."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import TrackedEvent
from personalize_rt.errors import ValidationError
from personalize_rt.local import HttpRequest, LocalDataWarning, LocalGroups, LocalPersonalize, LocalStateError
from tests.local.control_requests import refused, told

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files cannot be locked there")

SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}
ROLE = "arn:aws:iam::123456789012:role/r"
Start = Callable[[], LocalPersonalize]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """The directory of the objects of S3, with events."""
    root = tmp_path / "s3"
    (root / "bucket").mkdir(parents=True)
    rows = [f"u{n % 20},i{n % 7},Watch,{1_600_000_000 + n}" for n in range(200)]
    text = "\n".join(["USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP", *rows])
    (root / "bucket" / "events.csv").write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(tmp_path: Path, bucket: Path, clock: Clock) -> Iterator[Start]:
    """Starts a service on the directory of state, after the end of the one before."""
    running: list[LocalPersonalize] = []

    def start() -> LocalPersonalize:
        if running:
            running.pop().close()
        local = LocalPersonalize.sample(s3_root=bucket, clock=clock).resume(tmp_path / "state")
        running.append(local)
        return local

    yield start
    for local in running:
        local.close()


def chain(local: Any, name: str = "shop") -> str:
    """A dataset group with data, an event tracker, a filter, and a campaign, whose ARN is returned."""
    group = told(local, "CreateDatasetGroup", name=name, tags=[{"tagKey": "k", "tagValue": "v"}])["datasetGroupArn"]
    schema = told(local, "CreateSchema", name=name, schema=json.dumps(SCHEMA))["schemaArn"]
    dataset = told(
        local, "CreateDataset", name=name, schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    load(local, dataset, f"{name}-first")
    recipe = "arn:aws:personalize:::recipe/aws-user-personalization"
    solution = told(local, "CreateSolution", name=name, datasetGroupArn=group, recipeArn=recipe)["solutionArn"]
    version = told(local, "CreateSolutionVersion", solutionArn=solution)["solutionVersionArn"]
    campaign: str = told(local, "CreateCampaign", name=name, solutionVersionArn=version)["campaignArn"]
    expression = 'EXCLUDE ItemID WHERE Interactions.event_type IN ("Watch")'
    told(local, "CreateFilter", name=f"{name}-unseen", datasetGroupArn=group, filterExpression=expression)
    told(local, "CreateEventTracker", name=name, datasetGroupArn=group)
    return campaign


def load(local: Any, dataset: str, job: str) -> dict[str, Any]:
    arn = told(
        local,
        "CreateDatasetImportJob",
        jobName=job,
        datasetArn=dataset,
        roleArn=ROLE,
        dataSource={"dataLocation": "s3://bucket/events.csv"},
    )["datasetImportJobArn"]
    found: dict[str, Any] = told(local, "DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
    return found


def put_event(local: Any, group: str, item: str, **more: Any) -> None:
    tracker = told(local, "ListEventTrackers", datasetGroupArn=group)["eventTrackers"][0]["eventTrackerArn"]
    tracking = told(local, "DescribeEventTracker", eventTrackerArn=tracker)["eventTracker"]["trackingId"]
    event = {"eventType": "Watch", "itemId": item, "sentAt": 1_700_000_000, "eventValue": 0.0, **more}
    body = {"trackingId": tracking, "sessionId": "s", "userId": "u3", "eventList": [event]}
    response = local.handle(HttpRequest("POST", "/events", {}, json.dumps(body).encode()))
    assert response.status == 200, response.body


def items_of(local: Any, **members: Any) -> list[str]:
    response = local.handle(HttpRequest("POST", "/recommendations", {}, json.dumps(members).encode()))
    assert response.status == 200, response.body
    return [row["itemId"] for row in json.loads(response.body)["itemList"]]


KINDS = ("DatasetGroup", "Schema", "Dataset", "Solution", "SolutionVersion", "Campaign", "Filter", "EventTracker")


def listed(local: Any, kind: str) -> list[dict[str, Any]]:
    """The rows of all pages of a List operation."""
    rows: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while True:
        reply = told(local, f"List{kind}s", **page)
        rows += next(found for name, found in reply.items() if name != "nextToken")
        if "nextToken" not in reply:
            return rows
        page = {"nextToken": reply["nextToken"]}


def everything(local: Any) -> dict[str, Any]:
    """All resources, as Describe tells them, without times: some milliseconds are between a request and its record."""
    found: dict[str, Any] = {}
    for kind in (*KINDS, "DatasetImportJob", "Recommender"):
        member = f"{kind[0].lower()}{kind[1:]}"
        for row in listed(local, kind):
            arn = row[f"{member}Arn"]
            row = told(local, f"Describe{kind}", **{f"{member}Arn": arn})[member]
            found[arn] = {name: value for name, value in row.items() if not name.endswith("DateTime")}
            found[arn].pop("latestSolutionVersion", None)
    return found


# A restart goes on.


def test_restart_has_all_resources_answers_events_and_filters(start: Start) -> None:
    local = start()
    campaign = chain(local)
    group = campaign.replace("campaign/", "dataset-group/")
    put_event(local, group, "i2")
    asked = {"campaignArn": campaign, "userId": "u3"}
    unseen = {**asked, "filterArn": campaign.replace("campaign/shop", "filter/shop-unseen")}
    before, answers = everything(local), (items_of(local, **asked), items_of(local, **unseen))
    assert "i2" not in answers[1]
    again = start()
    assert everything(again) == before
    assert (items_of(again, **asked), items_of(again, **unseen)) == answers
    assert told(again, "ListTagsForResource", resourceArn=group)["tags"] == [{"tagKey": "k", "tagValue": "v"}]
    # And it goes on: names are taken, the numbers of versions go on, events are told to the filter.
    assert refused(again, "CreateDatasetGroup", name="shop")[0] == "ResourceAlreadyExistsException"
    version = told(again, "CreateSolutionVersion", solutionArn=campaign.replace("campaign/", "solution/"))
    assert version["solutionVersionArn"] not in before
    assert everything(start()).keys() == before.keys() | {version["solutionVersionArn"]}


def test_version_answers_from_the_data_that_it_learned_from(start: Start, bucket: Path) -> None:
    """A later import, and what became of the file, change nothing."""
    local = start()
    campaign = chain(local)
    before = items_of(local, campaignArn=campaign, userId="u1")
    (bucket / "bucket" / "events.csv").write_text(
        "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\nu1,other,Watch,1", encoding="utf-8"
    )
    load(local, campaign.replace("campaign/shop", "dataset/shop/INTERACTIONS"), "second")
    (bucket / "bucket" / "events.csv").unlink()
    again = start()
    assert items_of(again, campaignArn=campaign, userId="u1") == before
    solution = campaign.replace("campaign/", "solution/")
    version = told(again, "CreateSolutionVersion", solutionArn=solution)["solutionVersionArn"]
    told(again, "UpdateCampaign", campaignArn=campaign, solutionVersionArn=version)
    assert items_of(again, campaignArn=campaign, userId="u1") == ["other"]


def test_job_that_failed_has_failed_after_a_restart(start: Start, bucket: Path) -> None:
    local = start()
    campaign = chain(local)
    (bucket / "bucket" / "events.csv").unlink()
    dataset = campaign.replace("campaign/shop", "dataset/shop/INTERACTIONS")
    failed = load(local, dataset, "gone")
    assert failed["status"] == "CREATE FAILED"
    (bucket / "bucket" / "events.csv").write_text("USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\nu,i,W,1", encoding="utf-8")
    told_again = told(start(), "DescribeDatasetImportJob", datasetImportJobArn=failed["datasetImportJobArn"])
    assert told_again["datasetImportJob"]["failureReason"] == failed["failureReason"]


def test_job_in_progress_begins_anew_after_a_restart(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from personalize_rt.local.control.made import Worker

    local = start()
    campaign = chain(local)
    solution = campaign.replace("campaign/", "solution/")
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "_start", lambda worker: None)
        version = told(local, "CreateSolutionVersion", solutionArn=solution)["solutionVersionArn"]
    again = start()
    found = told(again, "DescribeSolutionVersion", solutionVersionArn=version)["solutionVersion"]
    assert found["status"] == "ACTIVE"


def test_restart_refuses_nothing_that_was_accepted(
    tmp_path: Path, bucket: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for jobs, which all wait while a restart tells them again, nor for quotas that are lower by now."""
    from personalize_rt.local.control import created, made, requests

    def start() -> LocalPersonalize:
        return LocalPersonalize.sample(s3_root=bucket, clock=clock, quotas=True).resume(tmp_path / "state")

    local = start()
    campaign = chain(local)
    for number in range(6):  # more at once than the quota
        load(local, campaign.replace("campaign/shop", "dataset/shop/INTERACTIONS"), f"more{number}")
    before = everything(local)
    local.close()
    for module in (created, made):
        monkeypatch.setattr(module, "MOST_WAITING", 1)
    monkeypatch.setattr(requests, "MOST_GROUPS", 0)
    monkeypatch.setattr(requests, "MOST_OF_A_KIND", 0)
    again = start()
    assert everything(again) == before
    assert refused(again, "CreateDatasetGroup", name="other")[0] == "LimitExceededException"
    again.close()


def test_deletions_and_updates_are_kept(start: Start) -> None:
    local = start()
    campaign = chain(local)
    told(local, "UpdateCampaign", campaignArn=campaign, minProvisionedTPS=3)
    told(local, "DeleteFilter", filterArn=campaign.replace("campaign/shop", "filter/shop-unseen"))
    again = start()
    assert told(again, "DescribeCampaign", campaignArn=campaign)["campaign"]["minProvisionedTPS"] == 3
    assert not any("shop-unseen" in arn for arn in everything(again))


def test_dataset_group_that_was_deleted_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    local = start()
    campaign = chain(local)
    for kind in ("Campaign", "Solution", "EventTracker", "Filter", "Dataset", "DatasetGroup"):
        member = f"{kind[0].lower()}{kind[1:]}Arn"
        for arn in [arn for arn in everything(local) if "shop" in arn]:
            part = arn.split(":")[5].split("/")
            if part[0].replace("-", "") == kind.lower() and (kind != "Solution" or len(part) == 2):
                told(local, f"Delete{kind}", **{member: arn})
    chain(local, "other")
    again = start()
    assert not any("dataset-group/shop" in arn or arn == campaign for arn in everything(again))
    assert len([*(tmp_path / "state").glob("*.dataset")]) == 1, "the data of a deleted group are still there"
    assert b"dataset-group/shop" not in (tmp_path / "state" / "journal").read_bytes()


def test_what_requests_changed_in_a_directory_is_kept_until_it_is_loaded_again(start: Start) -> None:
    local = start()
    arn = local.add_filter("new", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.put_events(session_id="s", user_id="u", events=[TrackedEvent(event_type="Watch", item_id="tt0468569")])
    again = start()
    assert again.filter_arn("new") == arn
    assert again._engine.items.of_user("u")[0].item_id == "tt0468569"
    again.reload()
    last = start()
    assert "new" not in last.filters
    assert last._engine.items.of_user("u") == ()


def test_state_wins_over_the_filter_that_the_directory_declares(start: Start, tmp_path: Path, bucket: Path) -> None:
    local = start()
    local.add_filter("mine", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.close()
    data = tmp_path / "data"
    data.mkdir()
    (data / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n", encoding="utf-8")
    (data / "items.csv").write_text("ITEM_ID,GENRES\ni,Drama\n", encoding="utf-8")
    settings = '[options]\ndataset_group = "sample"\n[filters]\nmine = \'EXCLUDE ItemID WHERE Items.GENRES IN ("x")\'\n'
    (data / "personalize.toml").write_text(settings, encoding="utf-8")
    there = LocalPersonalize.from_directory(data)
    sample = local.dataset_group_arn
    if there.dataset_group_arn != sample:
        settings = settings.replace('"sample"', f'"{sample.rpartition("/")[2]}"')
        (data / "personalize.toml").write_text(settings, encoding="utf-8")
    there = LocalPersonalize.from_directory(data).resume(tmp_path / "state")
    assert "INCLUDE" in str(there.filter_expression("mine"))
    there.close()


def test_what_does_not_fit_another_directory_is_left_out_and_told(start: Start, tmp_path: Path) -> None:
    local = start()
    local.add_filter("drama", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.close()
    data = tmp_path / "data"
    data.mkdir()
    (data / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n", encoding="utf-8")
    with pytest.warns(LocalDataWarning, match="CreateFilter does not fit"):
        there = LocalPersonalize.from_directory(data).resume(tmp_path / "state")
    there.close()
    assert "drama" in start().filters, "what was left out is gone"


def test_saved_state_is_resumed_elsewhere(tmp_path: Path, bucket: Path, clock: Clock) -> None:
    local = LocalPersonalize.sample(s3_root=bucket, clock=clock)
    campaign = chain(local)
    put_event(local, campaign.replace("campaign/", "dataset-group/"), "i2")
    before, answer = everything(local), items_of(local, campaignArn=campaign, userId="u3")
    local.save(tmp_path / "saved")
    with pytest.raises(ValidationError, match="has a state already"):
        local.save(tmp_path / "saved")
    there = LocalPersonalize.sample(clock=clock).resume(tmp_path / "saved")
    assert everything(there) == before
    assert items_of(there, campaignArn=campaign, userId="u3") == answer
    there.save(tmp_path / "copy")
    there.close()
    again = LocalPersonalize.sample(clock=clock).resume(tmp_path / "copy")
    assert everything(again) == before
    again.close()


def test_state_of_several_directories(tmp_path: Path, bucket: Path) -> None:
    def groups() -> LocalGroups:
        data = tmp_path / "films"
        if not data.exists():
            data.mkdir()
            (data / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n", encoding="utf-8")
            (data / "personalize.toml").write_text('[options]\ndataset_group = "films"\n', encoding="utf-8")
        sample, films = LocalPersonalize.sample(s3_root=bucket), LocalPersonalize.from_directory(data)
        return LocalGroups(sample, films).resume(tmp_path / "state")

    local = groups()
    campaign = chain(local)
    local["films"].put_events(session_id="s", user_id="x", events=[TrackedEvent(event_type="W", item_id="i")])
    local.close()
    again = groups()
    assert campaign in everything(again)
    assert again["films"]._engine.items.of_user("x")[0].item_id == "i"
    again.close()


# Files.


def test_files_can_be_read_by_their_owner_only(start: Start, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        chain(start())
    finally:
        os.umask(umask)
    there = tmp_path / "state"
    assert stat.S_IMODE(there.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in there.iterdir()} == {0o600}


def test_directory_that_another_process_has_is_refused(start: Start, tmp_path: Path) -> None:
    first = start()
    with pytest.raises(LocalStateError, match="in use by another process"):
        LocalPersonalize.sample().resume(tmp_path / "state")
    first.add_filter("new", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    assert "new" in start().filters


def test_state_comes_before_changes(tmp_path: Path) -> None:
    local = LocalPersonalize.sample()
    local.add_filter("new", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    with pytest.raises(ValidationError, match="before the first change"):
        local.resume(tmp_path / "state")


def test_journal_that_is_cut_off_anywhere_has_what_is_whole(start: Start, tmp_path: Path) -> None:
    local = start()
    for n in range(5):
        local.add_filter(f"f{n}", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.close()
    journal = tmp_path / "state" / "journal"
    content = journal.read_bytes()
    counts: list[int] = []
    for size in range(0, len(content) + 1, 37):
        journal.write_bytes(content[:size])
        counts.append(len([name for name in start().filters if name[0] == "f"]))
    assert counts == sorted(counts)
    assert {*counts} == {0, 1, 2, 3, 4} or {*counts} == {0, 1, 2, 3, 4, 5}


def test_journal_with_a_wrong_byte_is_refused_and_left_alone(start: Start, tmp_path: Path) -> None:
    local = start()
    for n in range(3):
        local.add_filter(f"f{n}", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.close()
    journal = tmp_path / "state" / "journal"
    content = journal.read_bytes()
    for place in range(40, len(content) - 1, 61):
        wrong = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        journal.write_bytes(wrong)
        with pytest.raises(LocalStateError, match="journal is damaged, and nothing was changed"):
            start()
        assert journal.read_bytes() == wrong


@pytest.mark.parametrize("harm", ["cut", "gone", "wrong"])
def test_dataset_that_is_damaged_is_told(start: Start, tmp_path: Path, harm: str) -> None:
    chain(start())
    (data,) = (tmp_path / "state").glob("*.dataset")
    content = data.read_bytes()
    if harm == "gone":
        data.unlink()
    else:
        data.write_bytes(content[:-1] if harm == "cut" else content[:200] + b"!" + content[201:])
    with pytest.raises(LocalStateError, match=r"1\.dataset"):
        start()


def test_state_of_another_version_is_refused(start: Start, tmp_path: Path) -> None:
    start().close()
    journal = tmp_path / "state" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"state 1\n", b"state 2\n"))
    with pytest.raises(LocalStateError, match="is of version 2, which this release does not know"):
        start()


# Kills.

KILLED = """
import json, os, signal, sys, threading
from personalize_rt.local import LocalPersonalize
from tests.local import test_state as t

state, bucket, left, after = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
local = LocalPersonalize.sample(s3_root=bucket, clock=lambda: 1_600_000_000.0).resume(state)
if left >= 0:
    count = [left]
    def counted(plain):
        def function(*arguments, **options):
            count[0] -= 1
            if count[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*arguments, **options)
        return function
    for name in ("open", "unlink", "pwrite", "ftruncate", "fsync", "replace"):
        setattr(os, name, counted(getattr(os, name)))
if after:
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
def say(text):
    print(text, flush=True)
number = len(t.listed(local, "DatasetGroup"))
while number < 1000:
    name = f"g{number}"
    plain = t.told
    def telling(local, operation, **members):
        reply = plain(local, operation, **members)
        arns = [value for key, value in reply.items() if key.endswith("Arn")]
        if operation.startswith("Create"):
            say(f"made {arns[0]}")
        return reply
    t.told = telling
    campaign = t.chain(local, name)
    for n in range(6):
        t.put_event(local, campaign.replace("campaign/", "dataset-group/"), f"i{n}", eventId=f"{name}-{n}")
        say(f"event {campaign} i{n}")
    t.told = plain
    number += 1
say("end")
"""


def _killed(tmp_path: Path, bucket: Path, steps: int, after: float = 0.0) -> tuple[set[str], list[list[str]]]:
    """The ARNs and the events that a process was answered until it was killed, by a step of the disk or by a time."""
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(bucket), str(steps), str(after)]
    process = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=False)
    assert process.returncode == -9, "it ended otherwise"
    lines = [line.split() for line in process.stdout.splitlines(keepends=True) if line.endswith("\n")]
    return {line[1] for line in lines if line[0] == "made"}, [line for line in lines if line[0] == "event"]


def _check(start: Start, made: set[str], events: list[list[str]]) -> None:
    local = start()
    found = everything(local)
    assert made <= found.keys(), "something that was answered is lost"
    assert {row["status"] for row in found.values() if "status" in row} <= {"ACTIVE"}
    for _, campaign, item in events:
        group = next(one for one in inside_groups(local) if one.has(campaign))
        assert item in {event.item_id for event in group.engine.items.of_user("u3")}, "an event is lost"
    for arn in found:
        if ":campaign/g" in arn:
            assert items_of(local, campaignArn=arn, userId="u3")
    local.close()


def inside_groups(local: LocalPersonalize) -> Any:
    return local._account.groups


@pytest.mark.parametrize("steps", [0, 1, 3, 7, 12, 16, 20, 25])
def test_process_killed_before_a_step_of_the_disk_has_lost_nothing(
    start: Start, tmp_path: Path, bucket: Path, steps: int
) -> None:
    made, events = _killed(tmp_path, bucket, steps)
    _check(start, made, events)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_process_killed_at_50_moments_has_lost_nothing(start: Start, tmp_path: Path, bucket: Path) -> None:
    chance = random.Random(22)
    made: set[str] = set()
    events: list[list[str]] = []
    for moment in range(50):
        if moment % 2:
            again, more = _killed(tmp_path, bucket, chance.randrange(60))
        else:
            again, more = _killed(tmp_path, bucket, -1, 0.01 + 2 * chance.random())
        made |= again
        events += more
        _check(start, made, events)
        if moment % 5 == 4:  # begin anew, before there are all groups
            for path in (tmp_path / "state").iterdir():
                path.unlink()
            made, events = set(), []
