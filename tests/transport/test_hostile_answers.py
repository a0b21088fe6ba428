"""Whatever an answer holds, a call returns a result or raises one of our errors.

``ANSWERS=100000 pytest tests/transport/test_hostile_answers.py`` tries more than the default run does.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, RetryPolicy
from personalize_rt.transport.connections import Connections

spec = importlib.util.spec_from_file_location("hostile_answers", Path(__file__).parent / "hostile.py")
assert spec is not None
assert spec.loader is not None
hostile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile)

COUNT = int(os.environ.get("ANSWERS", "600"))
DECODERS = ("orjson", "msgspec.json")


class Sock:
    """Stands for a socket over which an answer comes in pieces, and then the end of the connection, or a reset."""

    def __init__(self, answer: bytes, chance: Random) -> None:
        size = chance.choice((1, 7, 1000, 65536)) if len(answer) < 2000 else 65536
        self._pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        self._pieces.reverse()
        self._resets = chance.random() < 0.1

    def settimeout(self, seconds: float | None) -> None: ...

    def sendall(self, message: Any) -> None: ...

    def recv(self, size: int) -> bytes:
        if not self._pieces and self._resets:
            raise ConnectionResetError(104, "Connection reset by peer")
        return self._pieces.pop() if self._pieces else b""


@pytest.fixture(params=["json", *DECODERS])
def decoder(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only decoder that the program has imported."""
    pytest.importorskip(request.param.partition(".")[0])
    import_module(request.param)
    for name in DECODERS:
        if name != request.param:
            monkeypatch.delitem(sys.modules, name, raising=False)
    decoder: str = request.param
    return decoder


@pytest.fixture
def runtime(session: Any) -> Any:
    def make(url: str) -> PersonalizeRuntime:
        return PersonalizeRuntime(session=session, endpoint_url=url, retry=RetryPolicy(1), deadline=None)

    return make


@pytest.mark.direct
@pytest.mark.timeout(60 + COUNT // 50)
def test_whatever_an_answer_holds_only_our_errors_come_out(decoder: str, runtime: Any, monkeypatch: Any) -> None:
    chance, outcomes, now = Random(5), hostile.Outcomes(), [b""]
    answered = {"poll": None, "break_off": lambda: None}
    monkeypatch.setattr(Connections, "take", lambda *_: SimpleNamespace(sock=Sock(now[0], chance), **answered))
    monkeypatch.setattr(Connections, "give_back", lambda *_, **__: None)
    with runtime("http://127.0.0.1:9") as asked:
        for number, now[0] in enumerate(hostile.answers(7, COUNT)):
            method, arguments = hostile.question(number)
            with outcomes.one(number, lambda: now[0]) as results:
                results.append(getattr(asked, method)(**arguments))
    outcomes.check(COUNT)


@pytest.mark.timeout(60 + COUNT // 50)
def test_whatever_comes_over_a_socket_only_our_errors_come_out(runtime: Any) -> None:
    outcomes, count = hostile.Outcomes(), COUNT // 4
    with hostile.HostileServer(hostile.answers(8, 2 * count)) as server, runtime(server.url) as asked:
        for number in range(count):
            method, arguments = hostile.question(number)
            with outcomes.one(number, lambda: server.last) as results:
                results.append(getattr(asked, method)(**arguments))
    outcomes.check(count)
