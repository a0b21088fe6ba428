"""``personalize_rt/_sync`` is what ``nox -s twins`` makes of ``personalize_rt/_async``, and speaks of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

for needed in ("tokenize_rt", "unasync", "ruff"):
    pytest.importorskip(needed, reason=f"{needed} is in the extra [dev]: nox -s lint runs this")

from tests.twins.generate import (  # noqa: E402 - after what may be missing
    GENERATED,
    HERE,
    TwinError,
    generated,
    header,
    sources,
)
from tests.twins.words import NAMES, SENTENCES  # noqa: E402

BY_HAND = {
    "calls.py": '''\
"""Calls for asyncio."""

from personalize_rt._async.driver import outcome_of


async def call(transport: "AsyncTransport") -> None:
    """Call, in a task.

    The event loop is kept busy,
        and so on.
    """
    async with transport:  # AsyncTransport
        raise LookupError(f"AsyncTransport: {transport}", await outcome_of(transport))
'''
}
TWIN = '''\
"""Calls for threads."""

from personalize_rt._sync.driver import outcome_of


def call(transport: "Transport") -> None:
    """Call, in a thread.

    The thread waits
        for it.
    """
    with transport:  # Transport
        raise LookupError(f"Transport: {transport}", outcome_of(transport))
'''
SOME_NAMES = {"AsyncTransport": "Transport", "_async": "_sync", "task": "thread"}
SOME_SENTENCES = [
    ("for asyncio.", "for threads."),
    ("The event loop is kept busy,\n    and so on.", "The thread waits\n    for it."),
]


def test_no_generated_file_is_stale() -> None:
    there = {path.name: path.read_text("utf-8") for path in GENERATED.glob("*.py")}
    assert there == generated(sources()), "stale: write the files anew with nox -s twins"


def test_code_docstrings_strings_and_comments_are_rewritten() -> None:
    assert generated(BY_HAND, SOME_NAMES, SOME_SENTENCES) == {"calls.py": header("calls.py") + TWIN}


@pytest.mark.parametrize(
    ("names", "sentences", "entry"),
    [
        ({"AsyncSession": "Session"}, [], "'AsyncSession'"),
        ({}, [("for trio.", "for threads.")], "'for trio.'"),
        ({}, [("The event loop is kept busy,\nand so on.", "")], "'The event loop is kept busy,"),
    ],
    ids=["name", "sentence", "indented otherwise"],
)
def test_an_entry_that_nothing_uses_is_refused(
    names: Mapping[str, str], sentences: list[tuple[str, str]], entry: str
) -> None:
    with pytest.raises(TwinError, match="nothing uses") as caught:
        generated(BY_HAND, {**SOME_NAMES, **names}, [*SOME_SENTENCES, *sentences])
    assert entry in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio",
        '"""Await it."""',
        "# in the event loop",
        "# a coroutine",
        "tasks = []",
        "AsyncThing = 1",
        '"aclose"',
        "# aiobotocore",
    ],
)
def test_a_word_of_asyncio_that_is_left_is_refused(text: str) -> None:
    with pytest.raises(TwinError, match=r"_sync/left\.py:3: ") as caught:
        generated({"left.py": f"x = 1\n{text}\n"}, {}, [])
    assert text.replace("AsyncThing", "SyncThing") in str(caught.value)


def test_the_first_line_names_the_file_to_edit_and_the_command() -> None:
    for path in GENERATED.glob("*.py"):
        first = path.read_text("utf-8").partition("\n")[0]
        assert f"personalize_rt/_async/{path.name}" in first
        assert (HERE / "personalize_rt" / "_async" / path.name).is_file()
        assert "nox -s twins" in first


def test_the_tables_are_sorted_and_say_nothing_twice() -> None:
    assert [*NAMES] == sorted(NAMES)
    assert len({ours for ours, _ in SENTENCES}) == len(SENTENCES)


def test_every_generated_file_is_in_the_package() -> None:
    import personalize_rt

    installed = Path(personalize_rt.__file__).parent / "_sync"
    assert {path.name for path in installed.glob("*.py")} == {*sources()}
