"""Docstrings begin with what a thing is (noun phrase) or does (verb), so that nobody has to read them twice."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import personalize_rt

PACKAGE = Path(personalize_rt.__file__).parent

# Question words, conditions, and pronouns without their noun.
_RIDDLE = re.compile(
    r"(what|whatever|how|whether|where|wherever|why|when|who|whoever|which|that|if|of|as|it|its|they|their|those|these)\b",
    re.IGNORECASE,
)


def riddles(source: str) -> Iterator[tuple[int, str]]:
    """The line and the first line of each docstring, of names in a body too, that begins with such a word."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))) if _RIDDLE.match(text.strip()):
                    yield statement.lineno, text.strip().splitlines()[0]


def test_docstrings_begin_with_what_a_thing_is_or_does():
    wrong = [
        f"personalize_rt/{path.relative_to(PACKAGE).as_posix()}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in riddles(path.read_text("utf-8"))
    ]
    assert not wrong, "begin these with a noun or a verb:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        '"""How much one request may carry."""',
        'def count():\n    """How many are done."""',
        'class Plan:\n    """\n    What becomes of a row.\n    """',
        'size: int = 1\n"""Of all requests."""',
    ],
    ids=["module", "function", "class", "name"],
)
def test_a_docstring_that_begins_otherwise_is_found(source):
    assert len(list(riddles(source))) == 1


@pytest.mark.parametrize("text", ["The limits on one request.", "Whatsoever", "Offers for a user.", "Iterate."])
def test_words_that_only_look_alike_are_not_meant(text):
    assert not list(riddles(f'"""{text}"""'))
