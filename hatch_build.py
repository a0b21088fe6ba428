"""Writes the version of the tag into the package that is built; a checkout keeps the one that stands in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FILE = "personalize_rt/_version.py"
_CONTENT = '''"""The version of this package, as its tag says."""

__version__ = "{version}"
'''


class VersionHook(BuildHookInterface[Any]):
    """Puts a module with the version in the place of the one of the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the module to what is built."""
        if version == "editable":
            return
        # The archives hold the file's content alone, so that two builds are the same to the byte.
        self._directory = tempfile.TemporaryDirectory(prefix="personalize-rt-")
        written = Path(self._directory.name, "_version.py")
        written.write_text(_CONTENT.format(version=self.metadata.version), encoding="utf-8")
        build_data["force_include"][str(written)] = _FILE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file that was packed."""
        if version != "editable":
            self._directory.cleanup()
