"""Writing files so that each appears as a whole or not at all, and survives a crash of the machine.

The one rule: the content is written to a file beside it and synced to the disk, the file takes its final name, and the
directory is synced. Links are never followed. Unless told otherwise, only the owner may read what is written, whatever
the umask: it holds personal values.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

__all__ = [
    "EVERYBODY",
    "OWNER",
    "Folder",
    "StrPath",
    "Write",
    "beside",
    "create_file",
    "place",
    "replace_file",
    "restrict",
    "sync_data",
    "sync_directory",
]

StrPath = str | os.PathLike[str]
Write = Callable[[IO[bytes]], Any]

OWNER = 0o600
"""Permissions of a file that only its owner may read, whatever the umask."""
EVERYBODY = 0o666
"""Permissions of a file like those of any program: the umask takes from them."""

_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)


def replace_file(path: StrPath, write: Write, *, permissions: int = OWNER, shared: bool = False) -> None:
    """Write a file so that a reader, and a machine that crashes, has either the old one or the new one.

    Args:
        path: The file.
        write: Writes the content.
        permissions: Who may read and write it.
        shared: Whether several threads or processes may write it at once; then the last one wins.

    Raises:
        OSError: It cannot be written; it names ``path``, and the old file is still there.
    """
    new = beside(path, shared=shared)
    try:
        _write_new(new, write, permissions=permissions)
        try:
            os.replace(new, path)
        except OSError:
            os.unlink(new)
            raise
    except OSError as error:
        if error.filename == new:  # nobody asked for that one
            error.filename = os.fspath(path)
            if error.filename2 is not None:
                del error.filename2
        raise
    sync_directory(os.path.dirname(path) or os.curdir)


def create_file(path: StrPath, write: Write) -> None:
    """Write a file that is not there yet; one with the same content may be.

    Args:
        path: The file.
        write: Writes the content.

    Raises:
        FileExistsError: There is another one, which is left alone.
        OSError: It cannot be written.
    """
    new = beside(path, shared=False)
    _write_new(new, write)
    try:
        place(new, path)
    except FileExistsError:
        if not (os.path.isfile(path) and filecmp.cmp(new, path, shallow=False)):
            raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
    sync_directory(os.path.dirname(path) or os.curdir)


def place(new: StrPath, path: StrPath, *, folder: int | None = None) -> None:
    """Give a file its final name, which is not taken yet. The first name may stay too.

    Args:
        new: The file.
        path: Its final name.
        folder: Handle of the directory that ``new`` is in; by default ``new`` is a path.

    Raises:
        FileExistsError: The name is taken; that file is left alone.
        OSError: It cannot be renamed.
    """
    try:
        os.link(new, path, src_dir_fd=folder)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(new, path, src_dir_fd=folder)


def restrict(handle: int, permissions: int) -> None:
    """Set the permissions of an open file or directory, where the file system and the system have such."""
    if hasattr(os, "fchmod"):  # not on Windows, before Python 3.13
        with contextlib.suppress(OSError):
            os.fchmod(handle, permissions)


def sync_data(handle: int) -> None:
    """Make the content of an open file survive a crash of the machine."""
    getattr(os, "fdatasync", os.fsync)(handle)  # macOS has no fdatasync


def sync_directory(directory: StrPath) -> None:
    """Make renames in a directory survive a crash of the machine."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except PermissionError:  # who may write in a directory may not always read it; on Windows, nobody opens one
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Folder:
    """A directory that was opened once: whatever is put in its place later, files are read and written in this one.

    Args:
        path: The directory.

    Raises:
        OSError: It cannot be opened; ``NotADirectoryError`` or ``ELOOP`` when it is a link; ``ENOTSUP`` where a system
            opens no directories (Windows).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        if os.stat not in os.supports_dir_fd:
            raise OSError(errno.ENOTSUP, "this system opens no directories", os.fspath(path))
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)

    @property
    def handle(self) -> int:
        """The descriptor of the directory."""
        assert self._handle is not None
        return self._handle

    def names(self) -> list[str]:
        """The files in it."""
        return os.listdir(self.handle)

    def stat(self, name: str) -> os.stat_result:
        """The status of a file, or of the link itself.

        Raises:
            FileNotFoundError: It is not there.
        """
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False)

    def is_mine(self, probe: str) -> bool:
        """Tell whether the directory belongs to this user.

        Some file systems give all files to one user (an access point of EFS, a share with squashed users): there, the
        directory belongs to whom a new file belongs.

        Args:
            probe: The name of a file that may be created and removed.
        """
        owner = os.fstat(self.handle).st_uid
        if owner == os.geteuid():
            return True
        self.write(probe, lambda file: None)
        try:
            return self.stat(probe).st_uid == owner
        finally:
            self.unlink(probe)

    def open(self, name: str, mode: str, *, buffering: int = -1) -> IO[Any]:
        """Open a file for its owner alone. Never follows a link.

        Args:
            name: The file.
            mode: As for the built-in ``open``.
            buffering: As for the built-in ``open``.

        Raises:
            OSError: It cannot be opened; ``ELOOP`` when it is a link.
        """
        return _open(name, mode, folder=self.handle, buffering=buffering)

    def open_lock(self, name: str) -> int:
        """A descriptor of a file to lock, which is made when it is not there."""
        return os.open(name, os.O_RDWR | os.O_CREAT | _NO_LINK, OWNER, dir_fd=self.handle)

    def read(self, name: str) -> bytes | None:
        """The content of a file; ``None`` when it is not there."""
        try:
            with self.open(name, "rb") as file:
                content: bytes = file.read()
                return content
        except FileNotFoundError:
            return None

    def write(self, name: str, write: Write, *, permissions: int = OWNER) -> None:
        """Write a file anew. A crash may leave a part of it.

        Args:
            name: The file.
            write: Writes the content.
            permissions: Who may read and write it; the umask takes from them.
        """
        _write_new(name, write, folder=self.handle, permissions=permissions)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file anew, as a whole or not at all."""
        self.write(f"{name}.new", lambda file: file.write(content))
        self.rename(f"{name}.new", name)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, and take that from the one that has it."""
        os.replace(old, new, src_dir_fd=self.handle, dst_dir_fd=self.handle)
        self.sync()

    def unlink(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.handle)

    def sync(self) -> None:
        """Make renames and removals survive a crash of the machine."""
        os.fsync(self.handle)

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def beside(path: StrPath, *, shared: bool) -> str:
    """The name of a file while it is written. With one writer it is always the same: crashes leave one file at most."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.{os.urandom(4).hex()}.tmp" if shared else f".{name}.personalize-rt")


def _write_new(name: StrPath, write: Write, *, folder: int | None = None, permissions: int = OWNER) -> None:
    """Write a file in the place of what has its name, and put it on the disk; nothing is left of one that fails."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    file = _open(name, "xb", folder=folder, permissions=permissions)
    try:
        with file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)  # it may have taken the last of the space
        raise


def _open(name: StrPath, mode: str, *, folder: int | None, buffering: int = -1, permissions: int = OWNER) -> IO[Any]:
    def opener(name: str, flags: int) -> int:
        handle = os.open(name, flags | _NO_LINK, permissions, dir_fd=folder)
        if mode != "rb" and permissions == OWNER:
            # The umask may have taken more, and a file that was there may have given more.
            restrict(handle, permissions)
        return handle

    return open(name, mode, buffering=buffering, opener=opener)
