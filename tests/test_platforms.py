"""What a system lacks is not needed, or refused in words: names of POSIX are taken away from Python here."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from personalize_rt import ValidationError
from personalize_rt.files import replace_file, sync_data

# Names that Windows has not, or macOS (fdatasync). The modules are blocked once Python and others have theirs.
_WITHOUT = """
import asyncio, http.server, importlib, logging, multiprocessing, os, pkgutil, select, signal, socket, subprocess, sys
import tempfile, threading
import boto3, botocore.session, urllib3

for module, names in {
    os: "fork register_at_fork geteuid getuid fdatasync fchmod O_DIRECTORY O_NOFOLLOW",
    select: "poll epoll",
    signal: "SIGHUP SIGPIPE SIGALRM pthread_sigmask sigwait",
    socket: "MSG_DONTWAIT SO_REUSEPORT",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
os.supports_dir_fd = set()
for name in ("fcntl", "termios", "resource", "pwd", "grp"):
    sys.modules[name] = None
"""


def run_without(code: str) -> str:
    """What a program prints in a Python without these names."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_core_is_imported_without_names_of_posix() -> None:
    code = """
        import importlib.util
        import personalize_rt
        for name in personalize_rt.__all__:
            if not name.startswith("Async") or importlib.util.find_spec("personalize_rt.aio"):  # a room
                getattr(personalize_rt, name)
        names = "events filters rerank tracking resilience.cache resilience.hedge spool testing"
        for name in names.split():
            importlib.import_module(f"personalize_rt.{name}")
        print("all")
    """
    assert run_without(code) == "all"


def test_a_call_needs_no_names_of_posix() -> None:
    pytest.importorskip("personalize_rt.aio", reason="the room was deleted")
    code = """
        from personalize_rt import PersonalizeRuntime, RetryPolicy

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                body = b'{"itemList": [{"itemId": "a"}], "recommendationId": "R"}'
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = boto3.Session("id", "key", region_name="eu-west-1")
        url = f"http://127.0.0.1:{server.server_port}"
        arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
        with PersonalizeRuntime(session=session, endpoint_url=url, deadline=20) as runtime:
            print([runtime.get_recommendations(campaign_arn=arn).item_ids for _ in range(2)])

        from personalize_rt.aio import AsyncPersonalizeRuntime

        async def call():
            async with AsyncPersonalizeRuntime(session=session, endpoint_url=url, deadline=20) as runtime:
                return [(await runtime.get_recommendations(campaign_arn=arn)).item_ids for _ in range(2)]

        print(asyncio.run(call()))
    """
    assert run_without(code).splitlines() == ["[('a',), ('a',)]"] * 2


def test_files_are_written_without_fchmod_and_fdatasync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fchmod", "fdatasync"):
        monkeypatch.delattr(os, name, raising=False)
    path = tmp_path / "scorer"
    replace_file(path, lambda file: (file.write(b"x"), sync_data(file.fileno())))
    assert path.read_bytes() == b"x"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_job_on_files_says_which_systems_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = pytest.importorskip("personalize_rt.bulk", reason="the room was deleted")
    from personalize_rt import PersonalizeRuntime

    monkeypatch.setattr(os, "supports_dir_fd", set[object]())
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"userId": "u", "itemList": ["a"]}\n')
    arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
    with pytest.raises(ValidationError, match=r"need Linux or macOS.*subsystem for Linux, or bulk.run\(\)"):
        bulk.rank_file(PersonalizeRuntime(region_name="eu-west-1"), rows, tmp_path / "out.jsonl", campaign_arn=arn)
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_a_spool_says_which_systems_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from personalize_rt.spool import Spool

    monkeypatch.setattr(os, "supports_dir_fd", set[object]())
    with pytest.raises(ValidationError, match=r"spool= needs Linux or macOS.*subsystem for Linux, or leave it out"):
        Spool(tmp_path / "events")
    assert not (tmp_path / "events").exists()
