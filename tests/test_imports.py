"""No module imports itself through others at run time, not even from within a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import personalize_rt

PACKAGE = Path(personalize_rt.__file__).parent
# By these a result shows or converts itself, in methods of one line that import when they are called.
DOORS = {
    ("results", "encode"),
    ("results", "notebook.compare"),
    ("results", "notebook.frames"),
    ("results", "notebook.html"),
    ("results", "notebook.plots"),
    ("results", "notebook.terminal"),
    ("results", "rerank.blend"),
    ("results", "rerank.rules"),
    ("results", "schemas"),
    ("notebook.compare", "notebook.html"),
    ("notebook.compare", "notebook.plots"),
    ("notebook.compare", "notebook.terminal"),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that run-time code imports, wherever it stands; names in them likewise."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for other in node.orelse:
            yield from imported(other)
        return
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def graph(without: set[tuple[str, str]]) -> dict[str, set[str]]:
    modules = {name_of(path): path for path in PACKAGE.rglob("*.py")}
    return {
        name: {
            module
            for found in imported(ast.parse(path.read_text("utf-8")))
            if (module := found.removeprefix("personalize_rt.")) in modules
            and found.startswith("personalize_rt.")
            and modules[module].name != "__init__.py"
            and (name, module) not in without
        }
        for name, path in modules.items()
    }


def test_no_module_imports_itself_through_others() -> None:
    try:
        TopologicalSorter(graph(DOORS)).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise AssertionError(f"a circle of imports at run time: {circle}") from None


def test_each_exception_is_an_import_that_is_there() -> None:
    everything = graph(set())
    here = [(importer, module) for importer, module in DOORS if {importer, module} <= everything.keys()]
    assert here  # a room may be deleted, but not all
    assert [(importer, module) for importer, module in here if module not in everything[importer]] == []
