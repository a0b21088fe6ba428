"""Writes ``personalize_rt/_sync`` from ``personalize_rt/_async``: ``nox -s twins``.

``unasync`` takes out ``async`` and ``await`` and renames names by the table ``NAMES`` of ``words.py``. Docstrings,
strings and comments take the same names, and the sentences of ``SENTENCES``. An entry of the tables that nothing uses
fails, and so does a file that still speaks of asyncio. ruff sorts the imports and formats.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import tokenize_rt
import unasync

from tests.twins.words import NAMES, SENTENCES

HERE = Path(__file__).resolve().parents[2]
BY_HAND = HERE / "personalize_rt" / "_async"
GENERATED = HERE / "personalize_rt" / "_sync"
# What no line of a generated file may hold. unasync makes SyncX of an AsyncX that is not in the table.
OF_ASYNCIO = re.compile(
    r"\w*async\w*|\b(?:await\w*|aio\w*|aclose|event loops?|coroutines?|tasks?)\b|(?-i:\bSync[A-Z]\w*)", re.IGNORECASE
)


class TwinError(Exception):
    """A file cannot be made into its twin; the message says what to do."""


def header(name: str) -> str:
    """The first line of a generated file."""
    return f"# Generated from personalize_rt/_async/{name} by `nox -s twins`: edit that file, and never this one.\n"


def generated(
    sources: Mapping[str, str],
    names: Mapping[str, str] = NAMES,
    sentences: Sequence[tuple[str, str]] = SENTENCES,
) -> dict[str, str]:
    """The twins of some files.

    Args:
        sources: File name to text.
        names: Name of the async code to that of the sync code.
        sentences: Sentence of a docstring, string or comment, and what stands there in the twin. Lines after the first
            are indented as far as the first one is.

    Raises:
        TwinError: An entry of a table is unused, or a file still speaks of asyncio.
    """
    used: set[str] = set()
    said = {name: _in_texts(text, lambda part: _retold(part, names, sentences, used)) for name, text in sources.items()}
    for name in names:
        if any(re.search(rf"\b{re.escape(name)}\b", text) for text in sources.values()):
            used.add(name)
    unused = [entry for entry in (*names, *(ours for ours, _ in sentences)) if entry not in used]
    if unused:
        raise TwinError("words.py has entries that nothing uses:\n" + "\n".join(map(repr, unused)))
    twins = {name: header(name) + _formatted(name, text) for name, text in _without_async(said, names).items()}
    left = [
        f"_sync/{name}:{number}: {word[0]!r} in: {line.strip()}"
        for name, text in twins.items()
        for number, line in enumerate(text.splitlines(), 1)
        if number > 1 and (word := OF_ASYNCIO.search(line))
    ]
    if left:
        raise TwinError("these lines still speak of asyncio: add entries to words.py:\n" + "\n".join(left))
    return twins


def _in_texts(source: str, change: Callable[[str], str]) -> str:
    """A source whose docstrings, strings and comments are changed. From Python 3.12 on, f-strings come in parts."""
    tokens = tokenize_rt.src_to_tokens(source)
    return tokenize_rt.tokens_to_src(
        [
            token._replace(src=change(token.src)) if "STRING" in token.name or token.name == "COMMENT" else token
            for token in tokens
        ]
    )


def _retold(text: str, names: Mapping[str, str], sentences: Sequence[tuple[str, str]], used: set[str]) -> str:
    for ours, theirs in sentences:
        text, found = re.subn(_pattern(ours), partial(_told, theirs), text)
        if found:
            used.add(ours)
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), text)


def _pattern(sentence: str) -> str:
    first, *others = map(re.escape, sentence.split("\n"))
    return rf"(?m)^(?P<indent> *)(?P<before>.*?){first}" + "".join(
        rf"\n(?P=indent){other}" if other else r"\n" for other in others
    )


def _told(theirs: str, found: re.Match[str]) -> str:
    indent = found["indent"]
    return indent + found["before"] + theirs.replace("\n", "\n" + indent)


def _without_async(sources: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        by_hand = Path(folder) / "_async"
        by_hand.mkdir()
        for name, text in sources.items():
            (by_hand / name).write_text(text, encoding="utf-8")
        rule = unasync.Rule(fromdir="/_async/", todir="/_sync/", additional_replacements=dict(names))
        unasync.unasync_files([str(by_hand / name) for name in sources], [rule])
        return {name: (Path(folder) / "_sync" / name).read_text("utf-8") for name in sources}


def _formatted(name: str, text: str) -> str:
    # ruff looks for a module's file to tell whether it is ours, and a new one has none yet.
    ours = '--config=lint.isort.known-first-party=["personalize_rt"]'
    for command in (["check", "--select=I", "--fix", "--quiet", ours], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(GENERATED / name), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, encoding="utf-8", check=True, cwd=HERE).stdout
    return text


def sources() -> dict[str, str]:
    """The files that are written by hand."""
    return {path.name: path.read_text("utf-8") for path in sorted(BY_HAND.glob("*.py"))}


def main() -> None:
    """Write the twins, and remove files whose source is gone."""
    twins = generated(sources())
    GENERATED.mkdir(exist_ok=True)
    for path in GENERATED.glob("*.py"):
        if path.name not in twins:
            path.unlink()
    for name, text in twins.items():
        (GENERATED / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except TwinError as error:
        sys.exit(str(error))
