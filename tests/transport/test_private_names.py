"""The private names of botocore and boto3 that this package stands on, counted from its source.

ADR 0001 has the two numbers. A name that is *used* is read or called; one that is *looked at* is only compared by
identity, to notice who has replaced it (:mod:`personalize_rt.transport.watching`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore

import personalize_rt

ROOT = Path(personalize_rt.__file__).parent
USED = 23
LOOKED_AT = 15


def source_of(*libraries: object) -> str:
    folders = (Path(library.__file__).parent for library in libraries)  # type: ignore[attr-defined]
    return "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))


def names_in(path: Path) -> Iterator[str]:
    """Attributes of objects that are not ``self``, and names in strings that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from re.findall(r"(?<!\w)_[a-z]\w*", node.value)


# Of our own classes, or of namedtuple; botocore happens to have such names as well.
OURS = {"_client", "_context", "_count", "_data", "_lock", "_name", "_replace", "_state", "_tell"}


def private_names(*files: Path) -> set[str]:
    theirs = source_of(boto3, botocore)
    return {
        name
        for path in files
        for name in names_in(path)
        if re.fullmatch(r"_[a-zA-Z]\w*", name)
        and re.search(rf"def {name}\b|\.{name}\b|\b{name}\s*=[^=]", theirs)
        and name not in OURS
    }


def test_the_private_names_of_botocore_are_counted() -> None:
    watching = ROOT / "transport" / "watching.py"
    used = private_names(*(path for path in (ROOT / "transport").glob("*.py") if path != watching))
    looked_at = private_names(watching) - used
    assert (len(used), len(looked_at)) == (USED, LOOKED_AT), f"used: {sorted(used)}; looked at: {sorted(looked_at)}"


def test_the_decision_has_the_numbers() -> None:
    page = ROOT.parent / "docs" / "decisions" / "0001-three-ways-to-send.md"
    if page.exists():  # not in the wheel
        assert f"uses {USED} private names" in page.read_text(encoding="utf-8")
        assert f"looks at {LOOKED_AT} more" in page.read_text(encoding="utf-8")
