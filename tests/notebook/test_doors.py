"""What a result offers by itself: one-line doors to the rooms behind it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from personalize_rt.notebook import compare
from personalize_rt.notebook.frames import to_arrow, to_dicts, to_pandas, to_polars
from personalize_rt.notebook.html import html_of
from personalize_rt.rerank.blend import blend
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations
from tests.optional import optional

RANKING = Ranking(["a", "b"], scores=[0.6, None], metadata=[{"YEAR": "1979"}, None], input_list=["b", "a"])
RESULTS = [RANKING, Recommendations(["a"], scores=[0.5]), ActionRecommendations(["x"], scores=[0.5])]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_result_shows_and_converts_itself(result: Any) -> None:
    assert result._repr_html_() == html_of(result)
    assert result.to_dicts() == to_dicts(result)
    assert result.compare(RANKING) == compare(result, RANKING)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_result_becomes_a_frame(result: Any) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_frame_equal(result.to_pandas(), to_pandas(result))
    pytest.importorskip("polars")
    assert result.to_polars().equals(to_polars(result))
    arrow = optional("pyarrow")
    assert result.to_arrow() == to_arrow(result) == arrow.table(result)


def test_metadata_columns_can_be_asked_for() -> None:
    assert list(RANKING.to_dicts(metadata_columns=["TITLE"])[0])[-1] == "TITLE"


def test_polars_and_duckdb_read_a_result_directly() -> None:
    optional("pyarrow")
    polars = pytest.importorskip("polars")
    assert polars.from_dataframe(RANKING).equals(to_polars(RANKING))
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("ranking", RANKING)
    assert connection.sql("SELECT item_id FROM ranking WHERE score IS NULL").fetchall() == [("b",)]


def test_rich_prints_a_result_as_a_table() -> None:
    console = pytest.importorskip("rich.console").Console(width=80)
    with console.capture() as capture:
        console.print(RANKING)
    assert capture.get().startswith("Ranking of 2 items")


def test_a_ranking_blends_itself() -> None:
    assert RANKING.blend(["b", "a"], 0.3) == blend(RANKING, ["b", "a"], 0.3)


def test_results_plot_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"backend": "Agg"}):
        import matplotlib.pyplot as plt

        _, axes = plt.subplots()
        assert RANKING.plot_scores(ax=axes) is axes
        assert RANKING.plot_distribution("year", ax=axes) is axes
        plt.close("all")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"personalize-rt\[plot\]"):
        RANKING.plot_scores()
