"""Hostile and unlucky data directories: loading is linear, ends, and raises only LocalDataError."""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local import LocalDataError, LocalPersonalize, Problem
from personalize_rt.local.places import excess

EVENTS = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\nu,i,1000,Watch,1\nv,j,1001,Click,2.5\n"
SCHEMA_FILE = "[schemas]\nitems = 's.json'\n"


def schema(*fields: Any) -> str:
    return json.dumps({"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, *fields]})


@pytest.fixture
def load(directory: Callable[..., Path]) -> Callable[..., tuple[Problem, ...]]:
    """Loads a directory of some files, interactions among them; gives its problems."""

    def load(files: Mapping[str, str | bytes]) -> tuple[Problem, ...]:
        return problems_of(directory({"interactions.csv": EVENTS, **files}))

    return load


def problems_of(path: Path) -> tuple[Problem, ...]:
    try:
        LocalPersonalize.from_directory(path)
    except LocalDataError as error:
        return error.problems
    return ()


# Linear.

Make = Callable[[int], dict[str, str]]


def filters(expression: str, n: int) -> str:
    return "[filters]\n" + "".join(f"f{k} = {expression}\n" for k in range(n))


MANY: dict[str, tuple[int, Make]] = {
    "digits and an x": (2000, lambda n: {"items.csv": f"ITEM_ID,A\ni,{'1' * n}x\n"}),
    "digits after a dot and an x": (2000, lambda n: {"items.csv": f"ITEM_ID,A\ni,1.{'1' * n}x\n"}),
    "digits in a column of decimals": (
        1000,
        lambda n: {"interactions.csv": EVENTS + f"u,i,1,Watch,{'1' * n}x\n" * 10},
    ),
    "filters that do not parse": (250, lambda n: {"personalize.toml": filters("'EXCLUDE ItemID WHERE'", n)}),
    "filters written with escapes": (250, lambda n: {"personalize.toml": filters('"EXCLUDE \\u0049"', n)}),
    "good filters": (
        400,
        lambda n: {"personalize.toml": filters("'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (\"x\")'", n)},
    ),
    "good filters on many columns": (
        400,
        lambda n: {
            "items.csv": f"ITEM_ID,{','.join(f'A{k}' for k in range(n))}\ni{',1' * n}\n",
            "personalize.toml": filters(f"'EXCLUDE ItemID WHERE Items.A{n - 1} = 1'", n),
        },
    ),
    "wrong fields of a schema": (
        250,
        lambda n: {"personalize.toml": SCHEMA_FILE, "s.json": schema(*({"name": f"A{k}"} for k in range(n)))},
    ),
    "fields of a schema": (
        500,
        lambda n: {
            "items.csv": f"ITEM_ID,{','.join(f'A{k}' for k in range(n))}\ni{',x' * n}\n",
            "personalize.toml": SCHEMA_FILE,
            "s.json": schema(*({"name": f"A{k}", "type": "long"} for k in range(n))),
        },
    ),
    "unknown tables": (250, lambda n: {"personalize.toml": "".join(f"[t{k}]\n" for k in range(n))}),
    "columns": (4000, lambda n: {"items.csv": f"ITEM_ID,{','.join(f'A{k}' for k in range(n))}\ni{',1' * n}\n"}),
    "columns of one name": (4000, lambda n: {"items.csv": f"ITEM_ID{',A' * n}\ni{',1' * n}\n"}),
    "wrong rows": (4000, lambda n: {"interactions.csv": EVENTS + "u,i,x,Watch,x\nu\n" * n}),
    "parts of a key": (1000, lambda n: {"personalize.toml": ".".join("a" * n) + " = 1\n"}),
    "quotes that open nothing": (1000, lambda n: {"personalize.toml": 'a = """' + '\n\\"""' * n}),
}


def cost(path: Path) -> float:
    """Seconds of this thread's own computing, in the best of three rounds."""
    rounds: list[float] = []
    for _ in range(3):
        before = time.thread_time()
        problems_of(path)
        rounds.append(time.thread_time() - before)
    return min(rounds)


@pytest.mark.parametrize(("n", "make"), MANY.values(), ids=MANY)
def test_loading_takes_time_linear_in_what_there_is_to_load(n: int, make: Make, tmp_path: Path) -> None:
    costs: list[float] = []
    for size in (n, 4 * n):
        path = tmp_path / str(size)
        path.mkdir()
        for name, content in {"interactions.csv": EVENTS, **make(size)}.items():
            (path / name).write_text(content)
        costs.append(cost(path))
    # Linear is 4 times, the square 16 times.
    assert costs[1] < 9 * costs[0]


# Only LocalDataError, with its place.


@pytest.mark.parametrize(
    ("content", "line", "column", "expected"),
    [
        ("a = 1\nb = " + "[" * 3000 + "]" * 3000, 2, 37, "levels of brackets"),
        ("b = " + "{a=" * 3000, 1, 101, "levels of brackets"),
        (".".join("a" * 3000) + " = 1", 1, 64, "keys of at most 32 parts"),
        ("[" + ".".join(["'a'"] * 3000) + "]", 1, 129, "keys of at most 32 parts"),
        ("a = " + "9" * 5000, 1, 5, "numbers of at most 400 digits"),
        ("a = [1, -" + "9" * 5000 + "]", 1, 9, "numbers of at most 400 digits"),
        ("a = 1." + "9" * 5000, 1, 7, "numbers of at most 400 digits"),
        ("a = 2024-13-45", 1, None, "expected TOML"),
        ("a = 2024-02-30", 1, 5, "Invalid date"),
        ("a = 0000-01-01", 1, 5, "Invalid date"),
        ("a = 2024-01-01T25:00:00Z", 1, None, "expected TOML"),
        ("a = '\0'", 1, 6, "expected TOML"),
        ('a = "\\ud800"', 1, None, "expected TOML"),
        (b"\xff\xfea\x00", 1, None, "expected UTF-8"),
        (b"\xef\xbb\xbfa = '\x00'", 1, 6, "expected TOML"),
        (b"a = 1\n# \xed\xa0\x80\n", 2, None, "expected UTF-8"),
        ("[schemas]\nitems = '[1, 2]'\n", 2, 1, "expected the JSON of a schema"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_settings_that_no_parser_can_stand_are_a_problem_with_its_place(
    load: Callable[..., tuple[Problem, ...]], content: str | bytes, line: int, column: int | None, expected: str
) -> None:
    (problem,) = load({"personalize.toml": content})
    assert (problem.file, problem.line) == ("personalize.toml", line)
    assert expected in problem.message
    if column is not None:
        assert problem.column == column


@pytest.mark.parametrize(
    ("content", "line", "column", "expected"),
    [
        ("[" * 3000 + "]" * 3000, 1, 33, "levels of brackets"),
        ('{"type": "record",\n "fields": ' + "[" * 900 + "]" * 900 + "}", 2, 43, "levels of brackets"),
        ('{"a": ' * 3000, 1, 193, "levels of brackets"),
        ('{"fields": [],\n"version": ' + "9" * 5000 + "}", 2, 12, "numbers of at most 400 digits"),
        ('{"fields": [],\n"version": 1e' + "9" * 5000 + "}", 2, 12, "numbers of at most 400 digits"),
        ('{"fields": "\0"}', 1, 13, "expected JSON"),
        ('{"fields": \'', 1, 12, "expected JSON"),
        ('{"fields": # [', 1, 12, "expected JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_schema_that_no_parser_can_stand_is_a_problem_with_its_place(
    load: Callable[..., tuple[Problem, ...]], content: str, line: int, column: int, expected: str
) -> None:
    files = {"s.json": content, "items.csv": "ITEM_ID\ni\n"}
    problem = load({**files, "personalize.toml": SCHEMA_FILE})[0]
    assert (problem.file, problem.line, problem.column) == ("s.json", line, column)
    assert expected in problem.message
    # What begins with a brace, and is a text of TOML, may stand in the settings themselves.
    if content.startswith("{") and not {"\0", "'"} & {*content}:
        problem = load({**files, "personalize.toml": f"[schemas]\nitems = '''\n{content}'''\n"})[0]
        place = ("personalize.toml (schemas.items)", line + 2, column)
        assert (problem.file, problem.line, problem.column) == place
        assert expected in problem.message


def test_what_looks_deep_long_or_dotted_in_a_text_or_a_comment_is_neither() -> None:
    harmless = "[" * 100 + "9" * 500 + "a." * 100
    for quotes in ('"', "'", '"""', "'''"):
        assert excess(f"a = {quotes}{harmless}{quotes}\n") is None
    assert excess(f"a = 1 # {harmless}\n# {harmless}\n") is None
    assert excess(json.dumps({"a": [harmless, harmless + '"\\']})) is None
    assert excess("a = [" + "1.5, " * 100 + "]\n" + "a.b = [[]]\n" * 100) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1" * 32_000 + "x", None),
        ("1" * 130_000, None),
        ("1e999", "a decimal number"),
        ("1." + "0" * 130_000, None),
        ("x" * 131_073, "field larger than field limit"),
        ("\0", None),
        ("=1+1", None),
        ("٣" * 5000, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_odd_cells_are_read_or_are_a_problem_with_its_line(
    load: Callable[..., tuple[Problem, ...]], cell: str, expected: str | None
) -> None:
    found = load({"items.csv": f"ITEM_ID,A\ni,{cell}\n"})
    assert [(problem.file, problem.line) for problem in found] == [("items.csv", 2)] * (expected is not None)
    assert expected is None or expected in found[0].message


@pytest.mark.parametrize("column", ["TIMESTAMP", "EVENT_VALUE"])
@pytest.mark.parametrize("cell", ["9" * 5000, "-" + "9" * 5000, "1e5000", "9" * 5000 + "x", "0x10", "1_0", "٣", "\0"])
def test_numbers_that_python_cannot_read_are_a_problem_of_their_cell(
    load: Callable[..., tuple[Problem, ...]], column: str, cell: str
) -> None:
    row = {"TIMESTAMP": f"u,i,{cell},Watch,1\n", "EVENT_VALUE": f"u,i,1,Watch,{cell}\n"}[column]
    (problem,) = load({"interactions.csv": EVENTS + row})
    assert (problem.file, problem.line, problem.column) == ("interactions.csv", 4, column)
    assert cell not in problem.message


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices in the file system")
@pytest.mark.parametrize("name", ["interactions.csv", "items.csv", "personalize.toml", "s.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "link to nowhere"])
def test_what_is_not_a_file_is_told_and_not_waited_for(directory: Callable[..., Path], name: str, kind: str) -> None:
    files = {"interactions.csv": EVENTS, "items.csv": "ITEM_ID\ni\n", "personalize.toml": SCHEMA_FILE}
    path = directory({file: content for file, content in files.items() if file != name})
    if kind == "pipe":
        os.mkfifo(path / name)
    elif kind == "directory":
        (path / name).mkdir()
    else:
        (path / name).symlink_to("/dev/zero" if kind == "device" else "nowhere")
    if name != "s.json":
        (path / "s.json").write_text(schema())
    found = [problem for problem in problems_of(path) if problem.file == name or name == "s.json"]
    expected = {"directory": "Is a directory", "link to nowhere": "No such file"}.get(kind, "Not a regular file")
    assert [expected in problem.message for problem in found] == [True]


@pytest.mark.parametrize("outside", ["{up}/secret.json", "../secret.json", "a/../../secret.json", "a/../s.json"])
def test_schema_outside_the_data_directory_is_refused(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path, outside: str
) -> None:
    (tmp_path.parent / "secret.json").write_text(schema())
    (tmp_path / "a").mkdir()
    name = outside.format(up=tmp_path.parent.as_posix())
    (problem,) = load(
        {"items.csv": "ITEM_ID\ni\n", "s.json": schema(), "personalize.toml": f"schemas.items = '{name}'"}
    )
    assert (problem.line, problem.column) == (1, 9)
    assert "outside" in problem.message


def test_schema_in_a_folder_of_the_data_directory_is_read(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "s.json").write_text(schema({"name": "A", "type": "string"}))
    assert load({"items.csv": "ITEM_ID,A\ni,x\n", "personalize.toml": "schemas.items = './a/s.json'"}) == ()


@pytest.mark.parametrize("name", ["x" * 5000, "a\\u0000b"])
def test_schema_whose_name_no_file_can_have_is_a_problem(load: Callable[..., tuple[Problem, ...]], name: str) -> None:
    (problem,) = load({"personalize.toml": f'schemas.items = "{name}"'})
    assert "expected the JSON of a schema" in problem.message


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_directory_whose_name_none_can_have_is_a_problem(tmp_path: Path, name: str) -> None:
    (problem,) = problems_of(tmp_path / name)
    assert "expected a directory" in problem.message


def test_place_of_a_filter_is_told_after_line_separators_of_unicode(load: Callable[..., tuple[Problem, ...]]) -> None:
    text = "[filters]\nx = '''EXCLUDE ItemID\u2028WHERE\nItems.A LIKE 1'''\n"
    (problem,) = load({"items.csv": "ITEM_ID,A\ni,1\n", "personalize.toml": text})
    assert (problem.line, problem.column) == (3, 9)


# Not without end.


@pytest.mark.parametrize("extra", [0, 1, 900])
def test_of_one_file_a_hundred_problems_are_listed(load: Callable[..., tuple[Problem, ...]], extra: int) -> None:
    header = "ITEM_ID" + ",A" * (101 + extra)
    found = load({"personalize.toml": filters("'EXCLUDE'", 100 + extra), "items.csv": f"{header}\n{header}\n"})
    for file in ("personalize.toml", "items.csv"):
        messages = [problem.message for problem in found if problem.file == file]
        assert messages[100:] == ["… and more problems: these are the first 100"] * (extra > 0)
        assert len(set(messages[:100])) in (1, 100)


def test_names_of_any_length_are_shortened(load: Callable[..., tuple[Problem, ...]]) -> None:
    name = "A" * 100_000
    (of_key,) = load({"personalize.toml": f"{name} = 1\n"})
    (of_column,) = load({"personalize.toml": "", "items.csv": f"ITEM_ID,{name},{name}\ni,1,2\n"})
    assert len(str(of_key)) < 2200
    assert len(str(of_column)) < 300


# Fuzz.

SEEDS: Mapping[str, str] = {
    "interactions.csv": EVENTS,
    "items.csv": 'ITEM_ID,TITLE,YEAR,CREATION_TIMESTAMP\ni,"One, ""two""",1999,1\nj,a|b,,2\n',
    "users.csv": "USER_ID,AGE\nu,40\n",
    "actions.csv": "ACTION_ID,TYPE,VALUE,REPEAT_FREQUENCY\na,Mail,3,1\n",
    "action_interactions.csv": "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\nu,a,TAKEN,1\n",
    "personalize.toml": "[campaigns]\nx = 'aws-sims'\ny = { recipe = \"aws-user-personalization\" }\n[filters]\n"
    "f = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (\"Watch\")' # one\n"
    'g = """INCLUDE ItemID WHERE Items.YEAR > 1970\n"""\n[schemas]\nitems = \'s.json\'\nusers = \'\'\''
    '{"type": "record", "name": "Users", "fields": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", '
    '"type": ["null", "long"]}]}\'\'\'\n[options]\nregion = "eu-west-1"\n',
    "s.json": '{"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, {"name": "TITLE", '
    '"type": "string", "categorical": true}, {"name": "YEAR", "type": ["null", "int"]}, {"name": '
    '"CREATION_TIMESTAMP", "type": "long"}], "version": "1.0"}',
}
SPLICES = [
    *(b"\xff", b"\0", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b'"', b"'", b'"""', b"'''", b"\\", b"#"),
    *(b"[", b"]", b"{", b"}", b"[[", b",", b".", b"=", b":", b"1e999", b"-", b"2024-13-45", b"null", b"nan", b"../"),
    *(b"[" * 500, b"{a=" * 500, b"a." * 500, b"9" * 5000, b"\xd9\xa3", b"x" * 140_000, b'{"a":' * 500, b"0x", b"_"),
]


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """A content with some bytes taken out, repeated, or put in."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content) + 1)
        end = min(len(content), at + chance.choice((0, 0, 1, 3, 20)))
        piece = chance.choice((b"", chance.choice(SPLICES), content[at:end] * 2))
        content = content[:at] + piece + content[end:]
    return content


def test_seeds_of_the_fuzz_load(load: Callable[..., tuple[Problem, ...]]) -> None:
    assert load(SEEDS) == ()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_files_hold_only_data_errors_are_raised(
    load: Callable[..., tuple[Problem, ...]], directory: Callable[..., Path], seed: int
) -> None:
    chance = random.Random(seed)
    loaded = 0
    for _ in range(60):
        files: dict[str, str | bytes] = dict(SEEDS)
        for name in chance.sample(sorted(SEEDS), chance.randint(1, 3)):
            files[name] = spoiled(SEEDS[name].encode(), chance)
        found = load(files)
        loaded += not found
        check(found, files)
    assert 0 < loaded < 60


def check(problems: Iterable[Problem], files: Mapping[str, str | bytes]) -> None:
    """Each place that is told is one of the file."""
    for problem in problems:
        content = files[problem.file.partition(" (")[0]]
        content = content if isinstance(content, bytes) else content.encode()
        lines = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert problem.line is None or 1 <= problem.line <= len(lines)
        if isinstance(problem.column, int):
            assert problem.line is not None
            # After the last character, where something is missing; a byte-order mark counts for nothing.
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


ODD = st.lists(
    st.sampled_from([*"\"'#[]{}.=\n\\ ,:-+a1_\t\r", '"""', "'''", "[[", "a = ", "[schemas]\nitems = ", "\\u0041"]),
    max_size=25,
).map("".join)


@given(ODD, ODD)
def test_odd_toml_and_json_raise_only_data_errors(toml: str, schema: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = {"interactions.csv": EVENTS, "personalize.toml": toml, "s.json": schema, "items.csv": "ITEM_ID\ni\n"}
        for settings in (toml, SCHEMA_FILE):
            files["personalize.toml"] = settings
            for file, content in files.items():
                Path(name, file).write_text(content, newline="")
            check(problems_of(Path(name)), files)
