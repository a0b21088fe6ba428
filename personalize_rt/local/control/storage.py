"""The objects that jobs of the control plane read and write, named by URIs of S3.

A request names a bucket and a key. Where these are found is for the operator to say, never for the request:

* below a directory (``--s3-root``), in which each bucket is a folder;
* on a server of S3 (``--s3-endpoint``), such as moto's;
* in the caller's own ``mock_aws()``, if that is active in this process.

With none of them every job is refused; nothing is ever sent to AWS by default.

A key becomes a path only here. Each part of it is opened by itself, relative to the directory before it and without
following links, so whatever somebody renames or links meanwhile, no file outside of the root is reached. Keys are taken
as they are: ``%2e`` is three characters. A part that is empty, ``.`` or ``..`` is refused.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.files import EVERYBODY, StrPath
from personalize_rt.transport.objects import Objects, ObjectsError

__all__ = [
    "MOST_OBJECTS",
    "MOST_WRITTEN",
    "FolderStorage",
    "Location",
    "MotoStorage",
    "ServerStorage",
    "Storage",
    "StorageRefusedError",
    "storage_of",
]

MOST_OBJECTS = 500
"""The most objects of one folder, and so the most files of one import."""
MOST_WRITTEN = 1 << 30
"""The most bytes of one object that is written."""

_ADVICE = (
    "nobody said where objects are: start the server with --s3-root DIR (a folder for each bucket) or with "
    "--s3-endpoint URL (such as moto's server), give s3_root or s3_endpoint in Python, or work inside mock_aws(); "
    "nothing is sent to AWS"
)
# Amazon S3 guide, "General purpose bucket naming rules", "Object key naming guidelines" (1,024 bytes of UTF-8).
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
# Aliases of access points and other kinds of buckets, which SDKs send to other hosts than those of a plain bucket.
_OTHER_KINDS = ("-s3alias", "--ol-s3", "--op-s3", "--x-s3", "--table-s3", ".mrap")
_LONGEST_KEY = 1024
# Bytes of one file name (NAME_MAX of Linux and macOS).
_LONGEST_NAME = 255
# The beginning of the names of files that are being written.
_UNFINISHED = ".personalize-rt-"
_SPOOLED = 1 << 23

_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: int = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# Without blocking, since opening a pipe waits for a writer; a terminal must not become that of this process.
_READING: int = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class StorageRefusedError(Exception):
    """An object cannot be read or written.

    Args:
        message: The reason, with the URI as the request has it. It shows no path of this machine.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message: str = message


@attrs.frozen
class Location:
    """The bucket and key of a URI.

    Attributes:
        uri: The URI.
        bucket: The bucket.
        key: The key; empty, or ending with ``/``, for a folder.
    """

    uri: str
    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """Read a URI of the form ``s3://bucket/key``.

        Raises:
            StorageRefusedError: It has another form, or a part that could lead elsewhere.
        """
        scheme, _, rest = uri.partition("://")
        if scheme != "s3":
            raise StorageRefusedError(
                "expected a location of the form s3://bucket/key: a request can name neither files nor servers"
            )
        bucket, _, key = rest.partition("/")
        if not _BUCKET.fullmatch(bucket) or bucket.endswith(_OTHER_KINDS):
            raise StorageRefusedError(
                "expected the name of a bucket after s3://: 3 to 63 lower-case letters, digits, dots and hyphens, "
                "and no access point"
            )
        try:
            length = len(key.encode())
        except UnicodeEncodeError:
            raise StorageRefusedError("expected a key that is valid Unicode") from None
        if length > _LONGEST_KEY:
            raise StorageRefusedError(f"expected a key of at most {_LONGEST_KEY:,} bytes, not {length:,}")
        if any(unicodedata.category(char) == "Cc" for char in key):
            raise StorageRefusedError("expected a key without control characters")
        for part in (key[:-1] if key.endswith("/") else key).split("/") if key else ():
            if part in ("", ".", ".."):
                raise StorageRefusedError(f"{uri}: expected a key without empty parts and without the parts . and ..")
            if len(part.encode()) > _LONGEST_NAME:
                raise StorageRefusedError(f"expected a key whose parts have at most {_LONGEST_NAME} bytes")
            if part.startswith(_UNFINISHED):
                raise StorageRefusedError(f"{uri}: names that begin with {_UNFINISHED} are kept for unfinished files")
        return cls(uri, bucket, key)

    @property
    def is_folder(self) -> bool:
        """True for a bucket and for a folder in it."""
        return not self.key or self.key.endswith("/")

    @property
    def parts(self) -> list[str]:
        """The bucket and the parts of the key."""
        return [self.bucket, *(part for part in self.key.split("/") if part)]


class Storage(ABC):
    """Objects of S3, wherever they are kept. Safe to share between threads."""

    def check(self, uri: str) -> None:
        """Check the form of a location, and that somebody said where objects are, before a job begins.

        Raises:
            StorageRefusedError: The location has another form than ``s3://bucket/key``, or nobody said so.
        """
        Location.of(uri)

    def open(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading.

        Args:
            uri: The object.

        Raises:
            StorageRefusedError: It cannot be opened, or while it is read: it cannot be read further.
        """
        return self._open(_object(uri))

    def list(self, uri: str) -> list[str]:
        """The objects that an import reads: the object itself, or those of a folder without its sub-folders.

        Args:
            uri: An object, or a folder, which ends with ``/`` (guide, "Creating a dataset import job").

        Returns:
            Their URIs, sorted.

        Raises:
            StorageRefusedError: There is none, or there are more than :data:`MOST_OBJECTS`.
        """
        location = Location.of(uri)
        if not location.is_folder:
            if not self._has(location):
                raise _missing(location)
            return [uri]
        folder = uri if uri.endswith("/") else f"{uri}/"
        names = self._names(location)
        if not names:
            raise StorageRefusedError(f"there is no object in {uri}")
        if len(names) > MOST_OBJECTS:
            raise StorageRefusedError(f"{uri} has too many objects: at most {MOST_OBJECTS} are read")
        return [Location.of(folder + name).uri for name in sorted(names)]

    def write(self, uri: str, chunks: Iterable[bytes]) -> None:
        """Write an object as a whole or not at all. It never overwrites one.

        Args:
            uri: The object.
            chunks: Its content, at most :data:`MOST_WRITTEN` bytes.

        Raises:
            StorageRefusedError: There is an object of that name already, or it cannot be written.
        """
        self._write(_object(uri), _bounded(chunks, uri))

    @abstractmethod
    def _open(self, location: Location) -> AbstractContextManager[BinaryIO]: ...

    @abstractmethod
    def _has(self, location: Location) -> bool: ...

    @abstractmethod
    def _names(self, location: Location) -> Sequence[str]: ...

    @abstractmethod
    def _write(self, location: Location, chunks: Iterable[bytes]) -> None: ...


def storage_of(*, s3_root: StrPath | None = None, s3_endpoint: str | None = None) -> Storage:
    """The storage that the operator chose.

    Args:
        s3_root: A directory, in which each bucket is a folder.
        s3_endpoint: The URL of a server of S3, which is called with the credentials that boto3 finds.

    Returns:
        With neither, the objects of ``mock_aws()`` while that is active in this process.

    Raises:
        ValidationError: Both are given, the directory cannot be used, or the URL is none of a server.
    """
    if s3_root is not None and s3_endpoint is not None:
        raise ValidationError("expected s3_root or s3_endpoint, not both", parameter="s3_root")
    if s3_root is not None:
        return FolderStorage(s3_root)
    return MotoStorage() if s3_endpoint is None else ServerStorage(s3_endpoint)


class FolderStorage(Storage):
    """Objects as files below a directory, in which each bucket is a folder.

    Args:
        root: The directory. It may be a link itself; below it no link is followed.

    Raises:
        ValidationError: It is no directory, or this system cannot open files relative to one (Windows).
    """

    def __init__(self, root: StrPath) -> None:
        if os.open not in os.supports_dir_fd or not _NO_LINK:
            raise ValidationError("s3_root: this system opens no files relative to a directory", parameter="s3_root")
        # A later change of the working directory makes no difference.
        self._root = os.path.abspath(root)
        if not os.path.isdir(self._root):
            raise ValidationError(f"s3_root: expected a directory, found none at {self._root}", parameter="s3_root")

    @contextmanager
    def _open(self, location: Location) -> Generator[BinaryIO, None, None]:
        with _named(location):
            with self._folder(location.parts[:-1]) as folder:
                handle = _open_file(location.parts[-1], folder)
            with os.fdopen(handle, "rb") as file:
                yield file

    def _has(self, location: Location) -> bool:
        with self._open(location):
            return True

    def _names(self, location: Location) -> Sequence[str]:
        names: list[str] = []
        with _named(location), self._folder(location.parts) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) or entry.name.startswith(_UNFINISHED):
                    continue
                if not entry.is_file(follow_symlinks=False):
                    raise StorageRefusedError(
                        f"{location.uri} has a link, a pipe or a device, and none of them is followed or opened"
                    )
                names.append(entry.name)
                if len(names) > MOST_OBJECTS:
                    break
        return names

    def _write(self, location: Location, chunks: Iterable[bytes]) -> None:
        *folders, name = location.parts
        with _named(location), self._folder(folders, make=True) as folder:
            new = f"{_UNFINISHED}{os.urandom(8).hex()}.tmp"
            if _is_there(name, folder):  # before anything is written
                raise _taken(location)
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, EVERYBODY, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.writelines(chunks)
                    file.flush()
                    os.fsync(file.fileno())
                _place(new, name, folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=folder)
            os.fsync(folder)

    @contextmanager
    def _folder(self, parts: Iterable[str], *, make: bool = False) -> Generator[int, None, None]:
        """A descriptor of a folder below the root. The bucket is never made."""
        handle = os.open(self._root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            for depth, part in enumerate(parts):
                if make and depth:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=handle)
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=handle)
                except FileNotFoundError:
                    if depth:
                        raise
                    raise ObjectsError("no bucket") from None
                except OSError:
                    _refuse_links(part, handle)
                    raise
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)


def _open_file(name: str, folder: int) -> int:
    """Open a regular file in a folder, and nothing else: opening a device may have an effect already."""
    _refuse_others(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    try:
        handle = os.open(name, _READING, dir_fd=folder)
    except OSError:
        _refuse_links(name, folder)
        raise
    try:
        _refuse_others(os.fstat(handle).st_mode)  # it may have been changed in between
    except BaseException:
        os.close(handle)
        raise
    return handle


def _refuse_others(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise ObjectsError("failed", "it is a link, or in one; links are not followed")
    if stat.S_ISDIR(mode):
        raise ObjectsError("failed", "it is a folder, whose name ends with /")
    if not stat.S_ISREG(mode):
        raise ObjectsError("failed", "it is a pipe or a device, which are not opened")


def _refuse_links(name: str, folder: int) -> None:
    """Say that a name is a link, if that is why it could not be opened."""
    with suppress(OSError):
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            _refuse_others(stat.S_IFLNK)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _place(new: str, name: str, folder: int) -> None:
    """Give a file its final name, which is not taken, in one step."""
    try:
        os.link(new, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: an empty file takes the name first.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, EVERYBODY, dir_fd=folder))
        os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)


class _ObjectStorage(Storage):
    """Objects of a server, or of moto."""

    @abstractmethod
    def _objects(self) -> Objects: ...

    @contextmanager
    def _open(self, location: Location) -> Generator[BinaryIO, None, None]:
        with _named(location), self._objects().open(location.bucket, location.key) as file:
            yield file

    def _has(self, location: Location) -> bool:
        with _named(location):
            return self._objects().has(location.bucket, location.key)

    def _names(self, location: Location) -> Sequence[str]:
        with _named(location):
            keys = self._objects().names(location.bucket, location.key, MOST_OBJECTS)
        return [key.removeprefix(location.key) for key in keys]

    def _write(self, location: Location, chunks: Iterable[bytes]) -> None:
        with _named(location), tempfile.SpooledTemporaryFile(_SPOOLED) as content:
            objects = self._objects()
            # The condition of create() says it again, for two who write at once.
            if objects.has(location.bucket, location.key):
                raise _taken(location)
            content.writelines(chunks)
            content.seek(0)
            objects.create(location.bucket, location.key, _seekable(content))


class ServerStorage(_ObjectStorage):
    """Objects of a server of S3 that the operator named.

    Args:
        endpoint_url: Its URL.

    Raises:
        ValidationError: It is not the URL of a server.
    """

    def __init__(self, endpoint_url: str) -> None:
        try:
            parts = urlsplit(endpoint_url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        except ValueError:
            fine, extra = False, ""
        if not fine or extra:
            raise ValidationError(
                "s3_endpoint: expected the URL of a server, as http://127.0.0.1:5000, without a path and a password",
                parameter="s3_endpoint",
            )
        self._server = Objects(endpoint_url)

    def _objects(self) -> Objects:
        return self._server


class MotoStorage(_ObjectStorage):
    """Objects of ``mock_aws()`` in this process, while it is active; otherwise everything is refused."""

    def __init__(self) -> None:
        self._moto = Objects(None)

    def check(self, uri: str) -> None:
        """See :meth:`Storage.check`."""
        super().check(uri)
        self._objects()

    def _objects(self) -> Objects:
        # Not imported: mock_aws() is not active in a process that has not done so.
        models: Any = sys.modules.get("moto.core.models")
        if models is None or not getattr(getattr(models, "botocore_stubber", None), "enabled", False):
            raise StorageRefusedError(_ADVICE)
        return self._moto


def _object(uri: str) -> Location:
    location = Location.of(uri)
    if location.is_folder:
        raise StorageRefusedError(f"{uri}: expected an object, not a bucket or a folder")
    return location


def _missing(location: Location) -> StorageRefusedError:
    return StorageRefusedError(f"there is no object {location.uri}")


def _taken(location: Location) -> StorageRefusedError:
    return StorageRefusedError(f"there is an object {location.uri} already, and outputs never overwrite")


def _bounded(chunks: Iterable[bytes], uri: str) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MOST_WRITTEN:
            raise StorageRefusedError(f"{uri} would have more than {MOST_WRITTEN:,} bytes, the most of one object")
        yield chunk


@contextmanager
def _named(location: Location) -> Generator[None, None, None]:
    """Refuse with the name of the object, and with no path of this machine."""
    try:
        yield
    except FileExistsError:
        raise _taken(location) from None
    except FileNotFoundError:
        raise _missing(location) from None
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise _missing(location) from None
        reason = error.strerror or type(error).__name__
        raise StorageRefusedError(f"{location.uri} cannot be read or written: {reason}") from None
    except ObjectsError as error:
        if error.kind == "missing":
            raise _missing(location) from None
        if error.kind == "taken":
            raise _taken(location) from None
        if error.kind == "no bucket":
            raise StorageRefusedError(f"{location.uri}: there is no bucket {location.bucket}") from None
        reason = "access is denied" if error.kind == "denied" else error.message
        raise StorageRefusedError(f"{location.uri} cannot be read or written: {reason}") from None


def _seekable(file: Any) -> IO[bytes]:
    """A temporary file, typed as what it is."""
    content: IO[bytes] = file
    return content
