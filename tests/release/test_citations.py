"""A rule of the service names its source, and a reader finds it: every citation has a target.

The code cites ``service.md section 5.2``, ``section 12, fact 8`` or ``section 4, "Batch output"``, meaning
docs/reference/service.md, and pages by their paths, as docs/divergences.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import personalize_rt

ROOT = Path(__file__).parents[2]
PACKAGE = Path(personalize_rt.__file__).parent
REFERENCE = ROOT / "docs" / "reference" / "service.md"

NUMBER = r"\d+(?:\.\d+)*"
ONE = rf'{NUMBER}(?:, facts? \d+(?:(?:, | and )\d+)*|, "[^"]+")?'
CITATION = re.compile(rf"sections? ((?:{ONE})(?:(?:, and |, | and | to )(?:{ONE}))*)")


def sections_of(page: str) -> dict[str, str]:
    """The text under each numbered heading of a page, with that of the headings below it."""
    sections: dict[str, str] = {}
    for part in re.split(r"^(?=##+ )", page, flags=re.M)[1:]:
        number = re.match(rf"##+ ({NUMBER})\.? ", part)
        assert number, f"a heading without a number: {part.splitlines()[0]}"
        assert number[1] not in sections, f"two sections {number[1]}"
        sections[number[1]] = part
        if (parent := number[1].rpartition(".")[0]) in sections:
            sections[parent] += part
    return sections


def as_one_line(text: str) -> str:
    """Text without its line breaks, and without the marks of comments at the beginning of lines."""
    return re.sub(r"\s*\n[ \t]*(?:#+ )?[ \t]*", " ", text)


def missing_sections(text: str, sections: dict[str, str]) -> Iterator[str]:
    """Each target that a text cites and ``sections`` lacks."""
    for citation in CITATION.finditer(text):
        for number, facts, title in re.findall(
            rf'({NUMBER})(?:, facts? (\d+(?:(?:, | and )\d+)*)|, "([^"]+)")?', citation[1]
        ):
            if number not in sections:
                yield f"section {number}"
                continue
            for fact in re.findall(r"\d+", facts):
                if not re.search(rf"^\| {fact} \|", sections[number], re.M):
                    yield f"section {number}, fact {fact}"
            if title and title not in sections[number]:
                yield f'section {number}, "{title}"'


def broken_citations(text: str, folder: Path, sections: dict[str, str]) -> list[str]:
    """What a file in ``folder`` cites without a target: parts of service.md, and pages."""
    text = as_one_line(text)
    broken: list[str] = []
    for citation in re.finditer(r"\bservice\.md\b[`'\"]*", text):
        behind = re.match(rf" {CITATION.pattern}", text[citation.end() :])
        broken += missing_sections(behind[0], sections) if behind else ["service.md without a section"]
    for page in re.findall(r"(?<![\w/.<>{}*-])[\w/-]+\.md\b", text):
        if not any((home / page).is_file() for home in (ROOT, folder, REFERENCE.parent)):
            broken.append(page)
    return broken


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    if not REFERENCE.is_file():
        pytest.skip("no docs here: these tests run without their checkout")
    return sections_of(REFERENCE.read_text("utf-8"))


def test_each_citation_in_the_package_and_its_tests_has_a_target(sections: dict[str, str]) -> None:
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.md"), *(ROOT / "tests").rglob("*.py")]
    cited = 0
    broken: dict[str, list[str]] = {}
    for file in files:
        if file.resolve() == Path(__file__).resolve():
            continue
        text = file.read_text("utf-8")
        cited += text.count("service.md")
        problems = broken_citations(text, file.parent, sections)
        if not file.is_relative_to(PACKAGE):  # tests name pages that they write, or look for
            problems = [problem for problem in problems if not problem.endswith(".md")]
        if problems:
            broken[file.name] = problems
    assert not broken
    assert cited > 20  # else nobody looked


def test_the_reference_cites_sections_that_it_has(sections: dict[str, str]) -> None:
    text = as_one_line(REFERENCE.read_text("utf-8")).replace('"service.md section 5.2"', "")
    assert not list(missing_sections(text.replace("Section ", "section "), sections))


def test_each_table_and_list_of_the_reference_has_evidence(sections: dict[str, str]) -> None:
    tag = re.compile(r"\[(?:[^\]]*\b)?(?:doc|model|obs|wild|infer|undocumented)\b[^\]]*\]")
    # Sections that lead to another page or file, and those that are wholly made of sections.
    lead_elsewhere = {"1.12"}
    assert not [number for number, text in sections.items() if number not in lead_elsewhere and not tag.search(text)]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("# service.md section 1", []),
        ("# (service.md section\n    # 1.1, and so on)", []),
        ("service.md sections 1 to 1.1, and 2", []),
        ("service.md section 9", ["section 9"]),
        ("service.md sections 1, 1.2 and 2", ["section 1.2"]),
        ("service.md sections 1.1 to 1.9", ["section 1.9"]),
        ("# service.md\n# section 3", ["section 3"]),
        ("service.md section 2, fact 8", []),
        ("service.md section 2, facts 8 and 9", ["section 2, fact 9"]),
        ('service.md section 1, "Batch output", and 2, "Batch input"', ['section 2, "Batch input"']),
        ("as service.md has it", ["service.md without a section"]),
        ("``docs/index.md`` and ``docs/nowhere.md``", ["docs/nowhere.md"]),
    ],
)
def test_a_citation_without_a_target_is_found(text: str, broken: list[str], sections: dict[str, str]) -> None:
    page = "# A\n\n## 1. One\n\n### 1.1 Of one\n\n**Batch output**\n\n## 2. B\n\n| # | fact |\n|---|---|\n| 8 | so |\n"
    assert broken_citations(text, ROOT, sections_of(page)) == broken
