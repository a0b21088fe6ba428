"""The public names and their signatures, compared with those of ``public_api.txt``.

A change of the text is a change that users see. When it is meant, write the text anew, and name the change in
CHANGELOG.md; ``docs/versioning.md`` says which version may bring it::

    python tests/api/test_public_api.py
"""

from __future__ import annotations

import difflib
import re
import sys
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

griffe: Any = pytest.importorskip("griffe")

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("public_api.txt")
# Where users import from. Any other module may change from one version to the next.
MODULES = (
    "personalize_rt",
    "personalize_rt.aio",
    "personalize_rt.bulk",
    "personalize_rt.bulk.spark",
    "personalize_rt.encode",
    "personalize_rt.events",
    "personalize_rt.experiments",
    "personalize_rt.filters",
    "personalize_rt.filters.builder",
    "personalize_rt.local",
    "personalize_rt.local.faults",
    "personalize_rt.local.moto",
    "personalize_rt.metrics",
    "personalize_rt.notebook",
    "personalize_rt.notebook.plots",
    "personalize_rt.options",
    "personalize_rt.rerank",
    "personalize_rt.telemetry",
    "personalize_rt.testing",
    "personalize_rt.testing.record",
)
# Special methods that are nobody's to call, or that every class has.
_UNSEEN = {"__attrs_init__", "__attrs_post_init__", "__reduce__", "__reduce_ex__", "__repr__"}
_UNSEEN |= {"__getattr__", "__get_pydantic_core_schema__", "__missing__", "__post_init__"}
_UNSEEN |= {"__rich_console__", "__rich_repr__"}
# What of attrs.field(...) a caller notices; converters and validators show in types and errors.
_OF_FIELDS = ("default", "factory", "kw_only")


def public_api() -> str:
    """All of it, as text."""
    import personalize_rt

    package = griffe.load(
        "personalize_rt",
        search_paths=[str(Path(personalize_rt.__path__[0]).parent)],
        allow_inspection=False,  # as it is written, whatever is installed
    )
    described: dict[str, str] = {}
    lines: list[str] = []
    for path in MODULES:
        module = package if path == package.path else package[path.removeprefix("personalize_rt.")]
        lines += [
            path,
            *(f"    {line}" for name in sorted(module.exports) for line in exported(module, name, described)),
        ]
    return "\n".join(lines) + "\n"


def exported(module: Any, name: str, described: dict[str, str]) -> Iterator[str]:
    """A name that a module exports; what stands in another module above is not repeated."""
    found = module[name]
    if found.is_module and name in module.imports:  # a function in a module of the same name
        found = module.modules_collection[module.imports[name]]
    target = found.final_target if found.is_alias else found
    elsewhere = described.setdefault(target.path, module.path)
    if elsewhere != module.path:
        yield f"{name}: as in {elsewhere}"
    elif target.is_class:
        yield from of_class(name, target)
    elif target.is_function:
        yield from of_function(name, target)
    else:
        yield of_attribute(name, target)


def of_class(name: str, target: Any) -> Iterator[str]:
    bases = ", ".join(str(base) for base in target.bases)
    yield f"class {name}({bases})" if bases else f"class {name}"
    for member_name in sorted(target.all_members):
        member = target.all_members[member_name]
        member = member.final_target if member.is_alias else member
        public = _public_name(member_name, member)
        if public is None:
            continue
        if member.is_function:
            yield from (f"    {line}" for line in of_function(public, member))
        elif member.is_attribute:
            yield f"    {of_attribute(public, member)}"


def _public_name(name: str, member: Any) -> str | None:
    """How users call a member; an attrs field may have another name as an argument."""
    if name.startswith("__") and name.endswith("__"):
        return name if member.is_function and name not in _UNSEEN else None
    if not name.startswith("_"):
        return name
    alias = _field_options(member).get("alias")
    return None if alias is None else f"argument {literal_eval(alias)}"


def of_function(name: str, function: Any) -> Iterator[str]:
    for overload in function.overloads or [function]:
        kinds = [label for label in ("classmethod", "staticmethod", "async") if label in function.labels]
        yield " ".join([*kinds, _one_line(overload.signature(name=name))])


def of_attribute(name: str, attribute: Any) -> str:
    annotation = "" if attribute.annotation is None else f": {attribute.annotation}"
    if "property" in attribute.labels:
        return f"property {name}{annotation}"
    options = _field_options(attribute)
    if options or str(attribute.value).startswith("attrs.field("):
        value = ", ".join(f"{option}={options[option]}" for option in _OF_FIELDS if option in options)
        return _one_line(f"{name}{annotation}{f' [{value}]' if value else ''}")
    # What __init__ assigns, or a version number, is no part of the interface.
    assigned = "instance-attribute" in attribute.labels and "class-attribute" not in attribute.labels
    is_constant = attribute.value is not None and not assigned and not name.startswith("__")
    constant = f" = {attribute.value}" if is_constant else ""
    return _one_line(f"{name}{annotation}{constant}")


def _field_options(member: Any) -> dict[str, str]:
    value = getattr(member, "value", None) if member.is_attribute else None
    if not isinstance(value, griffe.ExprCall) or str(value.function) != "attrs.field":
        return {}
    return {argument.name: str(argument.value) for argument in value.arguments if hasattr(argument, "name")}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_public_names_and_signatures_are_those_that_were_announced() -> None:
    announced = SNAPSHOT.read_text("utf-8").splitlines()
    changes = list(difflib.unified_diff(announced, public_api().splitlines(), "announced", "now", lineterm="", n=0))
    assert changes == [], "\n".join(
        ["users see this change; if it is meant: python tests/api/test_public_api.py, and CHANGELOG.md", *changes]
    )


def test_each_public_module_of_the_package_is_looked_at() -> None:
    text = public_api()
    for module in MODULES:
        assert f"{module}\n    " in text
    # One of each kind of name, so that none goes unseen.
    for line in (
        "class PersonalizeRuntime",
        "property unscored: tuple[str, ...]",
        "classmethod sample(*, aliases: Mapping[str, str] | None = None, s3_root: str | PathLike[str] | None = None, ",
        "async get_action_recommendations(*, campaign_arn: str, user_id: str,",
        "__getitem__(index: slice) -> Self",
        "score: float | None = None",
        "argument input_list: tuple[str, ...] [default=(), kw_only=True]",
        "FilterValue: TypeAlias = ",
    ):
        assert f" {line}" in text, line


def test_the_page_on_versions_names_the_public_modules() -> None:
    page = Path(__file__).parents[2] / "docs" / "versioning.md"
    named = {
        name.removeprefix("personalize_rt")
        for name in re.findall(r"`((?:personalize_rt)?\.[\w.]+)`", page.read_text("utf-8"))
    }
    assert {module.removeprefix("personalize_rt") for module in MODULES} - {""} <= named


def test_each_public_module_has_a_page_of_the_reference_and_each_public_name_stands_there() -> None:
    import personalize_rt

    pages = {page.stem: page.read_text("utf-8") for page in (ROOT / "docs" / "reference").glob("*.md")}
    names = {module: module.removeprefix("personalize_rt.") for module in MODULES}
    assert not [module for module, page in names.items() if f"{module}\n" not in pages.get(page, "")]
    # Elsewhere autodoc takes all names of a module.
    listed = set(re.findall(r"^\.\. auto(?:class|data):: personalize_rt\.(\w+)$", pages["personalize_rt"], re.M))
    assert listed == set(personalize_rt.__all__) - {"__version__"}
    in_index = re.findall(r"\((\S+)\.md\)", pages["index"])
    assert not [page for page in pages if page not in {*in_index, "index", "service"}]


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), "utf-8", newline="\n")
    sys.stdout.write(f"{SNAPSHOT.name} written\n")
