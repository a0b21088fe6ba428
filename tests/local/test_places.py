"""Where things stand in TOML and JSON."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local.places import Source, places_in_json, places_in_toml

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def paths(document: Any, before: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Every path of a document, with what stands there: of a member its name, of an element its value."""
    found: dict[tuple[Any, ...], Any] = {}
    if isinstance(document, dict):
        for name, value in document.items():
            found |= {(*before, name): name, **paths(value, (*before, name))}
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found |= {(*before, index): value, **paths(value, (*before, index))}
    return found


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_every_place_of_json_is_known(document: Any, ascii: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ascii, indent=indent)
    expected = paths(document)
    places = places_in_json(text)
    assert places.keys() == expected.keys()
    for path, place in places.items():
        assert json.JSONDecoder().raw_decode(text, place)[0] == expected[path]


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("a = 1", ("a",), "a = 1"),
        ("# a = 1\n  a = 1", ("a",), "a = 1"),
        ("[t]\nb = 1\n[u]\nb = 2", ("u", "b"), "b = 2"),
        ("[ t . u ] # a\nb = 1", ("t", "u", "b"), "b = 1"),
        ("[[t]]\nb = 1\n[[t]]\nb = 2", ("t", "b"), "b = 1"),
        ("t.u = 1", ("t", "u"), "u = 1"),
        ('t . "u.v" = 1', ("t", "u.v"), '"u.v" = 1'),
        ("t = { u = 1, 'v w' = { x = [ 1, { y = 2 } ] } }", ("t", "v w", "x", 1, "y"), "y = 2 } ] } }"),
        ("t = [ 1, # ]\n  2,\n]\nb = 1", ("b",), "b = 1"),
        ("t = '''\nb = 0'''\nb = 1", ("b",), "b = 1"),
        ('t = """\nb = 0\\""" """"\nb = 1', ("b",), "b = 1"),
        ('t = "\\"#"\nb = 1', ("b",), "b = 1"),
        ("t = ''\n\"\\u0062\" = 1", ("b",), '"\\u0062" = 1'),
        ("t = 1979-05-27T07:32:00Z\nb = 1", ("b",), "b = 1"),
    ],
)
def test_places_of_toml_are_known_however_it_is_written(text: str, path: tuple[Any, ...], place: str) -> None:
    tomllib.loads(text)
    assert text[places_in_toml(text)[path] :].startswith(place)


def test_line_and_column_are_those_of_the_file() -> None:
    assert Source("f", "one\ntwo").at(0) == (1, 1)
    assert Source("f", "one\ntwo").at(5) == (2, 2)
    assert Source("f", "one\ntwo", "x\ny = ").at(0) == (2, 5)
    assert Source("f", "one\ntwo", "x\ny = ").at(4) == (3, 1)
