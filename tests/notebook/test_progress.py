"""A progress bar where somebody looks."""

from __future__ import annotations

import gc
import io
import sys
import types
from contextlib import redirect_stderr
from functools import partial

import pytest

from personalize_rt.notebook.progress import Bar, in_notebook, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("show", [None, True, False])
def test_every_value_comes_through_in_order(show: bool | None) -> None:
    pytest.importorskip("tqdm")
    assert list(tracked([3, 1, 2], "evaluating", show)) == [3, 1, 2]


def test_a_terminal_sees_a_bar() -> None:
    pytest.importorskip("tqdm")
    with redirect_stderr(Terminal()) as terminal:
        list(tracked(range(3), "evaluating", None))
    assert "evaluating" in terminal.getvalue()
    assert "3" in terminal.getvalue()


def test_a_terminal_sees_none_when_none_is_wanted() -> None:
    with redirect_stderr(Terminal()) as terminal:
        list(tracked(range(3), "evaluating", False))
    assert terminal.getvalue() == ""


def test_a_file_or_a_pipe_sees_none(capsys: pytest.CaptureFixture[str]) -> None:
    list(tracked(range(3), "evaluating", None))
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_is_asked_for_is_shown_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    list(tracked(range(3), "evaluating", True))
    assert "evaluating" in capsys.readouterr().err


def test_a_bar_ends_when_the_loop_does() -> None:
    pytest.importorskip("tqdm")
    with redirect_stderr(Terminal()) as terminal:
        for _ in tracked(range(100), "evaluating", None):
            assert terminal.getvalue().endswith("user/s]")
            break
    gc.collect()
    assert terminal.getvalue().endswith("\r")  # the line is empty again


def test_a_terminal_without_tqdm_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with redirect_stderr(Terminal()) as terminal:
        assert list(tracked([1], "evaluating", None)) == [1]
    assert terminal.getvalue() == ""


def test_a_bar_that_is_asked_for_without_tqdm_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ModuleNotFoundError, match=r'tqdm: pip install "personalize-rt\[notebook\]"'):
        list(tracked([1], "evaluating", True))


def test_a_notebook_is_known_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    for shell, notebook in ((None, False), (object(), False), (types.SimpleNamespace(kernel=1), True)):
        ipython = types.SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert in_notebook() is notebook


def test_a_bar_shows_what_was_done_before_what_is_to_do_and_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm.auto")
    # Each step at once, not ten times a second.
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, mininterval=0, miniters=1))
    with redirect_stderr(Terminal()) as terminal:
        bar = Bar("ranking", "request", None, total=10, done=7)
        bar.advance(failed=True)
        bar.advance()
        bar.close()
        bar.close()
    shown = terminal.getvalue()
    assert "ranking" in shown
    assert "7/10" in shown
    assert "1 failed" in shown


def test_a_bar_that_nobody_sees_does_nothing() -> None:
    with redirect_stderr(Terminal()) as terminal:
        bar = Bar("ranking", "request", False)
        bar.advance(failed=True)
        bar.close()
    assert terminal.getvalue() == ""
