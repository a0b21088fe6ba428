"""The objects of import and export jobs: below a root, on a server of S3, in mock_aws(), and nowhere else."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from personalize_rt.errors import ValidationError
from personalize_rt.local.control import storage as storage_module
from personalize_rt.local.control.storage import (
    FolderStorage,
    Location,
    MotoStorage,
    ServerStorage,
    Storage,
    StorageRefusedError,
    storage_of,
)
from personalize_rt.transport.objects import Objects
from tests.optional import optional

SECRET = b"outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one bucket, and a file beside it that nothing may reach."""
    (tmp_path / "outside.csv").write_bytes(SECRET)
    bucket = tmp_path / "root" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "a.csv").write_bytes(b"inside")
    return tmp_path / "root"


def s3(**options: Any) -> Any:
    session: Any = boto3.session.Session()
    return session.client("s3", region_name="us-east-1", **options)


def read(storage: Storage, uri: str) -> bytes:
    with storage.open(uri) as file:
        return file.read()


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(StorageRefusedError) as caught:
        call()
    return caught.value.message


# All kinds alike.


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = optional("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(params=["folder", "server", "moto"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A storage with an empty bucket ``bucket``."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    if request.param == "folder":
        (tmp_path / "bucket").mkdir()
        yield storage_of(s3_root=tmp_path)
    elif request.param == "server":
        url = request.getfixturevalue("moto_url")
        client = s3(endpoint_url=url)
        client.create_bucket(Bucket="bucket")
        yield storage_of(s3_endpoint=url)
        for row in client.list_objects_v2(Bucket="bucket").get("Contents", ()):
            client.delete_object(Bucket="bucket", Key=row["Key"])
    else:
        with mock_aws():
            s3().create_bucket(Bucket="bucket")
            yield storage_of()


def test_what_is_written_is_read(storage: Storage) -> None:
    storage.write("s3://bucket/a/b.csv", [b"one", b"", b"two"])
    assert read(storage, "s3://bucket/a/b.csv") == b"onetwo"
    with storage.open("s3://bucket/a/b.csv") as file:
        assert (file.read(2), file.read(2), file.read(9), file.read(1)) == (b"on", b"et", b"wo", b"")


def test_nothing_is_overwritten(storage: Storage) -> None:
    storage.write("s3://bucket/a.csv", [b"first"])
    taken = refusal(lambda: storage.write("s3://bucket/a.csv", [b"second"]))
    assert taken == "there is an object s3://bucket/a.csv already, and outputs never overwrite"
    assert read(storage, "s3://bucket/a.csv") == b"first"


def test_an_object_is_itself_and_a_folder_is_its_first_level(storage: Storage) -> None:
    for key in ("in/b.csv", "in/a.csv", "in/deep/c.csv", "inside.csv"):
        storage.write(f"s3://bucket/{key}", [b"x"])
    assert storage.list("s3://bucket/in/a.csv") == ["s3://bucket/in/a.csv"]
    assert storage.list("s3://bucket/in/") == ["s3://bucket/in/a.csv", "s3://bucket/in/b.csv"]
    assert storage.list("s3://bucket") == storage.list("s3://bucket/") == ["s3://bucket/inside.csv"]


@pytest.mark.parametrize("uri", ["s3://bucket/none.csv", "s3://bucket/none/", "s3://no-such-bucket/a.csv"])
def test_what_is_missing_is_said(storage: Storage, uri: str) -> None:
    assert "there is no " in refusal(lambda: storage.list(uri))
    if not uri.endswith("/"):
        assert "there is no " in refusal(lambda: read(storage, uri))


def test_a_bucket_is_never_made(storage: Storage) -> None:
    assert "no bucket" in refusal(lambda: storage.write("s3://other/a.csv", [b"x"]))


def test_a_folder_holds_no_more_than_so_many_objects(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "MOST_OBJECTS", 2)
    for number in range(2):
        storage.write(f"s3://bucket/in/{number}", [b"x"])
    assert len(storage.list("s3://bucket/in/")) == 2
    storage.write("s3://bucket/in/3", [b"x"])
    assert "at most 2 are read" in refusal(lambda: storage.list("s3://bucket/in/"))


def test_an_object_that_grows_too_large_leaves_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "MOST_WRITTEN", 3)
    assert "more than 3 bytes" in refusal(lambda: storage.write("s3://bucket/a.csv", [b"12", b"34"]))
    assert "there is no object" in refusal(lambda: storage.list("s3://bucket/"))


def test_a_write_that_fails_leaves_nothing(storage: Storage) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise KeyError

    with pytest.raises(KeyError):
        storage.write("s3://bucket/a.csv", chunks())
    assert "there is no object" in refusal(lambda: storage.list("s3://bucket/"))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "bucket/a.csv",
        "/etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "http://127.0.0.1/a.csv",
        "https://bucket.s3.amazonaws.com/a.csv",
        "S3://bucket/a.csv",
        "s3:/bucket/a.csv",
        "s3://",
        "s3:///a.csv",
        "s3://../a.csv",
        "s3://./a.csv",
        "s3://a..b/a.csv",
        "s3://Bucket/a.csv",
        "s3://bucket\0/a.csv",
        "s3://bucket%2f../a.csv",
        "s3://user:password@127.0.0.1:9000/a.csv",
        "s3://127.0.0.1:9000/a.csv",
        "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/x/a.csv",
        "s3://point-abc-s3alias/a.csv",
        "s3://fast--use1-az4--x-s3/a.csv",
        "s3://bucket//a.csv",
        "s3://bucket//etc/passwd",
        "s3://bucket/../outside.csv",
        "s3://bucket/x/../../outside.csv",
        "s3://bucket/./a.csv",
        "s3://bucket/a.csv/.",
        "s3://bucket/a.csv/..",
        "s3://bucket/a.csv\0.txt",
        "s3://bucket/a\ncsv",
        "s3://bucket/a\x7f",
        "s3://bucket/\ud800.csv",
        "s3://bucket/\udc2e\udc2e/outside.csv",
        f"s3://bucket/{'k' * 1025}",
        f"s3://bucket/{'k' * 256}",
        "s3://bucket/.personalize-rt-1.tmp",
    ],
)
def test_a_uri_that_could_lead_elsewhere_is_refused(root: Path, uri: str) -> None:
    """Every kind of storage reads it by the same rule, before anything else."""
    storage = FolderStorage(root)
    assert refusal(lambda: read(storage, uri))
    assert refusal(lambda: storage.list(uri))
    assert refusal(lambda: storage.write(uri, [b"x"]))


@pytest.mark.parametrize(
    "key",
    [
        "%2e%2e/outside.csv",
        "..%2f..%2fa",
        "..\\a",
        "．．/a",
        "…/a",
        "a?versionId=1",
        "a#b",
        "é e\u0301/ü",
        "..a",
        "a..",
    ],
)
def test_a_key_is_taken_as_it_is(root: Path, key: str) -> None:
    storage = FolderStorage(root)
    storage.write(f"s3://bucket/{key}", [b"x"])
    assert read(storage, f"s3://bucket/{key}") == b"x"
    assert storage.list(f"s3://bucket/{key}") == [f"s3://bucket/{key}"]


def test_a_key_is_taken_as_it_is_by_servers_too(storage: Storage) -> None:
    storage.write("s3://bucket/%2e%2e/é?versionId=1#x.csv", [b"x"])
    assert storage.list("s3://bucket/%2e%2e/") == ["s3://bucket/%2e%2e/é?versionId=1#x.csv"]
    assert read(storage, "s3://bucket/%2e%2e/é?versionId=1#x.csv") == b"x"


def test_of_writers_at_once_one_wins(root: Path) -> None:
    """Below a root; a server of S3 has to hold ``If-None-Match`` itself."""
    storage = FolderStorage(root)
    start, won = threading.Barrier(8, timeout=20), list[int]()

    def write(number: int) -> None:
        def chunks() -> Iterator[bytes]:
            start.wait()
            yield str(number).encode()

        with contextlib.suppress(StorageRefusedError):
            storage.write("s3://bucket/new/b.csv", chunks())
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [str(number).encode() for number in won] == [read(storage, "s3://bucket/new/b.csv")]
    assert os.listdir(root / "bucket" / "new") == ["b.csv"]


def test_a_file_system_without_hard_links_does_not_overwrite_either(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    storage = FolderStorage(root)
    # Somebody else takes the name while it is written.
    storage.write("s3://bucket/b.csv", [b"first"])

    def chunks() -> Iterator[bytes]:
        (root / "bucket" / "c.csv").write_bytes(b"theirs")
        yield b"mine"

    assert "already" in refusal(lambda: storage.write("s3://bucket/c.csv", chunks()))
    assert read(storage, "s3://bucket/c.csv") == b"theirs"
    assert sorted(os.listdir(root / "bucket")) == ["a.csv", "b.csv", "c.csv"]


# Below a root.


def test_no_link_is_followed(root: Path) -> None:
    bucket = root / "bucket"
    (bucket / "file.csv").symlink_to("../../outside.csv")
    (bucket / "inner.csv").symlink_to("a.csv")
    (bucket / "folder").symlink_to("../..")
    (root / "linked").symlink_to("..")
    (bucket / "dangling.csv").symlink_to(root.parent / "new.csv")
    storage = FolderStorage(root)
    for uri in (
        "s3://bucket/file.csv",
        "s3://bucket/inner.csv",
        "s3://bucket/folder/outside.csv",
        "s3://linked/outside.csv",
    ):
        assert "link" in refusal(lambda uri=uri: read(storage, uri))  # type: ignore[misc] # of this loop
    assert "link" in refusal(lambda: storage.list("s3://bucket/folder/"))
    assert "link" in refusal(lambda: storage.list("s3://linked/"))
    assert "has a link" in refusal(lambda: storage.list("s3://bucket/"))
    assert "link" in refusal(lambda: storage.write("s3://bucket/folder/new.csv", [b"x"]))
    assert "already" in refusal(lambda: storage.write("s3://bucket/dangling.csv", [b"x"]))
    assert sorted(os.listdir(root.parent)) == ["outside.csv", "root"]


def test_pipes_devices_and_folders_are_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "bucket" / "pipe")
    storage = FolderStorage(root)
    assert "pipe" in refusal(lambda: read(storage, "s3://bucket/pipe"))
    assert "folder" in refusal(lambda: FolderStorage(root.parent).list("s3://root/bucket"))
    # One that takes the place of a file after it was looked at does not block, and is not read.
    (root / "bucket" / "b.csv").write_bytes(b"x")
    looked = os.stat

    def swapped(path: Any, **options: Any) -> os.stat_result:
        found = looked(path, **options)
        if path == "b.csv":
            (root / "bucket" / "b.csv").unlink()
            os.mkfifo(root / "bucket" / "b.csv")
        return found

    monkeypatch.setattr(os, "stat", swapped)
    assert "pipe" in refusal(lambda: read(storage, "s3://bucket/b.csv"))


@pytest.mark.parametrize("part", ["bucket", "folder", "a.csv"])
def test_a_link_that_is_swapped_in_meanwhile_is_not_followed(
    root: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last instant before each part is opened, somebody puts a link to the outside in its place."""
    folder = root / "bucket" / "folder"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"inside")
    evil = root.parent / "evil"
    (evil / "folder").mkdir(parents=True)
    for place in (evil, evil / "folder"):
        (place / "a.csv").write_bytes(SECRET)
    storage = FolderStorage(root)
    opened, swapped = os.open, list[str]()

    def swap(path: Any, *args: Any, **options: Any) -> int:
        if path == part and not swapped:
            swapped.append(part)
            target = {"bucket": root / "bucket", "folder": folder, "a.csv": folder / "a.csv"}[part]
            os.rename(target, root.parent / "aside")
            target.symlink_to(evil / "a.csv" if part == "a.csv" else evil)
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", swap)
    assert "link" in refusal(lambda: read(storage, "s3://bucket/folder/a.csv"))
    assert swapped


def test_a_folder_that_is_moved_away_meanwhile_is_still_that_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs go to the folder that was opened, wherever it is now, and never to what took its name."""
    storage = FolderStorage(root)
    (root / "bucket" / "out").mkdir()
    evil = root.parent / "evil"
    evil.mkdir()

    def chunks() -> Iterator[bytes]:
        os.rename(root / "bucket" / "out", root / "moved")
        (root / "bucket" / "out").symlink_to(evil)
        yield b"x"

    storage.write("s3://bucket/out/a.csv", chunks())
    assert os.listdir(evil) == []
    assert os.listdir(root / "moved") == ["a.csv"]


def test_what_is_written_is_a_file_like_those_of_any_program(root: Path) -> None:
    before = os.umask(0o027)
    try:
        FolderStorage(root).write("s3://bucket/new.csv", [b"x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "bucket" / "new.csv").stat().st_mode) == 0o640


def test_unfinished_files_are_no_objects(root: Path) -> None:
    storage = FolderStorage(root)

    def chunks() -> Iterator[bytes]:
        assert len(os.listdir(root / "bucket")) == 2
        assert storage.list("s3://bucket/") == ["s3://bucket/a.csv"]
        yield b"x"

    storage.write("s3://bucket/b.csv", chunks())
    assert storage.list("s3://bucket/") == ["s3://bucket/a.csv", "s3://bucket/b.csv"]


def test_no_message_shows_a_path_of_the_machine(root: Path) -> None:
    (root / "bucket" / "link").symlink_to("/etc/passwd")
    (root / "bucket" / "closed").mkdir()
    (root / "bucket" / "b\n.csv").write_bytes(b"x")
    storage = FolderStorage(root)
    for uri in ("s3://bucket/link", "s3://bucket/a.csv/b", "s3://bucket/", "s3://none/a"):
        assert str(root) not in refusal(lambda uri=uri: storage.list(uri))  # type: ignore[misc] # of this loop


def test_a_root_is_a_directory_wherever_the_program_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    storage = FolderStorage("root")
    monkeypatch.chdir(root)
    assert read(storage, "s3://bucket/a.csv") == b"inside"
    with pytest.raises(ValidationError, match="s3_root: expected a directory"):
        FolderStorage(root / "none")
    with pytest.raises(ValidationError, match="not both"):
        storage_of(s3_root=root, s3_endpoint="http://127.0.0.1:1")


# An audit hook cannot be taken away, so there is one, which notes while it is told to.
_opened: list[tuple[str, int]] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    # A file object of a descriptor has that as its path.
    if _opened is not None and event == "open" and not isinstance(args[0], int):
        _opened.append((os.fsdecode(args[0]), args[2]))


@pytest.fixture(scope="module")
def noted() -> None:
    sys.addaudithook(_note)


_PART = st.one_of(
    st.sampled_from(["..", ".", "", "a.csv", "folder", "link", "bucket", "outside.csv", "%2e%2e", "..\\", "\0", "~"]),
    st.text(max_size=6),
)
_KEYS = st.lists(_PART, max_size=6).map("/".join)


@pytest.mark.usefixtures("noted")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uri=st.one_of(_KEYS.map("s3://bucket/{}".format), _KEYS.map("s3://{}".format), st.text(max_size=20)))
@example("s3://bucket/../../outside.csv")
@example("s3://bucket/link/outside.csv")
@example("s3://bucket//" + __file__)
def test_nothing_outside_of_the_root_is_ever_opened(root: Path, uri: str) -> None:
    """By construction: beside the root, what is opened is one name, which is neither . nor .. nor a link."""
    global _opened
    with contextlib.suppress(FileExistsError):
        (root / "bucket" / "link").symlink_to(root.parent)
        (root / "bucket" / "folder").mkdir()
    storage = FolderStorage(root)
    _opened = []
    try:
        for call in (lambda: read(storage, uri), lambda: storage.list(uri), lambda: storage.write(uri, [b"x"])):
            with contextlib.suppress(StorageRefusedError):
                found: Any = call()
                assert found != SECRET
    finally:
        opened, _opened = _opened, None
    for path, flags in opened:
        if path != str(root):
            assert "/" not in path
            assert path not in ("", ".", "..")
            assert flags & os.O_NOFOLLOW
    assert (root.parent / "outside.csv").read_bytes() == SECRET
    assert sorted(os.listdir(root.parent)) == ["outside.csv", "root"]
    assert os.listdir(root) == ["bucket"]


@given(st.text())
def test_a_location_is_read_or_refused(uri: str) -> None:
    try:
        location = Location.of(uri)
    except StorageRefusedError:
        return
    assert location.uri == uri
    assert not {"", ".", ".."} & set(location.parts)


# Nobody said where.


def test_without_a_place_everything_is_refused_with_advice() -> None:
    storage = storage_of()
    for call in (
        lambda: read(storage, "s3://bucket/a.csv"),
        lambda: storage.list("s3://bucket/"),
        lambda: storage.write("s3://bucket/a.csv", [b"x"]),
    ):
        message = refusal(call)
        assert "--s3-root DIR" in message
        assert "nothing is sent to AWS" in message


def test_after_mock_aws_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the block ends between the look at it and the request."""
    storage = MotoStorage()
    with mock_aws():
        s3().create_bucket(Bucket="bucket")
        storage.write("s3://bucket/a.csv", [b"x"])
    assert "--s3-root DIR" in refusal(lambda: read(storage, "s3://bucket/a.csv"))
    monkeypatch.setattr(storage, "_objects", lambda: vars(storage)["_moto"])  # as looked at before
    assert "does not answer" in refusal(lambda: read(storage, "s3://bucket/a.csv"))


def test_what_moto_lets_pass_is_not_sent() -> None:
    with mock_aws(config={"core": {"mock_credentials": True, "passthrough": {"services": ["s3"], "urls": []}}}):
        assert "does not answer" in refusal(lambda: read(MotoStorage(), "s3://bucket/a.csv"))


# A server.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:5000",
        "ftp://moto",
        "http://",
        "http://moto/path",
        "http://moto:x",
        "http://u:p@moto",
        "http://m?x",
    ],
)
def test_a_url_that_is_none_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="s3_endpoint") as caught:
        storage_of(s3_endpoint=url)
    assert "u:p" not in str(caught.value)


def test_a_server_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    message = refusal(lambda: read(ServerStorage("http://127.0.0.1:1"), "s3://bucket/a.csv"))
    assert "EndpointConnectionError" in message


def test_the_name_of_a_bucket_does_not_become_that_of_a_host() -> None:
    """By which a request could choose another server."""
    objects: Any = Objects("http://moto.example:5000")
    url = objects._client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a"})
    assert url.startswith("http://moto.example:5000/bucket/a")
