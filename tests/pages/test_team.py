"""The containers of docs/how-to/team, without containers: commands, environments and health check are run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest
from botocore.config import Config

from tests.optional import optional

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "how-to" / "team"
DOCKERFILE = (FILES / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


def instruction(name: str) -> str:
    (found,) = re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)
    return str(found)


@attrs.frozen
class Team:
    """The two servers, by the settings of the compose file."""

    url: str
    s3_url: str
    keys: dict[str, str]

    def client(self, service: str, url: str = "", secret: str = "") -> Any:
        session: Any = boto3.Session(
            aws_access_key_id=self.keys["PERSONALIZE_RT_ACCESS_KEY_ID"],
            aws_secret_access_key=secret or self.keys["PERSONALIZE_RT_SECRET_ACCESS_KEY"],
            region_name="eu-west-1",
        )
        made: Any = session.client(service, endpoint_url=url or self.url, config=ONCE)
        return made

    def status(self, path: str, host: str) -> int:
        request = urllib.request.Request(self.url + path, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    yaml, server = optional("yaml"), optional("moto.server")
    optional("uvicorn")
    optional("typer")
    services = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))["services"]
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    folder = tmp_path_factory.mktemp("team")
    s3_url = "http://{}:{}".format(*moto.get_host_and_port())
    program, *arguments = json.loads(instruction("ENTRYPOINT"))
    assert program == "personalize-rt"
    command = [*arguments, *(one.replace("http://aws:5000", s3_url) for one in services["personalize"]["command"])]
    ready = folder / "ready.txt"
    keys = services["personalize"]["environment"]
    running = subprocess.Popen(
        [sys.executable, "-m", "personalize_rt", *command, "--port", "0", "--ready-file", str(ready), "--log", "off"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **keys},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            assert running.poll() is None, running.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        port = ready.read_text(encoding="utf-8").strip().rpartition(":")[2]
        yield Team(f"http://127.0.0.1:{port}", s3_url, keys)
    finally:
        running.terminate()
        running.communicate(timeout=30)
        moto.stop()


def test_the_image_installs_extras_that_there_are() -> None:
    named = re.search(r'pip install --no-cache-dir "([\w-]+)\[([\w,]+)\]"', instruction("RUN"))
    assert named is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert named[1] == project["name"]
    assert {*named[2].split(",")} <= {*project["optional-dependencies"]}


def test_both_files_speak_of_one_port() -> None:
    compose = (FILES / "compose.yaml").read_text(encoding="utf-8")
    assert instruction("EXPOSE") == "8700"
    assert '"127.0.0.1:8700:8700"' in compose
    assert ":8700/healthz" in instruction("HEALTHCHECK")


def test_health_check_of_the_image_succeeds(team: Team) -> None:
    program, *arguments = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert program == "python"
    asked = [one.replace("http://127.0.0.1:8700", team.url) for one in arguments]
    subprocess.run([sys.executable, *asked], check=True, timeout=60)


def test_names_of_the_compose_file_are_taken_and_others_refused(team: Team) -> None:
    for host, status in (("personalize:8700", 200), ("localhost", 200), ("page.example", 403)):
        assert team.status("/healthz", host) == status


def test_only_signed_requests_are_answered(team: Team) -> None:
    control = team.client("personalize", secret="another")
    with pytest.raises(control.exceptions.ClientError, match="InvalidSignatureException"):
        control.list_dataset_groups()
    control.close()


def test_import_reads_the_bucket_of_the_other_container(team: Team) -> None:
    s3, control = team.client("s3", team.s3_url), team.client("personalize")
    s3.create_bucket(Bucket="team-films", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="team-films", Key="a.csv", Body=b"USER_ID,ITEM_ID,TIMESTAMP\nu,i,1600000000\n")
    group = control.create_dataset_group(name="team")["datasetGroupArn"]
    fields = [{"name": name, "type": "string"} for name in ("USER_ID", "ITEM_ID")]
    schema = {"type": "record", "name": "Interactions", "namespace": "x", "version": "1.0"}
    text = json.dumps({**schema, "fields": [*fields, {"name": "TIMESTAMP", "type": "long"}]})
    schema_arn = control.create_schema(name="team", schema=text)["schemaArn"]
    made = {"datasetType": "Interactions", "datasetGroupArn": group, "schemaArn": schema_arn}
    job = control.create_dataset_import_job(
        jobName="team",
        datasetArn=control.create_dataset(name="team", **made)["datasetArn"],
        dataSource={"dataLocation": "s3://team-films/a.csv"},
        roleArn="arn:aws:iam::123456789012:role/team",
    )["datasetImportJobArn"]
    found = control.describe_dataset_import_job(datasetImportJobArn=job)["datasetImportJob"]
    assert (found["status"], found.get("failureReason")) == ("ACTIVE", None)
    for client in (s3, control):
        client.close()
