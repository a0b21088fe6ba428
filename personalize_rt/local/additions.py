"""Items, users and actions that were put at run time, beside those of the data directory."""

from __future__ import annotations

from collections.abc import Mapping

from personalize_rt.local.schemas import Value

__all__ = ["Additions", "Row"]

Row = Mapping[str, Value]


class Additions:
    """The rows that were put, by dataset (``"items"``, ``"users"``, ``"actions"``). Safe to share between threads.

    A row replaces the one of the same id, in the data and before (guide, "Importing individual records").
    """

    def __init__(self) -> None:
        self._of: Mapping[str, dict[str, Row]] = {"items": {}, "users": {}, "actions": {}}

    def put(self, dataset: str, rows: Mapping[str, Row]) -> None:
        """Add rows."""
        self._of[dataset].update(rows)

    def of(self, dataset: str) -> Mapping[str, Row]:
        """The rows of a dataset so far, in the order in which their ids first came."""
        return self._of[dataset]
