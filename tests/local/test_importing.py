"""Import and export jobs: rows against their schema, bounds of every kind, and nothing of a cell in a message."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from personalize_rt.local.control.importing import (
    Imported,
    JobFailedError,
    read_csv,
    read_lines,
    write_csv,
    write_lines,
)
from personalize_rt.local.control.storage import FolderStorage, MotoStorage
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.places import Source
from personalize_rt.local.problems import Problems
from personalize_rt.local.schemas import DATASETS, Schema, read_schema

SECRET = "secret-of-ann"


def schema_of(dataset: str, **fields: Any) -> Schema:
    """A schema as CreateSchema takes it."""
    members = [{"name": name, **(kind if isinstance(kind, dict) else {"type": kind})} for name, kind in fields.items()]
    text = json.dumps({"type": "record", "name": DATASETS[dataset].name, "fields": members, "version": "1.0"})
    found = read_schema(Source("schema", text), DATASETS[dataset], Problems())
    assert found is not None
    return found


EVENTS = schema_of("interactions", USER_ID="string", ITEM_ID="string", TIMESTAMP="long")
RATINGS = schema_of(
    "interactions",
    USER_ID="string",
    ITEM_ID="string",
    TIMESTAMP="long",
    EVENT_TYPE="string",
    EVENT_VALUE=["float", "null"],
    DEVICE=["null", "string"],
)
ITEMS = schema_of(
    "items", ITEM_ID="string", GENRES={"type": ["null", "string"], "categorical": True}, PRICE=["float", "null"]
)
HEADER = "USER_ID,ITEM_ID,TIMESTAMP\n"


class Bucket:
    """A bucket, and the imports from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bucket"
        self.folder.mkdir()
        self.storage = FolderStorage(folder)

    def put(self, key: str, content: str | bytes) -> str:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return f"s3://bucket/{key}"

    def take(
        self,
        content: str | bytes,
        schema: Schema = EVENTS,
        dataset: str = "interactions",
        key: str = "data.csv",
        **options: Any,
    ) -> Imported:
        return read_csv(self.storage, self.put(key, content), DATASETS[dataset], schema, **options)

    def failure(self, *args: Any, **options: Any) -> str:
        with pytest.raises(JobFailedError) as caught:
            self.take(*args, **options)
        assert SECRET not in caught.value.message
        assert SECRET not in str(caught.value.problems)
        return caught.value.message


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


def test_events_are_read_by_their_schema(bucket: Bucket) -> None:
    content = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,DEVICE\nu,i,1000,view,4.5,phone\nv,j,1001,view,,\n"
    log = bucket.take(content, RATINGS).data
    assert isinstance(log, EventLog)
    assert [(one.user_id, one.item_id, one.timestamp, one.event_type, one.event_value) for one in log] == [
        ("u", "i", 1000, "view", 4.5),
        ("v", "j", 1001, "view", None),
    ]
    assert log.columns["DEVICE"] == ["phone", None]


def test_the_order_of_columns_is_that_of_the_file(bucket: Bucket) -> None:
    log = bucket.take("TIMESTAMP,USER_ID,ITEM_ID\n1000,u,i\n").data
    assert isinstance(log, EventLog)
    assert log[0].user_id == "u"


@pytest.mark.parametrize("form", ["bom", "crlf", "quotes", "gzip", "gzip of two parts", "no last line break"])
def test_forms_of_csv(bucket: Bucket, form: str) -> None:
    plain = HEADER + 'u,"a, ""b""",1000\n'
    content = {
        "bom": b"\xef\xbb\xbf" + plain.encode(),
        "crlf": plain.replace("\n", "\r\n").encode(),
        "quotes": (HEADER + r'"u","a, \"b\"","1000"' + "\n").encode(),
        "gzip": gzip.compress(plain.encode()),
        "gzip of two parts": gzip.compress(HEADER.encode()) + gzip.compress(plain.removeprefix(HEADER).encode()),
        "no last line break": plain.rstrip("\n").encode(),
    }[form]
    log = bucket.take(content).data
    assert isinstance(log, EventLog)
    assert [one.item_id for one in log] == ['a, "b"']


def test_a_folder_is_read_as_one(bucket: Bucket) -> None:
    columns = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,DEVICE\n"
    bucket.put("in/1.csv", columns + "u,i,1000,view,,phone\n")
    bucket.put("in/2.csv", gzip.compress((columns + "v,i,1001,buy,2.0,\nu,j,1002,view,,tv\n").encode()))
    bucket.put("in/deeper/3.csv", "no CSV")
    imported = read_csv(bucket.storage, "s3://bucket/in/", DATASETS["interactions"], RATINGS)
    log = imported.data
    assert isinstance(log, EventLog)
    assert imported.files == ("s3://bucket/in/1.csv", "s3://bucket/in/2.csv")
    assert [(one.user_id, one.item_id, one.event_type, one.event_value) for one in log] == [
        ("u", "i", "view", None),
        ("v", "i", "buy", 2.0),
        ("u", "j", "view", None),
    ]
    assert log.columns["DEVICE"] == ["phone", None, "tv"]
    assert [one.item_id for one in log.of_user("u")] == ["i", "j"]


def test_of_an_item_that_comes_again_the_last_row_counts(bucket: Bucket) -> None:
    columns = "ITEM_ID,GENRES,PRICE\n"
    bucket.put("items/1.csv", columns + "a,x,1\nb,x|y,2\na,z,3\n")
    bucket.put("items/2.csv", columns + "c,,\nb,w,4\n")
    imported = read_csv(bucket.storage, "s3://bucket/items/", DATASETS["items"], ITEMS)
    table = imported.data
    assert isinstance(table, Table)
    assert {id: dict(row) for id, row in table.items()} == {
        "a": {"GENRES": "z", "PRICE": 3.0},
        "b": {"GENRES": "w", "PRICE": 4.0},
        "c": {"GENRES": None, "PRICE": None},
    }
    assert [str(warning) for warning in imported.warnings] == [
        "1.csv, line 4, column ITEM_ID: expected each id once; the last row of an id counts (1 came again, this one "
        "first)"
    ]


def test_every_row_is_checked_with_its_place(bucket: Bucket) -> None:
    message = bucket.failure(HEADER + f"u,i,1000\n{SECRET},i,{SECRET}\n,i,1000\nu,i,1700000000000\nu,i\n")
    assert message.startswith("the files do not fit the schema: ")
    assert "data.csv, line 3, column TIMESTAMP: expected a whole number" in message
    assert "data.csv, line 4, column USER_ID: expected an id, found an empty cell" in message
    assert "line 5, column TIMESTAMP: expected a whole number: Unix time in seconds, not milliseconds" in message
    assert "line 6: expected 3 cells, as in the header, found 2" in message


def test_many_wrong_rows_are_counted(bucket: Bucket) -> None:
    message = bucket.failure(HEADER + f"u,i,{SECRET}\n" * 1000)
    assert "line 11, column TIMESTAMP" in message
    assert "and 1 more" in message
    assert len(message) < 2000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("\n", "the line is blank"),
        (HEADER, "at least one row after the header"),
        (f"{SECRET},i,1000\nu,i,1000\n", "expected a column USER_ID, as its schema has it"),
        (f"user_id-{SECRET},ITEM_ID,TIMESTAMP\nu,i,1000\n", "expected a column USER_ID"),
        (f"USER_ID,ITEM_ID,TIMESTAMP,{SECRET},{SECRET}\nu,i,1000,x,y\n", "expected each column once"),
        ("USER_ID;ITEM_ID;TIMESTAMP\nu;i;1000\n", "found semicolons"),
        ("USER_ID\tITEM_ID\tTIMESTAMP\nu\ti\t1000\n", "found tabs"),
        (HEADER + f'u,"{SECRET},1000\n', "expected CSV"),
        (HEADER.encode() + b"\xff\xfe,i,1000\n", "line 2: expected UTF-8"),
        ((HEADER + "u,i,1000\n").encode("utf-16"), "line 1: expected UTF-8"),
        (
            gzip.compress((HEADER + "u,\udc80,1\n").encode("utf-8", "surrogateescape"), mtime=0),
            "line 2: expected UTF-8",
        ),
        (gzip.compress(HEADER.encode(), mtime=0)[:-4], "damaged or cut off"),
        (gzip.compress(HEADER.encode(), mtime=0)[:15], "damaged or cut off"),
        (b"\x1f\x8b" + b"\0" * 100, "damaged or cut off"),
        (gzip.compress(gzip.compress(HEADER.encode(), mtime=0), mtime=0), "expected UTF-8"),
        (HEADER + f"{'u' * 257},i,1000\n", "an id of at most 256 characters"),
        (HEADER + f"u,i,{'9' * 400}\n", "expected a whole number"),
        (HEADER + f"u,i,{'1' * 131_073}\n", "expected CSV: field larger than field limit"),
        (HEADER + f"u,i,{SECRET * 100_000}\n", "expected lines of at most 1,048,576 bytes"),
        (HEADER + "," * 100_000 + "\nu,i,1000\n", "expected 3 cells, as in the header, found 100001"),
    ],
)
def test_a_file_that_is_none_is_said(bucket: Bucket, content: str | bytes, expected: str) -> None:
    assert expected in bucket.failure(content)


def test_a_zip_is_said_to_be_no_text(bucket: Bucket) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", HEADER * 100)
    assert bucket.failure(packed.getvalue())


def test_a_column_that_the_schema_lacks_is_left_out_and_its_name_not_shown(bucket: Bucket) -> None:
    """A header that is missing has cells in its place."""
    imported = bucket.take(f"USER_ID,{SECRET},ITEM_ID,TIMESTAMP\nu,x,i,1000\n")
    assert [str(warning) for warning in imported.warnings] == [
        "data.csv, line 1: expected a column of the schema (column 2); it is left out"
    ]


def test_the_case_of_headers_does_not_count_where_it_is_clear(bucket: Bucket) -> None:
    table = bucket.take("Item_Id,genres,PRICE,price\na,x,1,2\n", ITEMS, "items").data
    assert isinstance(table, Table)
    assert dict(table["a"]) == {"GENRES": "x", "PRICE": 1.0}


def test_a_missing_column_fails(bucket: Bucket) -> None:
    assert "expected a column PRICE, as its schema has it" in bucket.failure("ITEM_ID,GENRES\na,x\n", ITEMS, "items")


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "0x10", "1_000", "١", "--1", "1,5"])
def test_numbers_are_finite_decimals(bucket: Bucket, value: str) -> None:
    assert "expected a decimal number" in bucket.failure(f'ITEM_ID,GENRES,PRICE\na,x,"{value}"\n', ITEMS, "items")


# Bounds.


def test_a_bomb_is_refused_before_it_unpacks(bucket: Bucket) -> None:
    content = HEADER.encode() + f"u,{'i' * 250},1000\n".encode() * 100_000
    bomb = gzip.compress(content)
    assert len(bomb) * 200 < len(content)
    assert "unpacks to at most 200 times its size" in bucket.failure(bomb)


@pytest.mark.parametrize("kind", ["a name without an end", "members of nothing"])
def test_gzip_that_unpacks_to_nothing_is_not_read_to_its_end(bucket: Bucket, kind: str) -> None:
    size = 1 << 22
    named = b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * size
    empty = gzip.compress(b"") * (size // len(gzip.compress(b"")))
    message = bucket.failure(named if kind == "a name without an end" else empty)
    assert "smaller than what it unpacks to" in message


def test_objects_of_mock_aws_are_read_alike() -> None:
    with mock_aws():
        session: Any = boto3.session.Session()
        s3 = session.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="in/a.csv", Body=(HEADER + "u,i,1000\n" * 10_000).encode())
        s3.put_object(Bucket="bucket", Key="in/b.csv", Body=gzip.compress((HEADER + "v,j,1001\n").encode()))
        log = read_csv(MotoStorage(), "s3://bucket/in/", DATASETS["interactions"], EVENTS).data
        assert isinstance(log, EventLog)
        assert len(log) == 10_001
        assert log[-1:][0].user_id == "v"


def test_all_files_of_a_job_have_one_bound(bucket: Bucket) -> None:
    content = HEADER + "u,i,1000\n" * 10
    size = len(content)
    bucket.put("in/1.csv", content)
    bucket.put("in/2.csv", gzip.compress(content.encode()))
    read_csv(bucket.storage, "s3://bucket/in/", DATASETS["interactions"], EVENTS, most_bytes=2 * size)
    with pytest.raises(JobFailedError, match=f"may have {2 * size - 1} bytes, unpacked"):
        read_csv(bucket.storage, "s3://bucket/in/", DATASETS["interactions"], EVENTS, most_bytes=2 * size - 1)


def test_a_file_that_grows_while_it_is_read_ends_at_the_bound(bucket: Bucket) -> None:
    assert "may have 100 bytes" in bucket.failure(HEADER + "u,i,1000\n" * 100, most_bytes=100)


def test_a_missing_key_is_said(bucket: Bucket) -> None:
    with pytest.raises(JobFailedError, match=r"there is no object s3://bucket/none\.csv"):
        read_csv(bucket.storage, "s3://bucket/none.csv", DATASETS["interactions"], EVENTS)
    with pytest.raises(JobFailedError, match="a request can name neither files nor servers"):
        read_csv(bucket.storage, "file:///etc/passwd", DATASETS["interactions"], EVENTS)


# Export.


def test_what_is_exported_is_imported_again(bucket: Bucket) -> None:
    content = (
        "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,DEVICE\n"
        r'u,"a, \"b\" \\",1000,view,4.5,"x' + '\n""y"\nCORP\\ann,j,1001,view,,\n'
    )
    first = bucket.take(content, RATINGS).data
    uri = write_csv(bucket.storage, "s3://bucket/out/", "job.csv", DATASETS["interactions"], first)
    assert uri == "s3://bucket/out/job.csv"
    again = read_csv(bucket.storage, uri, DATASETS["interactions"], RATINGS).data
    assert isinstance(first, EventLog)
    assert isinstance(again, EventLog)
    assert list(again) == list(first)
    assert again.columns == first.columns
    with pytest.raises(JobFailedError, match="already, and outputs never overwrite"):
        write_csv(bucket.storage, "s3://bucket/out", "job.csv", DATASETS["interactions"], first)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_TEXT, st.tuples(st.none() | _TEXT, st.none() | st.floats(-1e30, 1e30)), min_size=1, max_size=5))
def test_any_text_survives_export_and_import(bucket: Bucket, rows: dict[str, tuple[str | None, float | None]]) -> None:
    for path in bucket.folder.glob("out/*"):
        path.unlink()
    ids = {id: row for row, id in enumerate(rows)}
    columns: dict[str, list[Any]] = {
        "GENRES": [genres for genres, _ in rows.values()],
        "PRICE": [price for _, price in rows.values()],
    }
    table = Table(ids, columns, dict(ITEMS.fields))
    keywords = DATASETS["items"].keywords
    if not keywords.isdisjoint([*rows, *columns["GENRES"]]):
        return
    uri = write_csv(bucket.storage, "s3://bucket/out/", "items.csv", DATASETS["items"], table)
    again = read_csv(bucket.storage, uri, DATASETS["items"], ITEMS).data
    assert isinstance(again, Table)
    assert {id: dict(row) for id, row in again.items()} == {id: dict(row) for id, row in table.items()}


def test_lines_of_batch_inference(bucket: Bucket) -> None:
    uri = bucket.put("users.json", b'\xef\xbb\xbf{"userId": "1"}\r\n\n{"userId": "2"}')
    lines = list(read_lines(bucket.storage, uri))
    assert lines == ['{"userId": "1"}', '{"userId": "2"}']
    out = write_lines(bucket.storage, "s3://bucket/out/", "users.json.out", lines)
    assert list(read_lines(bucket.storage, out)) == lines
    with pytest.raises(JobFailedError, match="may have 10 bytes"):
        list(read_lines(bucket.storage, uri, most_bytes=10))
    with pytest.raises(JobFailedError, match="expected UTF-8"):
        list(read_lines(bucket.storage, bucket.put("bad.json", b"\xff\n")))
