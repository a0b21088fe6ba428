"""What the tests of Spark share: a directory with nothing but what a cluster must have of its own."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

# What docs/how-to/spark.md says that a cluster must have.
OF_THE_CLUSTER = ("boto3", "pyarrow")


def link_distributions(names: tuple[str, ...], site: Path) -> None:
    """Show the packages of some distributions, and of those that they need, in another directory."""
    linked: set[str] = set()
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name in linked:
            continue
        linked.add(name)
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}:
            (site / top).symlink_to(str(found.locate_file(top)))
        needs = [need for need in found.requires or () if "extra ==" not in need]
        wanted += [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs]


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to import from, with boto3 and pyarrow, and without this package, attrs and tenacity."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    site = tmp_path_factory.mktemp("bare")
    link_distributions(OF_THE_CLUSTER, site)
    return site
