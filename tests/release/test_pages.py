"""Pages are read in two ways: built with Sphinx, and as they stand, on a forge or in an editor.

So a page holds the code of an example itself, and its tables of contents are lists of links. After a change of an
example::

    python tests/release/test_pages.py
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))]
_INCLUDED = re.compile(r"(<!-- (docs/\S+), word for word -->\n\n```\w+\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)


def with_examples(page: str) -> str:
    """A page with its examples as their files have them."""
    return _INCLUDED.sub(lambda found: f"{found[1]}{(ROOT / found[2]).read_text('utf-8')}{found[4]}", page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_examples_as_their_files_have_them(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    assert page == with_examples(page), f"python {Path(__file__).relative_to(ROOT)} brings the page up to date"


def test_each_example_of_a_page_is_found() -> None:
    shown = [found[2] for name in PAGES for found in _INCLUDED.finditer((ROOT / name).read_text("utf-8"))]
    assert sorted(shown) == [
        "docs/examples/fastapi_app.py",
        "docs/examples/film_site/personalization.py",
        "docs/examples/film_site/views.py",
        "docs/examples/lambda_function.py",
        "docs/examples/redis_cache.py",
        "docs/examples/test_fastapi_app.py",
        "docs/examples/test_film_site.py",
        "docs/examples/test_lambda_function.py",
        "docs/how-to/team/Dockerfile",
        "docs/how-to/team/compose.yaml",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_sphinx_to_be_read(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    assert not re.findall(r"^```\{(?:toctree|literalinclude)\}.*", page, re.MULTILINE)
    assert not re.findall(r"(?<!!)\[\]\(.*?\)", page), "a link without a text is not seen on a forge"


def make_toctrees() -> Callable[[str], str]:
    """The function of ``docs/conf.py``, which as a whole needs what builds the pages."""
    source = (DOCS / "conf.py").read_text("utf-8")
    start = source.index("_CONTENTS = ")
    names: dict[str, object] = {"re": re}
    exec(source[start : source.index("\n\n\n", source.index("def with_toctrees", start))], names)
    made = names["with_toctrees"]
    assert callable(made)
    return made


def test_a_list_of_links_becomes_a_toctree() -> None:
    page = (
        "# T\n\n**Begin**\n\n<!-- toctree -->\n\n* [Install it](install.md)\n* [More: `x`](how-to/x.y.md)\n\nThe end.\n"
    )
    entries = "install\nhow-to/x.y\n"
    made = f"```{{toctree}}\n:caption: Begin\n:maxdepth: 1\n\n{entries}```\n"
    assert make_toctrees()(page) == f"# T\n\n{made}\nThe end.\n"
    plain = "<!-- toctree -->\n\n* [A](a.md)\n"
    assert make_toctrees()(plain) == "```{toctree}\n:maxdepth: 1\n\na\n```\n"
    assert make_toctrees()("* [A](a.md)\n") == "* [A](a.md)\n"


def test_tables_of_contents_have_titles_and_pages_that_are_there() -> None:
    listed = set[Path]()
    for page in (ROOT / name for name in PAGES):
        made = make_toctrees()(page.read_text("utf-8"))
        assert made.count("```{toctree}") == page.read_text("utf-8").count("<!-- toctree -->")
        for toctree in re.findall(r"^```\{toctree\}\n(.*?)^```$", made, re.DOTALL | re.MULTILINE):
            listed |= {page.parent / f"{entry}.md" for entry in re.findall(r"^[^:\n].*$", toctree, re.MULTILINE)}
    assert {path.relative_to(DOCS).as_posix() for path in listed} == {
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path != DOCS / "index.md"
    }
    for page in DOCS.rglob("index.md"):
        for text, target in re.findall(r"^\* \[(.+)\]\((.+\.md)\)$", page.read_text("utf-8"), re.MULTILINE):
            title = re.search(r"^# (.+)$", (page.parent / target).read_text("utf-8"), re.MULTILINE)
            assert title is not None
            assert text == title[1]


if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        path.write_text(with_examples(path.read_text("utf-8")), "utf-8")
