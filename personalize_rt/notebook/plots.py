"""Plots of answers, with matplotlib. Each function draws on ``ax``, or on a new figure, and returns the Axes.

A new figure has the style that you have chosen; without one, no ground, and colours for light and dark pages.

Signatures say ``Any`` for ``matplotlib.axes.Axes``, since matplotlib's types are not complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.notebook.catalogue import Catalogue, read_catalogue, title_column
from personalize_rt.notebook.compare import Comparison, Move, compare
from personalize_rt.notebook.frames import Result, metadata_names
from personalize_rt.results import ActionRecommendations, Metadata, Ranking, Recommendations

__all__ = ["draw_slopes", "filter_effect", "intervals", "metadata_distribution", "score_curve", "slope_chart"]

_BLUE, _GREEN, _RED, _AMBER, _GREY = "#4c7fc4", "#2e9e63", "#cf5a48", "#d99a1c", "#9aa3b2"
_LONGEST_LABEL = 40
# Read on pages of a light and of a dark theme: grey text, with contrasts of 4:1 to both, on no ground of its own.
_INK = "#7b7b7b"
_ON_ANY = {
    "figure.facecolor": "none",
    "savefig.facecolor": "auto",
    "axes.facecolor": "none",
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
# Whoever has chosen a style (``plt.style.use("dark_background")``) has that.
_OF_MATPLOTLIB = {"figure.facecolor": "white", "axes.facecolor": "white", "text.color": "black"}


def score_curve(result: Result, *, ax: Any = None) -> Any:
    """Draw the score at each place. Promoted items are marked; items without a score leave gaps.

    Args:
        result: The answer.
        ax: The Axes to draw on; by default those of a new figure.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    axes = _axes(ax)
    places = range(1, len(result) + 1)
    nan = float("nan")
    scores = [nan if score is None else score for score in result.scores]
    axes.plot(places, scores, color=_BLUE, marker="o", markersize=4, linewidth=1.5)
    if not isinstance(result, ActionRecommendations):
        promoted = [(n, scores[n - 1]) for n in places if result[n - 1].promotion_name is not None]
        if promoted:
            x, y = zip(*promoted, strict=True)
            axes.scatter(x, y, color=_AMBER, s=60, zorder=3, label="promoted")
            axes.legend(frameon=False, labelcolor=_ink(axes))
    axes.set_xlabel("place")
    axes.set_ylabel("score")
    axes.set_ylim(bottom=0)
    return _calm(axes)


def slope_chart(
    first: Result,
    second: Result,
    *,
    items: object = None,
    labels: tuple[str, str] = ("before", "after"),
    rows: int = 25,
    ax: Any = None,
) -> Any:
    """Draw a line for each item from its place in one answer to its place in another.

    Green lines rise, red ones fall, grey ones stay; an item of only one answer is a dot.

    Args:
        first: The answer on the left.
        second: The answer on the right.
        items: Titles to write instead of ids, as :func:`~personalize_rt.notebook.show` takes them; by default those of
            the metadata.
        labels: The names of the two answers.
        rows: The number of places to show, from the top.
        ax: The Axes to draw on; by default those of a new figure.

    Raises:
        ValidationError: ``items`` cannot be read, or ``rows`` is below 1.
        ModuleNotFoundError: matplotlib is not installed.
    """
    return draw_slopes(compare(first, second, labels=labels), items=items, rows=rows, ax=ax)


def draw_slopes(comparison: Comparison, *, items: object = None, rows: int = 25, ax: Any = None) -> Any:
    """Draw the slope chart of a comparison; see :func:`slope_chart`."""
    checks.whole(rows, "rows")

    def seen(place: int | None) -> bool:
        return place is not None and place < rows

    moves = [move for move in comparison.moves if seen(move.before) or seen(move.after)]
    ids = [move.item_id for move in moves]
    catalogue = comparison.catalogue if items is None else read_catalogue(items, ids)
    lowest = max((place + 1 for move in moves for place in (move.before, move.after) if place is not None), default=1)
    height = min(lowest, rows)
    # Make room for the titles beside the lines.
    widest = [
        max((len(_label(move.item_id, catalogue)) for move in moves if seen(place_of(move))), default=0)
        for place_of in (attrgetter("before"), attrgetter("after"))
    ]
    axes = _axes(ax, figsize=(2.8 + 0.08 * sum(widest), max(2.0, 0.32 * height + 1)))
    for move in moves:
        color = _color(move)
        if move.before is not None and move.after is not None:
            axes.plot([0, 1], [move.before + 1, move.after + 1], color=color, linewidth=1.5)
        for side, place in enumerate((move.before, move.after)):
            if place is None or place >= rows:
                continue
            axes.scatter([side], [place + 1], color=color, s=16, clip_on=False, zorder=3)
            axes.annotate(
                _label(move.item_id, catalogue),
                (side, place + 1),
                xytext=(8 if side else -8, 0),
                textcoords="offset points",
                ha="left" if side else "right",
                va="center",
                color=color if move.places is None else _ink(axes),
                annotation_clip=False,
                parse_math=False,  # a title may hold two dollar signs
            )
    axes.set_xlim(0, 1)
    axes.set_ylim(height + 0.5, 0.5)  # a line to a place further down leaves through the bottom
    axes.set_xticks([0, 1], list(comparison.labels))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([])
    return _calm(axes, ("top", "right", "bottom", "left"))


def metadata_distribution(
    result: Ranking | Recommendations,
    column: str,
    *,
    items: object = None,
    top: int = 15,
    ax: Any = None,
) -> Any:
    """Draw the number of items of an answer with each value of a column, such as a genre, brand or year.

    An item with several values (``Action|Drama``) counts for each. If all values are numbers, and there are more than
    ``top`` of them, the plot is a histogram.

    Args:
        result: The answer.
        column: A column of the answer's metadata or of ``items``; case and underscores are ignored.
        items: The source of a column that the answer lacks, as :func:`~personalize_rt.notebook.show` takes it.
        top: The number of values to show, the most frequent ones.
        ax: The Axes to draw on; by default those of a new figure.

    Raises:
        ValidationError: Neither the answer nor ``items`` has the column; the message names those that they have.
        ModuleNotFoundError: matplotlib is not installed.
    """
    values = [part for text in _column(result, column, items) for part in text.split("|")]
    counts = Counter(part.strip() for part in values if part.strip())
    numbers = _numbers(counts)
    if numbers is not None and len(counts) > top:
        axes = _axes(ax)
        axes.hist(list(numbers.elements()), bins=min(top, 20), color=_BLUE)
        axes.set_xlabel(column, parse_math=False)
        axes.set_ylabel("items")
        return _calm(axes)
    shown = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]
    axes = _axes(ax, figsize=(6.4, max(1.6, 0.3 * len(shown) + 0.9)))
    axes.barh(range(len(shown)), [number for _, number in shown], color=_BLUE, height=0.7)
    axes.set_yticks(range(len(shown)), [_short(value) for value, _ in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("items")
    axes.set_title(column, loc="left", parse_math=False, color=_ink(axes))
    axes.xaxis.get_major_locator().set_params(integer=True)
    return _calm(axes)


def filter_effect(
    unfiltered: Result,
    filtered: Result,
    *,
    items: object = None,
    rows: int = 25,
    ax: Any = None,
) -> Any:
    """Draw the effect of a filter: the unfiltered answer, with the items taken out and the new places of the others.

    Each item of the unfiltered answer is a bar as long as its score (or of equal length, without scores): blue for an
    item that stays, with its new place, red and hatched for one taken out. Items that only the filtered answer has
    follow in green.

    Args:
        unfiltered: The answer without the filter.
        filtered: The answer with it.
        items: Titles to write instead of ids, as :func:`~personalize_rt.notebook.show` takes them.
        rows: The number of items to show.
        ax: The Axes to draw on; by default those of a new figure.

    Raises:
        ValidationError: ``items`` cannot be read, or ``rows`` is below 1.
        ModuleNotFoundError: matplotlib is not installed.
    """
    checks.whole(rows, "rows")
    comparison = compare(unfiltered, filtered)
    by_place = sorted((move for move in comparison.moves if move.before is not None), key=lambda move: move.before or 0)
    shown = [*by_place, *(move for move in comparison.moves if move.before is None)][:rows]
    catalogue = read_catalogue(items, [move.item_id for move in shown])
    scored = any(score is not None for score in (*unfiltered.scores, *filtered.scores))
    axes = _axes(ax, figsize=(7, max(1.8, 0.3 * len(shown) + 1.2)))
    kinds = {
        "stays": ([move for move in shown if move.places is not None], _BLUE, ""),
        "taken out": ([move for move in shown if move.after is None], _RED, "///"),
        "comes in": ([move for move in shown if move.before is None], _GREEN, ""),
    }
    places = {move.item_id: n for n, move in enumerate(shown)}
    for kind, (moves, color, hatch) in kinds.items():
        if moves:
            axes.barh(
                [places[move.item_id] for move in moves],
                [_length(move, scored) for move in moves],
                height=0.7,
                color="none" if hatch else color,
                edgecolor=color,
                hatch=hatch,
                label=f"{kind} ({len(moves)})",
            )
    for move in shown:
        axes.annotate(
            "out" if move.after is None else f"{move.after + 1}",
            (_length(move, scored), places[move.item_id]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=_RED if move.after is None else _GREY,
        )
    axes.set_yticks(range(len(shown)), [_label(move.item_id, catalogue) for move in shown], parse_math=False)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.set_xlabel("score, and the place after the filter" if scored else "the place after the filter")
    if scored:
        axes.locator_params(axis="x", nbins=5)
    else:
        axes.set_xticks([])
    if shown:
        axes.legend(frameon=False, loc="lower right", labelcolor=_ink(axes))
    return _calm(axes)


def intervals(
    labels: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    neutral: float = 0.0,
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw shares or their differences with their intervals, and the value that stands for no difference.

    Green ones lie above that value as a whole, red ones below it, blue ones hold it.

    Args:
        labels: The name of each.
        values: Each value: 0.05 is 5 percent.
        lows: The lower end of each interval.
        highs: The upper end of each.
        neutral: The value that stands for no difference.
        title: The name of the values.
        ax: The Axes to draw on; by default those of a new figure.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    axes = _axes(ax, figsize=(6.4, max(1.6, 0.4 * len(labels) + 0.9)))
    axes.axvline(100 * neutral, color=_GREY, linewidth=1, linestyle="--")
    for row, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
        color = _GREEN if low > neutral else _RED if high < neutral else _BLUE
        axes.plot([100 * low, 100 * high], [row, row], color=color, linewidth=2)
        axes.scatter([100 * value], [row], color=color, s=36, zorder=3)
    axes.set_yticks(range(len(labels)), list(map(_short, labels)), parse_math=False)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    axes.set_xlabel(f"{title}, percent".lstrip(", "), parse_math=False)
    return _calm(axes)


# Parts.


def _axes(ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    if ax is not None:
        return ax
    pyplot = need("matplotlib.pyplot", "plot", "Plotting")
    settings: dict[str, Any] = pyplot.rcParams
    own = _ON_ANY if all(settings[name] == default for name, default in _OF_MATPLOTLIB.items()) else {}
    with pyplot.rc_context(own):
        _, axes = pyplot.subplots(figsize=figsize, layout="constrained")
        shows = pyplot.isinteractive()
    if shows and not pyplot.isinteractive():
        # The first figure of a notebook loads the backend, which turns this on. It must outlast the settings above, or
        # no later plot would be shown.
        pyplot.ion()
    return axes


def _ink(axes: Any) -> Any:
    """The colour of text: that of the axes' labels, which have it from the style that the axes were made with."""
    return axes.xaxis.label.get_color()


def _calm(axes: Any, sides: Sequence[str] = ("top", "right")) -> Any:
    axes.spines[list(sides)].set_visible(False)
    return axes


def _color(move: Move) -> str:
    if move.before is None:
        return _GREEN
    if move.after is None:
        return _RED
    return _GREY if move.before == move.after else _GREEN if move.after < move.before else _RED


def _length(move: Move, scored: bool) -> float:
    score = move.score_after if move.score_before is None else move.score_before
    return (score or 0.0) if scored else 1.0


def _label(id: str, catalogue: Catalogue) -> str:
    title = title_column(catalogue.columns)
    return _short((title and catalogue.text(id, title)) or id)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _column(result: Ranking | Recommendations, column: str, items: object) -> Sequence[str]:
    """The non-empty texts of a column."""
    own = metadata_names(result)
    catalogue = read_catalogue(items, result.item_ids)
    # By Metadata, which treats spellings of a name as equal.
    known = {name: name for name in (*own, *catalogue.columns)}
    if column not in Metadata(known):
        has = ", ".join(known) or "none"
        raise ValidationError(f"there is no column {column!r}; the columns are: {has}", parameter="column")
    beside = Metadata({name: name for name in catalogue.columns}).get(column)
    texts: list[str] = []
    for row in result:
        text = row.metadata.get(column)
        texts.append(text if text is not None else "" if beside is None else catalogue.text(row.item_id, beside))
    return texts


def _numbers(counts: Counter[str]) -> Counter[float] | None:
    numbers: Counter[float] = Counter()
    for value, count in counts.items():
        try:
            numbers[float(value)] += count
        except ValueError:
            return None
    return numbers
