"""Rows that somebody else wrote: each that is wrong is an error in its line, and never the end of the job."""

from __future__ import annotations

import csv
import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalize_rt import Limits, PersonalizeRuntime, bulk
from personalize_rt.errors import ValidationError
from tests.bulk.conftest import ARN, Client, service_error
from tests.optional import optional


def refuse(value: str) -> Any:
    raise AssertionError(f"not for every reader of JSON: {value[:30]}")


def only_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(members)) == len(members)
    return dict(members)


def small(digits: str) -> int:
    assert -(2**63) <= int(digits) < 2**64
    return int(digits)


def finite(digits: str) -> float:
    assert math.isfinite(float(digits))
    return float(digits)


STRICT = json.JSONDecoder(
    parse_constant=refuse, parse_int=small, parse_float=finite, object_pairs_hook=only_once
).decode


def strictly(path: Path) -> list[Any]:
    """The lines of an output, as the strictest reader would have them."""
    text = path.read_bytes().decode("utf-8")
    assert "\r" not in text
    lines = [STRICT(line) for line in text.split("\n")[:-1]]
    json.dumps(lines, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    return lines


def ask(input: Path, output: Path, *, kind: str = "rank", **options: Any) -> bulk.Summary:
    job = bulk.rank_file if kind == "rank" else bulk.recommend_file
    runtime = PersonalizeRuntime(Recommender(), limits=options.pop("limits", Limits()))
    return job(runtime, input, output, campaign_arn=ARN, **options)


class Recommender(Client):
    def get_recommendations(self, **members: Any) -> Any:
        return {"itemList": [{"itemId": "a", "score": 0.5}]}


DEEP = b"[" * 930 + b"]" * 930
HOSTILE: dict[str, bytes] = {
    "half of a surrogate pair in an id": rb'{"userId":"\ud800","itemList":["a"]}',
    "half of a surrogate pair in an item": rb'{"userId":"u","itemList":["a\udfff"]}',
    "half of a surrogate pair in a context": rb'{"userId":"u","itemList":["a"],"context":{"A":"\uDBFF"}}',
    "half of a surrogate pair in a name": rb'{"userId":"u","itemList":["a"],"\udead":1}',
    "a number of 5,000 digits": b'{"userId":"u","itemList":["a"],"context":{"A":' + b"9" * 5_000 + b"}}",
    "a number of 4,000 digits": b'{"userId":' + b"9" * 4_000 + b',"itemList":["a"]}',
    "a number beyond 64 bits": b'{"userId":9223372036854775808,"itemList":["a"]}',
    "a number beyond floats": b'{"userId":"u","itemList":["a"],"context":{"A":1e999}}',
    "NaN": b'{"userId":"u","itemList":["a"],"context":{"A":NaN}}',
    "Infinity": b'{"userId":"u","itemList":["a"],"context":{"A":-Infinity}}',
    "lists 930 deep": b'{"userId":"u","itemList":["a"],"context":' + DEEP + b"}",
    "lists 100,000 deep": b"[" * 100_000,
    "objects 900 deep": b'{"a":' * 900 + b"1" + b"}" * 900,
    "lists 9 deep": b'{"userId":' + b"[" * 9 + b"]" * 9 + b',"itemList":["a"]}',
    "bytes that are not UTF-8": b'{"userId":"\xff\xfe","itemList":["a"]}',
    "UTF-16": '{"userId":"u","itemList":["a"]}'.encode("utf-16-le"),
    "a surrogate as UTF-8": b'{"userId":"\xed\xa0\x80","itemList":["a"]}',
    "NUL": b'{"userId":"u\x00","itemList":["a"]}',
    "a member twice": b'{"userId":"u","userId":"v","itemList":["a"]}',
    "a text that looks like bytes": b"latin-1:\xc3\xa9",
    "nothing but a quotation mark": b'"' * 3 + b"\\" * 40 + b"[" * 40,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_line_is_an_error_with_its_number_and_the_others_go_on(tmp_path: Path, what: str) -> None:
    optional("pyarrow")
    import pyarrow.parquet

    good = b'{"userId":"u","itemList":["a"]}\n'
    (tmp_path / "in.jsonl").write_bytes(good + HOSTILE[what] + b"\n" + good)
    for output in ("out.jsonl", "out.parquet"):
        summary = ask(tmp_path / "in.jsonl", tmp_path / output, errors=tmp_path / f"{output}.wrong.jsonl")
        assert (summary.done, summary.failed) == (2, {"ValidationError": 1})
        assert (tmp_path / f"{output}.wrong.jsonl").read_bytes() == HOSTILE[what] + b"\n"  # as it was
    lines = strictly(tmp_path / "out.jsonl")
    assert [line["error"] is None for line in lines] == [True, False, True]
    assert lines[1]["error"].startswith(f"ValidationError: {tmp_path / 'in.jsonl'}, line 2: ")
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["error"] for row in rows] == [line["error"] for line in lines]


def in_frames(frames: int, work: Callable[[], Any]) -> Any:
    return work() if frames == 0 else in_frames(frames - 1, work)


def test_a_deep_row_is_an_error_however_deep_the_caller_is(tmp_path: Path) -> None:
    free = sys.getrecursionlimit() - depth()
    deep = [b'{"userId":"u","context":' + b"[" * n + b"]" * n + b',"itemList":["a"]}\n' for n in range(1, 1_000, 7)]
    (tmp_path / "in.jsonl").write_bytes(b'{"userId":"u","itemList":["a"]}\n' + b"".join(deep))
    for n, used in enumerate((0, free // 2, free - 120)):
        summary = in_frames(used, lambda n=n: ask(tmp_path / "in.jsonl", tmp_path / f"{n}.jsonl"))  # type: ignore[misc]
        assert (summary.done, summary.failed) == (1, {"ValidationError": len(deep)})
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def depth() -> int:
    """How many frames the stack has."""
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


def test_a_carriage_return_between_members_does_not_end_a_line(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"userId":"u",\r"itemList":["a"]}\r\n{"userId":\r7}\n')
    ask(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [line["input"] for line in strictly(tmp_path / "out.jsonl")] == [
        {"userId": "u", "itemList": ["a"]},
        {"userId": 7},
    ]


def test_what_others_say_in_half_pairs_is_in_the_line_with_question_marks(tmp_path: Path) -> None:
    """The name of a file, the text of an error and the items of an answer need not be Unicode either."""
    pyarrow = optional("pyarrow")
    from pyarrow import parquet

    class Odd(Client):
        def get_personalized_ranking(self, **members: Any) -> Any:
            if members["userId"] == "1":
                raise service_error("InvalidInputException", message="no \udcff")
            return {"personalizedRanking": [{"itemId": "a\ud800", "score": 1.0}]}

    input = tmp_path / "in-\udcff.jsonl"
    input.write_text('{"userId":"0","itemList":["a"]}\n{"userId":"1","itemList":["a"]}\n{"userId":"2"}\n')
    for output in ("out.jsonl", "out.parquet"):
        runtime = PersonalizeRuntime(Odd())
        summary = bulk.rank_file(runtime, input, tmp_path / output, campaign_arn=ARN)
        assert (summary.done, summary.failed) == (1, {"InvalidInputError": 1, "ValidationError": 1})
    answered, refused, wrong = strictly(tmp_path / "out.jsonl")
    assert answered["output"]["recommendedItems"] == ["a?"]
    assert refused["error"].startswith("InvalidInputError: ")
    assert "in-?.jsonl, line 3: there is no itemList" in wrong["error"]
    assert isinstance(parquet.read_table(tmp_path / "out.parquet"), pyarrow.Table)


# CSV.


def test_hostile_rows_of_csv_are_errors_and_come_back_as_they_were(tmp_path: Path) -> None:
    hostile = [
        b"u," + b"9" * 5_000,
        b"u," + b"9" * 19,
        b"u,\xc2\xb2",  # a digit to Python, and no number
        b"u" * (csv.field_size_limit() + 1) + b",5",
        b"\xff,5",
        b'"u"x,5',
        b"u,5,6",
        b"u",
    ]
    text = b"USER_ID,NUM_RESULTS\nu,5\n" + b"\n".join(hostile) + b'\nu\x00,5\n"u\nv",5\nw,"5'
    (tmp_path / "in.csv").write_bytes(text)
    for output in ("out.jsonl", "out.parquet"):
        if output == "out.parquet":
            optional("pyarrow")
        wrong = tmp_path / f"{output}.wrong.csv"
        summary = ask(tmp_path / "in.csv", tmp_path / output, kind="recommend", errors=wrong)
        assert (summary.done, summary.failed) == (3, {"ValidationError": len(hostile) + 1})
        assert wrong.read_bytes() == b"\n".join([b"USER_ID,NUM_RESULTS", *hostile, b'w,"5', b""])
    errors = [line["error"] and line["error"].partition("in.csv, ")[2] for line in strictly(tmp_path / "out.jsonl")]
    assert errors == [
        None,
        "line 3: numResults is a whole number of 5,000 digits",
        "line 4: numResults is a whole number of 19 digits",
        "line 5: numResults is not a whole number",
        f"line 6: it is no CSV (field larger than field limit ({csv.field_size_limit()}))",
        "line 7: it is not UTF-8",
        "line 8: it is no CSV (',' expected after '\"')",
        "line 9: it has 3 cells, and the header has 2",
        "line 10: it has 1 cells, and the header has 2",
        None,
        None,
        "line 14: it is no CSV (unexpected end of data)",
    ]


def test_a_wrong_row_of_csv_whose_cells_have_line_ends_comes_back_as_one_row(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'USER_ID,NUM_RESULTS\n"u\nv",x\n"u\rv",x\n')
    assert ask(tmp_path / "in.csv", tmp_path / "out.jsonl", kind="recommend", errors=tmp_path / "wrong.csv").done == 0
    assert (tmp_path / "wrong.csv").read_bytes() == (tmp_path / "in.csv").read_bytes()


# Parquet.


def test_hostile_cells_of_parquet_are_errors_in_lines_that_are_json(tmp_path: Path) -> None:
    pyarrow = optional("pyarrow")
    from pyarrow import parquet

    bytes_of = pyarrow.array([b"a", b"\xff\xfe", b"b", b"c", b"d"])
    users = pyarrow.StringArray.from_buffers(5, bytes_of.buffers()[1], bytes_of.buffers()[2])
    counts = pyarrow.array([None, 1.0, math.nan, math.inf, -math.inf])
    parquet.write_table(pyarrow.table({"USER_ID": users, "NUM_RESULTS": counts}), tmp_path / "in.parquet")
    for output in ("out.jsonl", "out.parquet"):
        wrong = tmp_path / f"{output}.wrong.jsonl"
        summary = ask(tmp_path / "in.parquet", tmp_path / output, kind="recommend", errors=wrong)
        assert (summary.done, summary.failed) == (1, {"ValidationError": 4})
        assert wrong.read_bytes().count(b"\n") == 4
    good, *bad = strictly(tmp_path / "out.jsonl")
    assert good["error"] is None
    assert [line["error"].partition("in.parquet, ")[2] for line in bad] == [
        "row 2: USER_ID cannot be read (UnicodeDecodeError)",
        *(f"row {n}: numResults is a float, not an int" for n in (3, 4, 5)),
    ]
    assert [line["input"] for line in bad[1:]] == [
        {"userId": user, "numResults": {"float": count}}
        for user, count in zip("bcd", ("nan", "inf", "-inf"), strict=True)
    ]


@pytest.mark.parametrize("column", ["struct", "list of lists", "map"])
def test_a_column_of_nested_type_is_refused_and_nothing_is_sent(tmp_path: Path, column: str) -> None:
    pyarrow = optional("pyarrow")
    from pyarrow import parquet

    values = {
        "struct": pyarrow.array([{"a": 1}]),
        "list of lists": pyarrow.array([[["a"]]]),
        "map": pyarrow.array([[("a", "b")]], pyarrow.map_(pyarrow.string(), pyarrow.string())),
    }
    parquet.write_table(pyarrow.table({"USER_ID": ["u"], "ITEM_LIST": values[column]}), tmp_path / "in.parquet")
    with pytest.raises(ValidationError, match=r"in.parquet: column ITEM_LIST is of nested type"):
        ask(tmp_path / "in.parquet", tmp_path / "out.jsonl")


# Any row.

TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(["u", "a", "ok"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 3) | st.floats() | TEXTS | st.just(10**400),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(TEXTS, parts, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["userId", "itemList", "itemId", "numResults", "context", "filterValues"])
GOOD = st.just({"userId": "u", "itemList": ["a"]})
ROWS = (
    st.builds(lambda good, more: good | more, GOOD, st.dictionaries(NAMES | TEXTS, VALUES, max_size=3))
    | GOOD
    | st.dictionaries(NAMES, VALUES, max_size=4)
    | VALUES
)


def as_line(row: Any) -> bytes:
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(row).encode()
    finally:
        sys.set_int_max_str_digits(digits)


LINES = st.builds(as_line, ROWS) | st.binary(max_size=30).filter(lambda line: b"\n" not in line)
SLOWLY = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def same_again(input: Path, output: Path, rows: int, kind: str, limits: Limits) -> None:
    """The job ends, its lines are for every reader, and what failed in it fails again by itself, as often."""
    wrong = input.with_stem("wrong") if input.suffix != ".parquet" else input.with_name("wrong.jsonl")
    summary = ask(input, output, kind=kind, errors=wrong, limits=limits)
    assert summary.total == rows
    lines = strictly(output)
    assert [line["error"] is None for line in lines].count(True) == summary.done
    assert all(line["error"] is None or "Validation" in line["error"].partition(":")[0] for line in lines)
    if summary.failed:
        again = ask(wrong, output.with_stem("again"), kind=kind, limits=limits)
        assert (again.done, again.total) == (0, rows - summary.done)


@SLOWLY
@given(lines=st.lists(LINES, min_size=1, max_size=8), kind=st.sampled_from(["rank", "recommend"]), off=st.booleans())
def test_whatever_the_lines_are_the_job_ends_with_one_line_for_each(lines: list[bytes], kind: str, off: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "in.jsonl").write_bytes(b"\n".join(lines))
        rows = sum(line.strip().removeprefix(b"\xef\xbb\xbf" if n == 0 else b"") != b"" for n, line in enumerate(lines))
        limits = Limits.off() if off else Limits()
        same_again(Path(name) / "in.jsonl", Path(name) / "out.jsonl", rows, kind, limits)


CELLS = st.sampled_from(
    [
        b"u",
        b"1",
        b'"',
        b'"a"',
        b'"a,b"',
        b'"a\nb"',
        b"a|b",
        b"\xff",
        b"\x00",
        b"9" * 30,
        b"-1",
        b"1.5",
        b"",
        b" ",
        b"\r",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b",", b"\n\n"])


@SLOWLY
@given(cells=st.lists(st.tuples(CELLS, st.just(b",") | st.just(b""), CELLS, ENDS), max_size=8))
def test_whatever_the_rows_of_csv_are_the_job_ends(cells: list[tuple[bytes, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        input = Path(name) / "in.csv"
        input.write_bytes(b"USER_ID,NUM_RESULTS\n" + b"".join(part for row in cells for part in row))
        wrong = Path(name) / "wrong.csv"
        summary = ask(input, Path(name) / "out.jsonl", kind="recommend", errors=wrong)
        assert len(strictly(Path(name) / "out.jsonl")) == summary.total
        if summary.failed:
            assert ask(wrong, Path(name) / "again.jsonl", kind="recommend").done == 0


@SLOWLY
@given(data=st.data())
def test_whatever_the_cells_of_parquet_are_the_job_ends(data: st.DataObject) -> None:
    pyarrow = optional("pyarrow")
    from pyarrow import parquet

    kinds = {
        "string": st.text(max_size=5),
        "large_string": st.text(max_size=5),
        "binary": st.binary(max_size=5),
        "int64": st.integers(-(2**63), 2**63 - 1),
        "uint64": st.integers(0, 2**64 - 1),
        "float64": st.floats(),
        "bool_": st.booleans(),
        "date32": st.integers(-(2**31), 2**31 - 1),
        "timestamp": st.integers(-(2**63), 2**63 - 1),
        "decimal128": st.decimals(-999, 999, places=2),
    }
    rows = data.draw(st.integers(1, 5))
    columns = {}
    for column in ("USER_ID", "ITEM_ID", "NUM_RESULTS"):
        known = sorted(kinds) if column == "NUM_RESULTS" else ["binary", "int64", "large_string", "string", "uint64"]
        kind = data.draw(st.sampled_from(known))
        make = {"timestamp": lambda: pyarrow.timestamp("us"), "decimal128": lambda: pyarrow.decimal128(10, 2)}
        type = make.get(kind, getattr(pyarrow, kind))()
        cells = data.draw(st.lists(st.none() | kinds[kind], min_size=rows, max_size=rows))
        array = pyarrow.array(cells, pyarrow.int64() if kind == "timestamp" else type)
        columns[column] = array.view(type)
    with tempfile.TemporaryDirectory() as name:
        input = Path(name) / "in.parquet"
        parquet.write_table(pyarrow.table(columns), input)
        same_again(input, Path(name) / "out.jsonl", rows, "recommend", Limits())
        assert ask(input, Path(name) / "out.parquet", kind="recommend").total == rows
