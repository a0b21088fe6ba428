"""Files of scorers that somebody tampered with: refused with our error, or loaded into a scorer that works."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import random
import re
import tracemalloc
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import (
    CoVisitationScorer,
    EnsembleScorer,
    LocalReranker,
    PopularityScorer,
    ShadowScorer,
    storage,
)
from personalize_rt.results import Ranking
from tests.rerank.test_storage import forged

ITEMS = [f"i{n}" for n in range(12)]
USERS = [f"u{n}" for n in range(6)]
KINDS: Sequence[Any] = (PopularityScorer, CoVisitationScorer, EnsembleScorer, ShadowScorer)


def ranking(scores: Sequence[float]) -> Ranking:
    return Ranking(ITEMS, scores=scores, input_list=ITEMS)


def trained(kind: Any) -> Any:
    chance = random.Random(kind.__name__)
    events = [Interaction(chance.choice(USERS), chance.choice(ITEMS), n * 1_000.0) for n in range(80)]
    if kind is ShadowScorer:
        shadow = ShadowScorer(factors=4)
        for user in USERS * 3:
            shadow.observe(user, ranking([chance.random() for _ in ITEMS]))
        return shadow
    if kind is EnsembleScorer:
        items = {id: {"GENRES": chance.choice(["a|b", "b", "c|a"]), "YEAR": 1990 + n} for n, id in enumerate(ITEMS)}
        return EnsembleScorer(items=items).fit(events)
    return kind(half_life_days=5.0).fit(events)


def use(scorer: Any) -> None:
    """All that a caller does with it."""
    repr(scorer)
    for _ in range(2):
        for user in (*USERS, "nobody"):
            LocalReranker(scorer).rank(user_id=user, input_list=[*ITEMS, "unknown"])
        if isinstance(scorer, ShadowScorer):
            scorer.observe("u1", ranking([n / 20 for n in range(12)]))
            scorer.observe("new", ranking([n / 30 for n in range(12)]))
        else:
            scorer.update([Interaction("u1", "i3", 90_000.0), Interaction("new", "another", 1.0)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, bytes]:
    """A good file of each kind."""
    path = tmp_path_factory.mktemp("scorers") / "scorer"
    contents = {}
    for kind in KINDS:
        trained(kind).save(path)
        contents[kind] = path.read_bytes()
    return contents


# Bytes.


def signed_again(data: bytes) -> bytes:
    """The same file with the checksum that fits it."""
    line, _, packed = data.partition(b"\n")
    line = b" ".join(line.split(b" ")[:5])
    return line + b" sha256=" + hashlib.sha256(line + b"\n" + packed).hexdigest().encode() + b"\n" + packed


def tampered_bytes(data: bytes, chance: random.Random) -> bytes:
    """A file that was cut off, flipped, or lengthened, at any place, with a wrong checksum or a right one."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 20])):
        how = chance.random()
        place = chance.randrange(len(changed) or 1)
        if how < 0.5 and changed:
            # Often in the line, where the numbers are.
            changed[chance.choice([place, place % 80])] = chance.choice([chance.randrange(256), *b"0189- \n_e"])
        elif how < 0.7:
            del changed[place:]
        elif how < 0.85:
            del changed[place : place + chance.randrange(1, 9)]
        else:
            changed[place:place] = chance.randbytes(chance.randrange(1, 9))
    return signed_again(bytes(changed)) if chance.random() < 0.7 else bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_any_bytes_changed_is_refused_or_works(kind: Any, files: dict[Any, bytes], tmp_path: Path) -> None:
    chance, path = random.Random(13), tmp_path / "scorer"
    for _ in range(200):
        path.write_bytes(tampered_bytes(files[kind], chance))
        try:
            scorer = kind.load(path)
        except ValidationError:
            continue
        use(scorer)


def test_bodies_with_any_bytes_changed_are_refused_or_unpacked(files: dict[Any, bytes]) -> None:
    """The checksum is right, and so is zlib: only the JSON and the columns are wrong."""
    chance = random.Random(14)
    line, _, packed = files[PopularityScorer].partition(b"\n")
    match = re.search(rb"text=(\d+) size=(\d+)", line)
    assert match is not None
    body = bytearray(zlib.decompress(packed))
    refused = 0
    for _ in range(600):
        changed = bytearray(body)
        for _ in range(chance.choice([1, 2, 5])):
            changed[chance.randrange(int(match[1]))] = chance.choice(b'0123456789eE-+.,:[]{}"\\untfN\x00\xffIbdz ')
        try:
            storage.unpack(forged(bytes(changed), int(match[1])), "Toy")
        except ValidationError:
            refused += 1
    assert 0 < refused < 600


# Values.


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: Sequence[Any] = (
    *(None, True, False, -1, 0, 1, 7, 10**9, 10**19, 10**300, -(10**300), 0.5, -0.0, 1e308, -1e308, 5e-324),
    *("", "i1", "popular", "\ud800", "x" * 1_000),
    *([], {}, [0], ["a"], ["a", "a"], {"a": 1}, {"": None}, nested(300)),
)
NUMBERS = {
    "I": [0, 1, 3, 100, 2**32 - 1],
    "B": [0, 1, 255],
    "d": [0.0, -0.0, 1.0, -1.0, 60.0, 1e15, 1e308, -1e308, 5e-324, float("inf"), float("nan")],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*path, key)
        yield from places(part, (*path, key))


def tamper(content: Any, columns: dict[str, Any], chance: random.Random) -> Any:
    """Change the content, or the columns in place."""
    if chance.random() < 0.05:
        return copy.deepcopy(chance.choice(HOSTILE))
    for _ in range(chance.choice([1, 1, 2, 4])):
        all_places = list(places(content))
        if all_places and chance.random() < 0.5:
            *path, key = chance.choice(all_places[: chance.choice([5, len(all_places)])])
            inside = content
            for each in path:
                inside = inside[each]
            if chance.random() < 0.2:
                del inside[key]
            else:
                inside[key] = copy.deepcopy(chance.choice(HOSTILE))
        elif columns:
            name = chance.choice(list(columns))
            column, how = columns[name], chance.random()
            if how < 0.1:
                del columns[name]
            elif how < 0.2:
                columns[name] = array(chance.choice("bBiIqQfd"), [1] * len(column))
            elif how < 0.3:
                columns[name] = column[: chance.randrange(len(column) + 1)]
            elif how < 0.4:
                columns[name] = column + column
            elif len(column) and column.typecode in NUMBERS:
                for _ in range(chance.choice([1, 3, len(column)])):
                    column[chance.randrange(len(column))] = chance.choice(NUMBERS[column.typecode])
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_any_values_changed_is_refused_or_works(kind: Any, files: dict[Any, bytes], tmp_path: Path) -> None:
    chance, path, loaded = random.Random(16), tmp_path / "scorer", 0
    for _ in range(250):
        stored = storage.unpack(files[kind], kind.__name__)
        columns = dict(stored.columns)
        storage.save(path, storage.Stored(kind.__name__, tamper(stored.content, columns, chance), columns))
        try:
            scorer = kind.load(path)
        except ValidationError:
            continue
        loaded += 1
        with contextlib.suppress(PersonalizeError):  # its numbers may be too large for a score
            use(scorer)
    assert loaded > 5


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (CoVisitationScorer, lambda content, columns: columns["clock"].__setitem__(0, 1e-300)),
        (CoVisitationScorer, lambda content, columns: columns["clock"].__setitem__(1, 5e-324)),
        (CoVisitationScorer, lambda content, columns: columns["clock"].__setitem__(3, 1e300)),
        (CoVisitationScorer, lambda content, columns: columns["rows.totals"].__setitem__(0, 1e308)),
        (CoVisitationScorer, lambda content, columns: columns["rows.counts"].__setitem__(0, 1e308)),
        (ShadowScorer, lambda content, columns: content.__setitem__("answers", -1)),
        (ShadowScorer, lambda content, columns: content.__setitem__("answers", True)),
        (ShadowScorer, lambda content, columns: content.__setitem__("factors", 10**15)),
        (EnsembleScorer, lambda content, columns: content["learned"].__setitem__("sets", nested(300))),
    ],
)
def test_values_that_no_scorer_comes_to_are_refused(
    kind: Any, change: Any, files: dict[Any, bytes], tmp_path: Path
) -> None:
    stored = storage.unpack(files[kind], kind.__name__)
    change(stored.content, stored.columns)
    storage.save(tmp_path / "scorer", stored)
    with pytest.raises(ValidationError, match="is damaged inside"):
        kind.load(tmp_path / "scorer")


# Memory and types.


def peak(data: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError, match="damaged"):
            storage.unpack(data, "Toy")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """50 MB, packed."""
    return zlib.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    "announced", [b"50000000", b"-1", b"0", b"9" * 18, b"9" * 19, b"9" * 200, b"1_0", b"+5", b"", "²".encode(), b"1e9"]
)
def test_a_file_does_not_unpack_to_more_than_its_size_allows(announced: bytes, bomb: bytes) -> None:
    for numbers in (b"text=2 size=%s", b"text=%s size=50000000", b"text=%s size=2"):
        line = b"personalize-rt-scorer 1 Toy " + numbers % announced
        assert peak(signed_again(line + b" sha256=\n" + bomb)) < 1_000_000


@pytest.mark.parametrize("part", [b"[],", b"{},", b"[[]],", b'"ab",', b"1.5,", b'{"":0},'])
def test_the_json_of_a_file_takes_no_more_than_it_is_bounded_to(part: bytes) -> None:
    text = b"[[" + part * (200_000 // len(part)) + b"0],0]"
    assert peak(forged(text, len(text))) < 40 * len(text)
    much = part * (9_000_000 // len(part))
    assert peak(forged(much, len(much))) < 10_000_000  # 8 MB is the bound


def test_a_file_full_of_repetitions_is_packed_so_that_it_can_be_read_again() -> None:
    stored = storage.Stored("Toy", ["x" * 9_000_000], {"ones": array("d", [1.0] * 2_000_000)})
    back = storage.unpack(storage.pack(stored), "Toy")
    assert (back.content, back.columns) == (stored.content, stored.columns)


@pytest.mark.parametrize("code", ["u", "w", "l", "L", "h", "", "bB", "d ", None, 7, [], {}, True])
def test_no_array_is_made_of_a_type_that_is_none_of_ours(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of them are deprecated or new in newer versions of Python."""
    text = json.dumps([0, [["n", code, 0]]]).encode()
    monkeypatch.setattr(storage, "array", lambda *_: pytest.fail("an array was made"))
    with pytest.raises(ValidationError, match="damaged"):
        storage.unpack(forged(text, len(text)), "Toy")


def test_a_number_that_json_makes_infinite_is_refused() -> None:
    text = b"[1e999,[]]"
    with pytest.raises(ValidationError, match="damaged"):
        storage.unpack(forged(text, len(text)), "Toy")


def test_a_foreign_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ValidationError, match="not a scorer"):
        PopularityScorer.load("/dev/zero")
