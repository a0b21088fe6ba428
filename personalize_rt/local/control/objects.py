"""The objects of jobs, as dataset groups read and write them: failures become reasons of failed jobs."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from personalize_rt.local.control.importing import JobFailedError, read_csv, read_lines, write_csv, write_lines
from personalize_rt.local.control.made import FailedError
from personalize_rt.local.control.storage import Storage, StorageRefusedError
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.schemas import DATASETS, Schema

__all__ = ["JobObjects", "Objects"]


class Objects(Protocol):
    """Reads and writes the objects of jobs. Every method raises :class:`FailedError`."""

    def check(self, uri: str) -> str:
        """The reason why a URI is none of an object or folder; empty if it may be one."""
        ...

    def read(self, uri: str, dataset: str, schema: Schema, /) -> EventLog | Table:
        """Read the rows of an import of a dataset (``"interactions"``, …)."""
        ...

    def write(self, folder: str, name: str, dataset: str, rows: EventLog | Table, /) -> None:
        """Write the rows of a dataset."""
        ...

    def files(self, uri: str, /) -> list[str]:
        """The objects of a location."""
        ...

    def lines(self, uri: str, /) -> Iterator[str]:
        """The lines of an object."""
        ...

    def write_lines(self, folder: str, name: str, lines: Iterable[str], /) -> None:
        """Write lines."""
        ...


class JobObjects:
    """The objects of a storage.

    Args:
        storage: The storage.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def check(self, uri: str) -> str:
        """The reason why a URI is none of an object or folder; empty if it may be one."""
        try:
            self._storage.check(uri)
        except StorageRefusedError as refused:
            return refused.message
        return ""

    def read(self, uri: str, dataset: str, schema: Schema, /) -> EventLog | Table:
        """Read the rows of an import."""
        with _failing():
            return read_csv(self._storage, uri, DATASETS[dataset], schema).data

    def write(self, folder: str, name: str, dataset: str, rows: EventLog | Table, /) -> None:
        """Write the rows of a dataset."""
        with _failing():
            write_csv(self._storage, folder, name, DATASETS[dataset], rows)

    def files(self, uri: str, /) -> list[str]:
        """The objects of a location."""
        with _failing():
            return self._storage.list(uri)

    def lines(self, uri: str, /) -> Iterator[str]:
        """The lines of an object."""
        with _failing():
            yield from read_lines(self._storage, uri)

    def write_lines(self, folder: str, name: str, lines: Iterable[str], /) -> None:
        """Write lines."""
        with _failing():
            write_lines(self._storage, folder, name, lines)


@contextmanager
def _failing() -> Generator[None, None, None]:
    try:
        yield
    except JobFailedError as failed:
        raise FailedError(failed.message) from None
    except StorageRefusedError as refused:
        raise FailedError(refused.message) from None
