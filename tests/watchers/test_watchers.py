"""Whoever watches sees the truth: each tracer and test double sees and decides what it would with plain boto3.

In four orders: the tool is active before boto3 and this project are imported, or it starts after a client was built, or
after one was used, or before one is built. Each in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ScriptedServer
from tests.watchers.program import KINDS
from tests.watchers.tools import REPLY, TOOLS

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("program.py")


# What is at the level of sockets sees nothing of boto3 while it has a connection. The connections of the direct way are
# not botocore's: the first call after such a tool starts makes one, which it sees.
OF_SOCKETS = {"mocket", "patched_create_connection", "patched_getaddrinfo", "patched_socket", "pytest_socket"}
# They only decide: what is compared is what came of the calls, and what was sent.
SEE_NOTHING = {"moto", "pytest_socket", "pytest_socket_of_hosts"}


def seen_by(tool: str, order: str) -> dict[str, tuple[dict[str, Any], list[list[str]]]]:
    """For each kind of client, what the tool saw in each order, and the headers of what arrived."""
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(ScriptedServer())) for _ in KINDS]
        for server in servers:
            server.always(REPLY)
        command = [sys.executable, str(PROGRAM), tool, order, *(server.url for server in servers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout.splitlines()[-1])
        arrived = [[sorted(name.lower() for name in each.headers) for each in server.received] for server in servers]
    return {kind: (seen[kind], names) for kind, names in zip(KINDS, arrived, strict=True)}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_sees_and_decides_what_it_would_with_boto3(tool: str, order: str) -> None:
    found = seen_by(tool, order)
    if order == "after" and tool.removesuffix("_of_hosts") in OF_SOCKETS:
        for kind, (seen, names) in found.items():
            del names[1:]  # the first was sent before the tool started
            if kind.startswith("boto3"):
                seen["used before"] = seen["built before"]
    assert found["sync"] == found["boto3"]
    assert found["async"] == found["boto3 in a thread"]
    if tool not in SEE_NOTHING:
        assert all(what for _, what in found["boto3"][0].values())
