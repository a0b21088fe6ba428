"""The body of a request that is sent directly is botocore's, to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.transport.direct import body_of

_IDS = st.text(st.sampled_from(["a", "7", "-", " ", '"', "\\", "/", "\n", "\x7f", "é", "日", "😀", ",", "[", "]"]))
_VALUES = st.one_of(
    _IDS,
    st.integers(),
    st.lists(_IDS),
    st.lists(st.one_of(_IDS, st.none(), st.integers())),
    st.lists(_IDS).map(tuple),
    st.dictionaries(_IDS, _IDS),
)


@given(st.dictionaries(_IDS, _VALUES))
def test_members_are_written_as_json_writes_them(members: dict[str, Any]) -> None:
    assert body_of(members) == json.dumps(members).encode()


@pytest.mark.parametrize("id", ["", '"', '", "', "\\", "\u2028", "\ud800", "\x00", "a b"])
def test_an_id_of_any_characters_is_one_text_of_the_list(id: str) -> None:
    for ids in ([id], [id, "x"], ["x", id, id]):
        assert json.loads(body_of({"inputList": ids})) == {"inputList": ids}
