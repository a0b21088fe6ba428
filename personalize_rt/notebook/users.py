"""Answers for many users as one frame, and comparison of two models over many users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean, median
from typing import Any, TypeVar, cast

import attrs

from personalize_rt import checks
from personalize_rt.columns import as_ids
from personalize_rt.errors import ValidationError
from personalize_rt.notebook.compare import Comparison, check_answer, compare
from personalize_rt.notebook.frames import Column, Framed, Result, together
from personalize_rt.notebook.markup import page, tag
from personalize_rt.notebook.progress import tracked
from personalize_rt.redaction import describe
from personalize_rt.results import ActionRecommendations

__all__ = ["Answers", "Comparisons", "ask_users", "compare_users"]


ResultT = TypeVar("ResultT", bound=Result)


def _check(_: Any, __: Any, by_user: Any) -> None:
    if not isinstance(by_user, Mapping):
        raise ValidationError(
            f"by_user is {describe(by_user)}, not a mapping of user ids to answers", parameter="by_user"
        )
    answers = cast("Mapping[str, Result]", by_user).values()
    for answer in answers:
        check_answer(answer, "an answer of by_user")
    if len({isinstance(answer, ActionRecommendations) for answer in answers}) > 1:
        raise ValidationError("by_user has answers of items and of actions: make a frame of each", parameter="by_user")


@attrs.frozen(repr=False)
class Answers(Framed, Mapping[str, ResultT]):
    """The answer for each user: ``answers["13974"]``. A frame has all their rows, with the user in the first column.

    The other columns are those of a single answer; of metadata, those of all answers together.

    Args:
        by_user: The answers, by user id: all of items, or all of actions.

    Raises:
        ValidationError: *by_user* holds something else, or answers of both kinds.
    """

    _by_user: Mapping[str, ResultT] = attrs.field(alias="by_user", validator=_check, hash=False)

    def __getitem__(self, user_id: str) -> ResultT:
        return self._by_user[user_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_user)

    def __len__(self) -> int:
        return len(self._by_user)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each row: ``user_id``, and the columns of a single answer."""
        columns = self._columns()
        rows = zip(*(column.values for column in columns), strict=True)
        return [dict(zip((column.name for column in columns), row, strict=True)) for row in rows]

    def _columns(self) -> list[Column]:
        users = Column("user_id", "string", [user for user, answer in self.items() for _ in range(len(answer))])
        return together(users, list(self.values()))

    def __repr__(self) -> str:
        return f"Answers({len(self):,} users, {sum(map(len, self.values())):,} rows)"


@attrs.frozen(repr=False)
class Comparisons(Framed, Mapping[str, Comparison]):
    """The comparison for each user: ``comparisons["13974"]``. A frame has one row for each, a notebook the means.

    Attributes:
        labels: The names of the two models.
    """

    _by_user: Mapping[str, Comparison] = attrs.field(alias="by_user", hash=False)
    labels: tuple[str, str]

    def __getitem__(self, user_id: str) -> Comparison:
        return self._by_user[user_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_user)

    def __len__(self) -> int:
        return len(self._by_user)

    def measures(self) -> dict[str, float | None]:
        """The mean of each measure, over the users for whom it is defined; ``None`` if there are none."""
        return {name: fmean(values) if values else None for name, values in self._values().items()}

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each user: ``user_id``, the measures, and the numbers of items in both and in one answer."""
        return [
            {
                "user_id": user,
                **one.measures(),
                "shared": len(one.shared),
                "entered": len(one.entered),
                "left": len(one.left),
            }
            for user, one in self.items()
        ]

    def _columns(self) -> list[Column]:
        rows = self.to_dicts()
        measures = list(self._values())
        columns = [Column("user_id", "string", list(self))]
        columns += [Column(name, "float64", [row[name] for row in rows]) for name in measures]
        columns += [Column(name, "int64", [row[name] for row in rows]) for name in ("shared", "entered", "left")]
        return columns

    def _values(self) -> dict[str, list[float]]:
        """The values of each measure that are defined."""
        values: dict[str, list[float]] = {}
        for one in self.values():
            for name, value in one.measures().items():
                values.setdefault(name, []).extend([] if value is None else [value])
        return values

    def _lines(self) -> Iterator[tuple[str, str, str, str]]:
        """Name, mean, median and lowest value of each measure, as texts."""
        for name, values in self._values().items():
            texts = [f"{of(values):.3f}" if values else "undefined" for of in (fmean, median, min)]
            yield name.replace("_", " "), texts[0], texts[1], texts[2]

    def _repr_html_(self) -> str:
        heads = ("measure", "mean", "median", "lowest")
        body = (
            tag("tr", tag("th", name, scope="row"), *(tag("td", text, class_="number") for text in texts))
            for name, *texts in self._lines()
        )
        caption = tag("caption", tag("strong", " → ".join(self.labels)), f" for {len(self):,} users")
        head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
        return page(tag("table", caption, head, tag("tbody", *body)), label=f"Comparison for {len(self):,} users")

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        from personalize_rt.notebook.terminal import new_table

        table = new_table(ascii_only=options.ascii_only)
        table.add_column("measure", overflow="fold")
        for name in ("mean", "median", "lowest"):
            table.add_column(name, justify="right")
        for line in self._lines():
            table.add_row(*line)
        yield Text(f"{len(self):,} users", style="bold")
        yield table

    def __repr__(self) -> str:
        means = (
            f"{name}={'undefined' if value is None else f'{value:.3f}'}" for name, value in self.measures().items()
        )
        return f"Comparisons({', '.join([f'{len(self):,} users', *means])})"


def ask_users(
    model: Any,
    user_ids: Iterable[str],
    *,
    input_list: Iterable[str] | None = None,
    num_results: int = 25,
    progress: bool | None = None,
) -> Answers[Any]:
    """Ask a model for each user, one after the other; ``to_pandas()`` and others make one frame of the answers.

    For more than some hundred users, :mod:`personalize_rt.bulk` asks many at a time.

    Args:
        model: A campaign, a recommender, a ``LocalReranker``, or a function that takes a user id and returns an answer.
        user_ids: The users, or a pandas, Polars or Arrow column of them; a repeated one counts once.
        input_list: The items to rank for every user; without them, the model is asked for recommendations.
        num_results: The number of recommendations to ask for.
        progress: Whether to show a bar; by default on a terminal and in a notebook, if tqdm is installed.

    Raises:
        ValidationError: The model is something else, or one of the arguments is not valid.
        PersonalizeError: A call of the model failed, which ends the run.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.
    """
    ranked = None if input_list is None else checks.listed(as_ids(input_list, "input_list"), "input_list")
    ask = _ask(model, "model", ranked, num_results)
    return Answers({user: ask(user) for user in tracked(_distinct(user_ids), "asking", progress)})


def _distinct(user_ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(checks.listed(as_ids(user_ids, "user_ids"), "user_ids")))


def compare_users(
    first: Any,
    second: Any,
    user_ids: Iterable[str],
    *,
    input_list: Iterable[str] | None = None,
    num_results: int = 25,
    k: int = 10,
    p: float = 0.9,
    labels: tuple[str, str] = ("before", "after"),
    items: object = None,
    progress: bool | None = None,
) -> Comparisons:
    """Ask two models for each user, and compare their answers: two campaigns, or a campaign and a ranker of yours.

    Args:
        first: The model that items move from: a campaign, a recommender, a ``LocalReranker``, or a function that takes
            a user id and returns an answer.
        second: The model that items move to.
        user_ids: The users, or a pandas, Polars or Arrow column of them; a repeated one counts once.
        input_list: The items to rank for every user; without them, the models are asked for recommendations.
        num_results: The number of recommendations to ask for.
        k: The number of places of the top-k overlap.
        p: The patience of the rank-biased overlap, between 0 and 1.
        labels: The names of the two models.
        items: Titles to show, as :func:`~personalize_rt.notebook.show` takes them; by default those in the metadata of
            the answers.
        progress: Whether to show a bar; by default on a terminal and in a notebook, if tqdm is installed.

    Raises:
        ValidationError: A model is something else, or one of the arguments is not valid.
        PersonalizeError: A call of a model failed, which ends the comparison.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.
    """
    ranked = None if input_list is None else checks.listed(as_ids(input_list, "input_list"), "input_list")
    asks = [_ask(first, "first", ranked, num_results), _ask(second, "second", ranked, num_results)]
    by_user: dict[str, Comparison] = {}
    for user in tracked(_distinct(user_ids), "comparing", progress):
        before, after = (ask(user) for ask in asks)
        check_answer(before, "the answer of first")
        check_answer(after, "the answer of second")
        by_user[user] = compare(before, after, k=k, p=p, labels=labels, items=items)
    return Comparisons(by_user, labels)


def _ask(model: Any, name: str, ranked: list[str] | None, num_results: int) -> Callable[[str], Result]:
    """Make a function that asks a model for a user."""
    if ranked is not None and hasattr(model, "rank"):
        return lambda user: model.rank(user_id=user, input_list=ranked)
    if ranked is None and hasattr(model, "recommend"):
        return lambda user: model.recommend(user_id=user, num_results=num_results)
    if callable(model):
        return cast("Callable[[str], Result]", model)
    wanted = "recommends: give input_list to rank one" if ranked is None else "ranks: leave input_list out"
    raise ValidationError(
        f"{name} is {describe(model)}; it takes a campaign, a recommender, a LocalReranker or a function of a user id, "
        f"and here one that {wanted}",
        parameter=name,
    )
