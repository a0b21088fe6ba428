"""Outputs that are there already, and that somebody changed: a summary or our error."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from personalize_rt import PersonalizeRuntime, bulk
from personalize_rt.bulk import finished
from personalize_rt.errors import ValidationError
from tests.bulk.conftest import ARN, Client, service_error
from tests.optional import optional

PARTS = [
    *(b"", b"\n", b"[]\n", b"[" * 20_000, b"9" * 5_000, b"\xff"),
    *(b'{"input":1,"error":null}\n', b'{"input":1,"error":7}\n', b'{"input":{"a":NaN},"error":"x"}\n'),
]


@pytest.mark.parametrize("end", ["jsonl", "parquet"])
def test_an_output_that_was_tampered_with_is_refused_or_counted(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, end: str
) -> None:
    if end == "parquet":
        optional("pyarrow")
    source, output = tmp_path / "in.jsonl", tmp_path / f"out.{end}"
    source.write_text("".join(json.dumps({"userId": str(n), "itemList": ["a", "b"]}) + "\n" for n in range(20)))
    client.outcome = lambda user: service_error("InvalidInputException") if user == "3" else None
    bulk.rank_file(runtime, source, output, campaign_arn=ARN)
    good, chance = output.read_bytes(), random.Random(16)
    for _ in range(400):
        content = bytearray(good)
        for _ in range(chance.choice([1, 1, 3, 10])):
            place = chance.randrange(len(content) + 1)
            content[place : chance.choice([place, place + 1, place + 30, None])] = chance.choice(
                [chance.randbytes(1), chance.choice(b'{}[]",:0').to_bytes(), chance.choice(PARTS)]
            )
        output.write_bytes(content)
        errors = tmp_path / "errors"
        errors.unlink(missing_ok=True)
        try:
            bulk.rank_file(runtime, source, output, campaign_arn=ARN, resume=True, errors=errors)
        except ValidationError as refused:
            assert refused.parameter == "output"  # noqa: PT017 - some are counted
    assert len(client.asked) == 20


def test_a_disk_that_cannot_be_read_is_not_called_a_foreign_file(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").symlink_to("out.jsonl")
    with pytest.raises(ValidationError, match=r"cannot read .*symbolic links"):
        finished.look_at(tmp_path / "out.jsonl", None, None)  # type: ignore[arg-type] - it is not asked
