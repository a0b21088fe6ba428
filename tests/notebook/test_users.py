"""Two models over many users, and the frames of comparisons and metrics."""

from __future__ import annotations

import pickle
from typing import Any, cast

import pytest

from personalize_rt import ActionRecommendations, Ranking, Recommendations, ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.metrics import Metrics
from personalize_rt.notebook import Answers, ask_users, compare, compare_users, show

TITLES = {"a": "Alien", "b": "Brazil", "c": "Cube"}


def answer(ids: str) -> Ranking:
    return Ranking(list(ids), scores=[1.0 / (n + 1) for n in range(len(ids))])


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def test_two_campaigns_are_compared_for_many_users_in_one_call(local: LocalPersonalize) -> None:
    runtime = local.runtime()
    one, other = (runtime.campaign(local.campaign_arn(name)) for name in ("movies-for-you", "popular-movies"))
    found = compare_users(one, other, ["13974", "8321", "13974"], num_results=5, k=5, labels=("own", "popular"))
    assert list(found) == ["13974", "8321"]
    assert found["8321"] == compare(
        one.recommend("8321", num_results=5), other.recommend("8321", num_results=5), k=5, labels=("own", "popular")
    )
    means = found.measures()
    assert means["top_5_overlap"] == pytest.approx(sum(each.top_k_overlap for each in found.values()) / 2)
    assert "13974" not in repr(found)


def test_two_campaigns_may_rank_a_list_for_many_users(local: LocalPersonalize) -> None:
    movies = local.runtime().campaign(local.campaign_arn("movies-ranking"))
    found = compare_users(movies, lambda user: answer("ab"), ["13974"], input_list=["tt0120338", "tt0133093"])
    assert found["13974"].entered == ("a", "b")


def test_a_model_of_the_other_kind_is_refused(local: LocalPersonalize) -> None:
    with pytest.raises(ValidationError, match=r"first is .*a campaign.*recommends: give input_list"):
        compare_users(3, lambda user: answer("a"), ["u"])
    with pytest.raises(ValidationError, match="the answer of second"):
        compare_users(lambda user: answer("a"), lambda user: ["a"], ["u"])


def test_many_users_become_a_frame_and_a_table() -> None:
    found = compare_users(lambda user: answer("ab"), lambda user: answer("b" if user == "v" else "ba"), ["u", "v"])
    frame = found.to_polars()
    assert frame["user_id"].to_list() == ["u", "v"]
    assert frame["kendall_tau"].to_list() == [-1.0, None]
    assert frame["left"].to_list() == [0, 1]
    assert found.to_pandas().columns.tolist() == frame.columns == list(found.to_dicts()[0])
    assert "kendall tau" in found._repr_html_()
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_model_is_asked_for_many_users_in_one_call(local: LocalPersonalize) -> None:
    runtime = local.runtime()
    movies = runtime.campaign(local.campaign_arn("movies-for-you"))
    answers = ask_users(movies, ["13974", "8321", "13974"], num_results=3)
    assert list(answers) == ["13974", "8321"]
    assert answers["8321"].item_ids == movies.recommend("8321", num_results=3).item_ids
    ranking = runtime.campaign(local.campaign_arn("movies-ranking"))
    ranked = ask_users(ranking, ["13974"], input_list=["tt0120338", "tt0133093"])
    assert ranked["13974"].item_ids == ("tt0133093", "tt0120338")
    assert repr(answers) == "Answers(2 users, 6 rows)"
    with pytest.raises(ValidationError, match="model is an int"):
        ask_users(3, ["13974"])


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_answers_for_many_users_are_one_frame(kind: str) -> None:
    titled = Recommendations(["a", "b"], scores=[0.5, None], metadata=[{"title": "Alien"}, {"user_id": "x"}])
    plain = Recommendations(["c"], scores=[None], promotion_names=["p"], metadata=[{"TITLE": "Cube"}])
    answers = Answers({"u": titled, "v": plain, "w": Recommendations([], scores=[])})
    frame = getattr(answers, f"to_{kind}")()
    rows = frame.to_pylist() if kind == "arrow" else answers.to_dicts()
    assert (frame.column_names if kind == "arrow" else list(frame.columns)) == list(rows[0])
    assert [(row["user_id"], row["position"], row["item_id"]) for row in rows] == [
        ("u", 0, "a"),
        ("u", 1, "b"),
        ("v", 0, "c"),
    ]
    # The union of metadata columns, each once, and none in the place of the users.
    assert [row["title"] for row in rows] == ["Alien", None, "Cube"]
    assert [row["metadata_user_id"] for row in rows] == [None, "x", None]
    assert [row["promotion_name"] for row in rows] == [None, None, "p"]
    assert pickle.loads(pickle.dumps(answers)) == answers


def test_a_frame_of_nobody_has_the_columns_of_any_other() -> None:
    empty, one = Answers({}).to_polars(), Answers({"u": answer("a")}).to_polars()
    assert (empty.height, empty.schema) == (0, one.schema)


def test_answers_are_all_of_items_or_all_of_actions() -> None:
    actions = ActionRecommendations(["call"], scores=[0.5])
    assert Answers({"u": actions}).to_dicts() == [{"user_id": "u", "position": 0, "action_id": "call", "score": 0.5}]
    with pytest.raises(ValidationError, match="answers of items and of actions"):
        Answers[Any]({"u": actions, "v": answer("a")})
    with pytest.raises(ValidationError, match="an answer of by_user is a list"):
        Answers(cast("Any", {"u": ["a"]}))
    with pytest.raises(ValidationError, match="by_user is a list"):
        Answers(cast("Any", [answer("a")]))


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_comparison_becomes_a_frame_with_whole_places(kind: str) -> None:
    comparison = compare(answer("ab"), answer("bc"), items=TITLES)
    frame = getattr(comparison, f"to_{kind}")()
    rows = frame.to_dict("records") if kind == "pandas" else frame.to_dicts() if kind == "polars" else frame.to_pylist()
    assert [row["title"] for row in rows] == ["Brazil", "Cube", "Alien"]
    assert rows[0]["before"] == 1
    assert rows[0]["places"] == 1
    assert rows[1]["after"] == 1
    assert rows[1]["before"] is (None if kind != "pandas" else rows[1]["before"])
    if kind == "pandas":
        assert str(frame["before"].dtype) == "Int64"
        assert frame["before"].isna().tolist() == [False, True, False]


def test_comparisons_and_metrics_are_arrow_data_for_others() -> None:
    import pyarrow

    comparison = compare(answer("ab"), answer("ba"))
    assert pyarrow.table(comparison)["item_id"].to_pylist() == ["b", "a"]
    (row,) = pyarrow.table(Metrics({"coverage": 0.5}, 2)).to_pylist()
    assert row == {"metric": "coverage", "value": 0.5, "users": 2}


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_metrics_become_a_frame(kind: str) -> None:
    frame = getattr(Metrics({"coverage": 0.5, "precision_at_5": 0.25}, 2), f"to_{kind}")()
    columns = frame.column_names if kind == "arrow" else list(frame.columns)
    assert columns == ["metric", "value", "users"]
    assert list(frame["value"].to_pylist() if kind == "arrow" else frame["value"]) == [0.5, 0.25]


def test_equal_comparisons_and_metrics_are_equal_and_others_are_not() -> None:
    one, titled = compare(answer("ab"), answer("ba")), compare(answer("ab"), answer("ba"), items=TITLES)
    assert one == titled
    assert hash(one) == hash(titled)
    assert one != compare(answer("ab"), answer("ab"))
    assert Metrics({"coverage": 0.5}, 2) == Metrics({"coverage": 0.5}, 2)
    assert hash(Metrics({"coverage": 0.5}, 2)) == hash(Metrics({"coverage": 0.5}, 2))
    assert Metrics({"coverage": 0.5}, 2) != Metrics({"coverage": 0.5}, 3)


def everywhere(comparison: Any) -> list[str]:
    import rich.console

    console = rich.console.Console(width=100)
    with console.capture() as capture:
        console.print(comparison)
    axes = comparison.plot()
    return [comparison._repr_html_(), capture.get(), " ".join(text.get_text() for text in axes.texts)]


def test_a_comparison_that_was_told_titles_shows_them_everywhere() -> None:
    for shown in everywhere(answer("ab").compare(answer("ba"), items=TITLES)):
        assert "Alien" in shown
        assert "Brazil" in shown


def test_a_comparison_shows_titles_of_the_answers_metadata() -> None:
    titled = Recommendations(["a", "b"], scores=[0.5, 0.4], metadata=[{"title": "Alien"}, {}])
    comparison = compare(titled, answer("ba"))
    assert all("Alien" in shown for shown in everywhere(comparison))
    assert "Alien" in show(comparison)._repr_html_()
    assert "Cube" in show(compare(answer("c"), answer("c")), items=TITLES)._repr_html_()
