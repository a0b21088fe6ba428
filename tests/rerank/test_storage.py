"""Files of trained scorers: what comes back, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.rerank import storage
from personalize_rt.rerank.storage import Stored, pack, unpack

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | FINITE | TEXT,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=10,
)
COLUMNS = st.dictionaries(
    TEXT,
    st.one_of(
        st.builds(array, st.just("d"), st.lists(st.floats(allow_nan=False))),
        st.builds(array, st.just("f"), st.lists(st.floats(allow_nan=False, width=32))),
        st.builds(array, st.just("I"), st.lists(st.integers(0, 2**32 - 1))),
        st.builds(array, st.just("q"), st.lists(st.integers(-(2**63), 2**63 - 1))),
    ),
    max_size=3,
)
SMALL = Stored("Toy", {"a": [1, 2.5, None]}, {"numbers": array("d", [1.0, 2.0])})


def forged(body: bytes, text: int, size: int | None = None, version: bytes = b"1") -> bytes:
    """A file with a right checksum, whatever is in it."""
    packed = zlib.compress(body)
    line = b"personalize-rt-scorer %s Toy text=%d size=%d" % (version, text, len(body) if size is None else size)
    return line + b" sha256=" + hashlib.sha256(line + b"\n" + packed).hexdigest().encode() + b"\n" + packed


def refusal(data: bytes, kind: str = "Toy") -> str:
    with pytest.raises(ValidationError) as caught:
        unpack(data, kind)
    assert caught.value.parameter == "path"
    assert caught.value.__cause__ is None
    return caught.value.message


@given(JSON, COLUMNS)
def test_what_is_packed_comes_back(content: Any, columns: dict[str, Any]) -> None:
    back = unpack(pack(Stored("Toy", content, columns)), "Toy")
    assert back.kind == "Toy"
    # As text, which tells 1 from 1.0 and 0.0 from -0.0.
    assert json.dumps(back.content) == json.dumps(content)
    assert back.columns == columns
    assert [column.typecode for column in back.columns.values()] == [c.typecode for c in columns.values()]


def test_the_same_content_gives_the_same_bytes() -> None:
    assert pack(SMALL) == pack(SMALL)


def test_columns_are_little_endian_whatever_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = array("I", [1, 2])
    assert b"\x01\x00\x00\x00\x02" in zlib.decompress(pack(Stored("Toy", 0, {"n": here})).partition(b"\n")[2])
    monkeypatch.setattr(storage.sys, "byteorder", "big")
    there = pack(Stored("Toy", 0, {"n": here}))
    assert b"\x00\x00\x00\x01\x00" in zlib.decompress(there.partition(b"\n")[2])
    assert unpack(there, "Toy").columns["n"] == here


@given(st.data())
def test_a_changed_byte_anywhere_is_noticed(data: st.DataObject) -> None:
    good = bytearray(pack(SMALL))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    refusal(bytes(good))


@given(st.integers(0, len(pack(SMALL)) - 1))
def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    refusal(pack(SMALL)[:length])


def test_what_follows_the_end_is_refused() -> None:
    assert "damaged" in refusal(pack(SMALL) + b"x")


@pytest.mark.parametrize("data", [b"", b"\n", b"PK\x03\x04", b"\x80\x04\x95", b"personalize-rt", b'{"a": 1}\n'])
def test_a_foreign_file_is_called_so(data: bytes) -> None:
    assert "not a scorer saved by personalize-rt" in refusal(data)


def test_a_newer_format_asks_for_an_upgrade() -> None:
    assert "upgrade" in refusal(forged(b"[0,[]]", 6, version=b"2"))
    # Whatever else a newer format has in its line.
    assert "upgrade" in refusal(b"personalize-rt-scorer 17 who-knows\n")


def test_a_format_that_never_was_is_damaged() -> None:
    for version in (b"0", b"-1", b"x"):
        assert "damaged" in refusal(forged(b"[0,[]]", 6, version=version))


def test_another_kind_of_scorer_is_named() -> None:
    message = refusal(pack(SMALL), "Other")
    assert "holds a Toy, not an Other" in message
    assert "Toy.load" in message


@pytest.mark.parametrize(
    ("body", "text", "size"),
    [
        (b"", 0, None),
        (b"[0,[]]", 5, None),
        (b"[0,[]]", 7, None),
        (b"[0,[]]", -1, None),
        (b"[0,[]]", 6, 5),
        (b"[0,[]]", 6, 7),
        (b"[0,[]]x", 6, None),
        (b"[0]", 3, None),
        (b"[NaN,[]]", 8, None),
        (b"[0,0]", 5, None),
        (b'[0,[["n","Z",1]]]', 17, None),
        (b'[0,[["n","u",1]]]1234', 17, None),
        (b'[0,[["n","d",1]]]1234', 17, None),
        (b'[0,[["n","b",-1]]]', 18, None),
        (b'[0,[["n","b",0.5]]]', 19, None),
        (b'[0,[["n",[],1]]]', 16, None),
        (b"[" * 100_000, 100_000, None),
        (b"\xff\xfe", 2, None),
    ],
)
def test_a_file_that_was_made_to_harm_is_refused(body: bytes, text: int, size: int | None) -> None:
    assert "damaged" in refusal(forged(body, text, size))


def test_a_file_without_zlib_inside_is_refused() -> None:
    line = b"personalize-rt-scorer 1 Toy text=2 size=2"
    checksum = hashlib.sha256(line + b"\n" + b"[]").hexdigest().encode()
    assert "damaged" in refusal(line + b" sha256=" + checksum + b"\n[]")


def test_no_more_is_unpacked_than_was_announced() -> None:
    assert "damaged" in refusal(forged(b" " * 5_000_000, 2, 2))


@pytest.mark.parametrize("content", [float("nan"), float("-inf"), {1, 2}, b"x", [object()]])
def test_what_json_cannot_hold_is_not_packed(content: Any) -> None:
    with pytest.raises(ValidationError, match="JSON"):
        pack(Stored("Toy", content))


def test_types_of_columns_that_differ_between_machines_are_not_packed() -> None:
    with pytest.raises(ValidationError, match="'l'"):
        pack(Stored("Toy", 0, {"n": array("l", [1])}))


@pytest.mark.parametrize("kind", ["", "a b", "a\nb", "Größe"])
def test_a_kind_is_the_name_of_a_class(kind: str) -> None:
    with pytest.raises(ValidationError, match="kind"):
        pack(Stored(kind, 0))


def test_a_saved_file_loads(tmp_path: Path) -> None:
    for path in (tmp_path / "a", str(tmp_path / "b")):
        storage.save(path, SMALL)
        storage.save(path, Stored("Toy", "second"))
        assert storage.load(path, "Toy").content == "second"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    storage.save(path, SMALL)

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        storage.save(path, Stored("Toy", "second"))
    assert storage.load(path, "Toy").content == SMALL.content
    assert os.listdir(tmp_path) == ["a"]


def test_a_save_that_fails_names_the_path_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", str(tmp_path / "absent" / "scorer")):
        with pytest.raises(OSError, match=re.escape(repr(str(path))) + "$") as caught:
            storage.save(path, SMALL)
        assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_path_is_text_or_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="path is an int"):
        storage.load(3, "Toy")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        storage.load(tmp_path / "absent", "Toy")


def test_nothing_that_was_stored_is_shown() -> None:
    assert "secret" not in repr(Stored("Toy", {"user": "secret"}))
