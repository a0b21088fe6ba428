"""Results of the three operations: immutable sequences of rows.

A result holds columns (``item_ids``, ``scores``), and makes rows only on access: reading the ids of 500 items does not
build 500 objects. Equality and hash cover the rows and the recommendation id, but not ``info``, ``degraded`` and
``cause``. Results may be shared between threads.
"""

from __future__ import annotations

import copy
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from math import fsum, inf, isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast, overload

import attrs

from personalize_rt.decoding import Columns
from personalize_rt.errors import PersonalizeError, ResponseError
from personalize_rt.names import canonical
from personalize_rt.redaction import MASK, describe

if TYPE_CHECKING:
    from personalize_rt.actions import ActionRecommendations, PredictedAction
    from personalize_rt.notebook.compare import Comparison

__all__ = [
    "ActionRecommendations",
    "Metadata",
    "PredictedAction",
    "PredictedItem",
    "Ranking",
    "Recommendations",
    "ResponseInfo",
]

Source = Literal["service", "cache", "fallback", "local"]
Scores = tuple[float | None, ...]


def strings(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _item_ids(values: Iterable[str | PredictedItem]) -> tuple[str, ...]:
    return cast("tuple[str, ...]", tuple(values))  # rows are taken apart once all columns are there


if TYPE_CHECKING:
    # What may be done to metadata; that they are a dict is for libraries which know no other mapping.
    class _ReadOnly(Mapping[str, str]):
        def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None: ...
        def __getitem__(self, name: str) -> str: ...
        def __iter__(self) -> Iterator[str]: ...
        def __len__(self) -> int: ...

else:

    class _ReadOnly(dict):
        """A dict that does not change."""

        __slots__ = ()

        def _refuse(self, *_, **__):
            raise TypeError(f"{type(self).__name__} does not change; dict(…) of it is a copy that does")

        # A dict's would look for the very name, and show the values.
        get, items, values = Mapping.get, Mapping.items, Mapping.values
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

        def copy(self):
            """Return the metadata itself, which nothing changes."""
            return self

        def __ne__(self, other):
            return not self == other

        def __reduce__(self):
            return type(self), (dict(self),)

        def __setstate__(self, state):
            # Pickles of version 0.1, whose metadata were an attrs class.
            dict.update(self, state["_values"])


class Metadata(_ReadOnly):
    """The metadata of one item: column name to value, immutable and hashable.

    Look-up and equality ignore case and underscores of names, since the service answers a request for ``BRAND_NAME``
    with ``brandName``. ``repr`` hides the values. To libraries that write JSON or fill frames, it is a dict; what would
    change it is a ``TypeError``.

    Args:
        values: The columns as the service named them. Values are strings; several categories come as one
            string with ``|`` between them.
    """

    __slots__ = ()

    def __missing__(self, name: object) -> str:
        if isinstance(name, str):
            wanted = canonical(name)
            for key, value in self.items():
                if canonical(key) == wanted:
                    return value
        raise KeyError(f"no column {name!r} in this item's metadata; it has {sorted(map(_shown_name, self))}")

    def __contains__(self, name: object) -> bool:
        return self.get(cast("str", name)) is not None

    def _key(self) -> frozenset[tuple[str, str]]:
        return frozenset((canonical(name), value) for name, value in self.items())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Metadata):
            return self._key() == other._key()
        if isinstance(other, Mapping):
            return dict(self) == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __rich_repr__(self) -> Iterator[str]:
        # Without this method, rich would show a dict.
        yield from map(_shown_name, self)

    def __repr__(self) -> str:
        return f"Metadata(<{', '.join(map(_shown_name, self))}>)"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: Any) -> Any:
        from personalize_rt import schemas

        return schemas.schema_of_metadata(cls, handler)


def _shown_name(name: str) -> str:
    """A name for ``repr``, if it can be that of a column. Any other may be a value in the wrong place."""
    return name if name.isascii() and name.isidentifier() else MASK


_NO_METADATA = Metadata()


def _as_metadata(value: Mapping[str, str] | None) -> Metadata:
    if value is None:
        return _NO_METADATA
    return value if isinstance(value, Metadata) else Metadata(value)


class BaseRow:
    """Base of the rows: how they are written, for libraries which do not know attrs."""

    __slots__ = ()

    def to_json(self) -> str:
        """Write the row as JSON; see :mod:`personalize_rt.encode`."""
        from personalize_rt import encode

        return encode.to_json(self)

    def __post_init__(self) -> None:
        # msgspec fills a row as it does a dataclass, without calling it, and then calls this.
        object.__setattr__(self, "rules", ())
        object.__setattr__(self, "recommendation_id", None)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name == "recommendation_id":
                return None  # of a row pickled by version 0.1
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: Any) -> Any:
        from personalize_rt import schemas

        return schemas.schema_of_object(cls, handler)


class OfDataclass:
    """An attribute that a dataclass with the fields of an attrs class has, made when it is asked for.

    ``polars.DataFrame(result)`` and ``pandas.DataFrame(result)`` take a result for a sequence of rows before they ask
    it for Arrow data, and of rows they know dataclasses, but not attrs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: dict[type, Any] = {}

    def __get__(self, row: object, kind: type) -> Any:
        if kind not in self._made:
            from dataclasses import make_dataclass
            from typing import get_type_hints

            # What is no part of equality was not answered, and is no column.
            types = get_type_hints(kind)
            columns = [(field.name, types[field.name]) for field in attrs.fields(kind) if field.eq]
            twin = make_dataclass(kind.__name__, columns)
            self._made[kind] = getattr(twin, self._name)
        return self._made[kind]


def _known_reasons(reasons: tuple[str, ...]) -> str:
    """Reasons for a ``repr``: those that AWS documents; others are sentences of the service about somebody."""
    return repr(tuple(reason if reason in _REASONS else MASK for reason in reasons))


# service.md section 3.7
_REASONS = ("Exploration", "Popular item", "Promoted item")


@attrs.frozen
class PredictedItem(BaseRow):
    """One item of an answer.

    Attributes:
        item_id: The item.
        score: The service's relevance score, from 0 to 1, rounded to 7 decimals; ``None`` where the recipe gives
            none, or the model does not know the item (service.md section 4).
        promotion_name: The promotion that put the item here, or ``None``.
        metadata: The columns requested by ``metadata_columns``; empty if there are none.
        reason: The reasons for the item, as the User-Personalization-v2 recipe gives them
            (``"Promoted item"``, ``"Exploration"``, ``"Popular item"``); empty for other recipes. ``repr`` hides other
            texts.
        rules: The reasons for which rules of the caller moved the row here, in the order of the rules; see
            :mod:`personalize_rt.rerank.rules`. Not part of equality, and not in the ``repr``.
        recommendation_id: The id of the service's answer that the item came with, which an event about it sends back;
            ``None`` for a row of a fallback or of the local re-ranker. Not part of equality, and not in the ``repr``.
    """

    item_id: str
    score: float | None = None
    promotion_name: str | None = None
    metadata: Metadata = attrs.field(default=_NO_METADATA, converter=_as_metadata)
    reason: tuple[str, ...] = attrs.field(default=(), converter=strings, repr=_known_reasons)
    rules: tuple[str, ...] = attrs.field(default=(), converter=strings, repr=False, eq=False)
    recommendation_id: str | None = attrs.field(default=None, repr=False, eq=False)

    __dataclass_fields__: ClassVar[Any] = OfDataclass("__dataclass_fields__")
    __dataclass_params__: ClassVar[Any] = OfDataclass("__dataclass_params__")


@attrs.frozen
class ResponseInfo:
    """Facts on the call that gave an answer.

    Attributes:
        request_id: The service's id of the request, for a support case.
        attempts: The number of requests that were sent; may be 0.
        elapsed: The duration of the whole call in seconds, waiting included.
        source: The source of the answer: ``"service"``, ``"cache"``, ``"fallback"`` or ``"local"``.
        unfiltered: ``True`` if a fallback ignored the filter of the request, as it was allowed to.
    """

    request_id: str | None = None
    attempts: int = 0
    elapsed: float = 0.0
    source: Source = "service"
    unfiltered: bool = False

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: Any) -> Any:
        from personalize_rt import schemas

        return schemas.schema_of_object(cls, handler)


_NO_INFO = ResponseInfo()


def _without_frames(error: PersonalizeError | None) -> PersonalizeError | None:
    """A copy without traceback and chain, so that a kept result does not keep the caller's frames alive."""
    return None if error is None else copy.copy(error)


def _column(values: Iterable[Any] | None, empty: object) -> tuple[Any, ...] | None:
    """A column, or ``None`` if no row has a value, as in most answers."""
    if values is None:
        return None
    column = tuple(values)
    return column if any(value != empty for value in column) else None


def _promotion_column(values: Iterable[str | None] | None) -> tuple[str | None, ...] | None:
    return _column(values, None)


def _metadata_column(values: Iterable[Mapping[str, str] | None] | None) -> tuple[Metadata, ...] | None:
    return _column(None if values is None else map(_as_metadata, values), _NO_METADATA)


def _reason_column(values: Iterable[Iterable[str]] | None) -> tuple[tuple[str, ...], ...] | None:
    return _column(None if values is None else map(strings, values), ())


def _id_column(values: Iterable[str | None] | None) -> tuple[str | None, ...] | None:
    return None if values is None else tuple(values)


def _score_column(values: Iterable[float | None] | Callable[[], Scores] | None) -> Scores | Callable[[], Scores]:
    # Until the columns are checked, None stands for scores that were not given.
    return cast("Scores", values) if values is None or callable(values) else tuple(values)


RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")

# A cached answer keeps its id. Those of a fallback (a stale answer, too) and of the local re-ranker are none that the
# service should learn from, nor count.
_OF_THE_SERVICE = ("service", "cache")

# The fields of results that have a value for each row.
COLUMNS = frozenset(
    {"item_ids", "action_ids", "_scores", "_promotion_names", "_metadata", "_reasons", "_rules", "_row_ids"}
    | {"recommendation_ids"}  # of long rankings
)

_IDS = ("item_ids", "action_ids")
_OF_ROWS = COLUMNS - {*_IDS, "recommendation_ids"}
# The name of a field, where attrs' own functions show something else than what it holds.
_SHOWN_AS = {"item_ids": "rows", "action_ids": "rows", "_cause": "cause", "_input_list": "missing"}


def fields_of(kind: type[Any]) -> tuple[Any, ...]:
    """The fields that a class of results has. ``attrs.fields`` gives those that it shows."""
    return _held_fields(cast("Any", kind))


@cache
def _held_fields(kind: Any) -> tuple[Any, ...]:
    for base in kind.__mro__:
        fields: Any = base.__dict__.get("__attrs_attrs__")
        if type(fields) is not _ShownFields and fields is not None:
            held: tuple[Any, ...] = fields
            return held
    return ()


@cache
def _shown_fields(kind: Any) -> Any:
    held = [field for field in fields_of(kind) if field.name not in _OF_ROWS]
    held.sort(key=lambda field: field.name not in _IDS)  # rows come first
    # What is marked as inherited, attrs does not take over into a subclass.
    shown: dict[str, Any] = {}
    for field in held:
        name = str(_SHOWN_AS.get(field.name, field.name))
        shown[name] = field.evolve(name=name, alias=field.alias, inherited=True)
    return cast("Any", namedtuple)(f"{kind.__name__}Attributes", shown)(**shown)


class _ShownFields:
    """The fields that attrs' own functions know of a result: its rows, and what is known of it as a whole.

    ``attrs.asdict`` writes what is there, instead of columns that may not be computed yet; ``attrs.evolve`` hands rows
    to the constructor, which takes them apart.
    """

    def __get__(self, _: object, kind: type) -> Any:
        return _shown_fields(kind)


class Shown:
    """Mixin of the public results, which stands before the class with their fields."""

    __slots__ = ()

    if not TYPE_CHECKING:
        __attrs_attrs__ = _ShownFields()


def evolved(answer: AnswerT, **changes: Any) -> AnswerT:
    """A copy of an answer with other values for some arguments, column by column; ``attrs.evolve`` goes by rows."""
    for field in fields_of(type(answer)):
        if field.alias not in changes:
            changes[field.alias] = getattr(answer, field.name)
    return type(answer)(**changes)


# service.md section 3.10, and the ids of the embedded service
_RECOMMENDATION_ID = "RID(?:-[0-9A-Za-z]+)*"


# Those of the public results have no fields of their own: msgspec would write just these, and leave the scores out.


@attrs.frozen(eq=False, repr=False)
class BaseAnswer(Sequence[RowT]):
    """Base of the three results: a sequence of rows with an id and a score, and facts on the call."""

    _scores: Scores | Callable[[], Scores] = attrs.field(
        default=None, kw_only=True, alias="scores", converter=_score_column
    )
    recommendation_id: str | None = attrs.field(default=None, kw_only=True)
    info: ResponseInfo = attrs.field(default=_NO_INFO, kw_only=True)
    degraded: bool = attrs.field(default=False, kw_only=True)
    _cause: PersonalizeError | None = attrs.field(default=None, kw_only=True, alias="cause", converter=_without_frames)
    _rules: tuple[tuple[str, ...], ...] | None = attrs.field(
        default=None, kw_only=True, alias="rules", converter=_reason_column
    )
    # Where not all rows came with the answer: for each, the id of the answer that it came with, or None.
    _row_ids: tuple[str | None, ...] | None = attrs.field(
        default=None, kw_only=True, alias="row_ids", converter=_id_column
    )

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name == "_row_ids":
                return None  # of an answer pickled by version 0.1
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def cause(self) -> PersonalizeError | None:
        """The error for which a fallback answered, or ``None``."""
        # A copy, because raising an exception attaches a traceback to it.
        return _without_frames(self._cause)

    @property
    def _ids(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _row(self, index: int) -> RowT:
        raise NotImplementedError

    def _rows(self, part: slice) -> Iterator[RowT]:
        raise NotImplementedError

    @property
    def rows(self) -> tuple[RowT, ...]:
        """All rows. ``attrs.asdict`` and ``attrs.evolve`` of a result go by them."""
        return tuple(self)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """The score of each row, or ``None``."""
        scores: Scores | Callable[[], Scores] = self._scores
        if callable(scores):
            scores = tuple(scores())
            self._check_columns(scores=scores)
            object.__setattr__(self, "_scores", scores)
        return scores

    def came_with(self) -> Iterable[str | None]:
        """For each row, the ``recommendation_id`` of the answer that it came with: of many rows without making them.

        Without an end where all rows came with one answer.
        """
        return self._came_with(slice(None))

    def _came_with(self, part: slice) -> Iterable[str | None]:
        if self._row_ids is not None:
            return self._row_ids[part]
        return repeat(self.recommendation_id if self.info.source in _OF_THE_SERVICE else None)

    def _check_columns(self, **columns: tuple[Any, ...] | None) -> None:
        for name, column in columns.items():
            if column is not None and len(column) != len(self._ids):
                raise ValueError(f"{name} has {len(column)} rows, the ids have {len(self._ids)}")

    def _take_rows(self, ids: str, id: str, **columns: str) -> None:
        """Take columns from rows, where the caller gave these instead of ids; without scores, no row has one."""
        rows: tuple[Any, ...] = getattr(self, ids)
        found: dict[str, Any] = {}
        if rows and isinstance(rows[0], BaseRow):
            if not all(isinstance(row, type(rows[0])) for row in rows):
                raise TypeError(f"{ids} has rows and what is none: give all rows, or all ids")
            found[ids] = tuple(getattr(row, id) for row in rows)
            columns |= {"_scores": "score", "_rules": "rules"}
            for column, name in columns.items():
                values = tuple(getattr(row, name) for row in rows)
                found[column] = values if column == "_scores" or any(values) else None
            came_with = tuple(row.recommendation_id for row in rows)
            if len({*came_with}) > 1 or (self.recommendation_id is None and came_with[0] is not None):
                found["_row_ids"] = came_with
        elif self._scores is None:  # pyright: ignore[reportUnnecessaryComparison] - see _score_column
            found["_scores"] = (None,) * len(rows)
        for name, values in found.items():
            if name == ids or getattr(self, name) is None:  # what the caller gave counts
                object.__setattr__(self, name, values)

    def _answered(self) -> tuple[object, ...]:
        return self._ids, self.scores, self.recommendation_id

    def position(self, id: str, /) -> int | None:
        """The place of an id, from 0, or ``None`` if the answer lacks it."""
        return self._ids.index(id) if id in self._ids else None

    def get(self, id: str, /) -> RowT | None:
        """The row of an id, or ``None`` if the answer lacks it."""
        position = self.position(id)
        return None if position is None else self._row(position)

    def _part(self, part: slice) -> Self:
        """The rows of a slice, with what is known of the whole answer."""
        changes: dict[str, Any] = {}
        for field in fields_of(type(self)):
            if field.name in COLUMNS:
                column = self.scores if field.name == "_scores" else getattr(self, field.name)
                if column is not None:
                    changes[field.alias] = column[part]
        return evolved(self, **changes)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> RowT | Self:
        if isinstance(index, slice):
            return self._part(index)
        if isinstance(index, str):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
            raise TypeError(
                f"a {type(self).__name__} gives rows by place, not by id: use .get(id) for a row, .position(id) for "
                "its place"
            )
        return self._row(index)

    def __iter__(self) -> Iterator[RowT]:
        return self._rows(slice(None))

    def __contains__(self, row: object) -> bool:
        if isinstance(row, str):
            raise TypeError(f"a {type(self).__name__} holds rows, not ids: use .position(id) is not None, or .get(id)")
        return super().__contains__(row)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._answered() == other._answered()

    def __hash__(self) -> int:
        return hash((type(self), self._ids, self.scores, self.recommendation_id))

    def __repr__(self) -> str:
        shown = [f"{id}: {score}" for id, score in zip(self._ids[:3], self.scores, strict=False)]
        if len(self) > len(shown):
            shown.append(f"… {len(self) - len(shown)} more")
        degraded = ", degraded" if self.degraded else ""
        recommendation_id = self.recommendation_id
        if recommendation_id is not None and not re.fullmatch(_RECOMMENDATION_ID, recommendation_id):
            recommendation_id = MASK
        return f"{type(self).__name__}([{', '.join(shown)}], recommendation_id={recommendation_id!r}{degraded})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        _ = self.scores  # computes them: before, they are a closure, which cannot be pickled
        return super().__reduce_ex__(protocol)

    # Display and conversion are delegated to `notebook/`. `self: Any`, since its functions take the three public
    # classes only.

    def to_json(self) -> str:
        """Write the answer as JSON; see :mod:`personalize_rt.encode` for its members."""
        from personalize_rt import encode

        return encode.to_json(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: Any) -> Any:
        from personalize_rt import schemas

        return schemas.schema_of_result(cls, handler)

    def to_dicts(self: Any, *, metadata_columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Convert the rows to dicts of plain values; see :mod:`personalize_rt.notebook.frames` for the columns."""
        from personalize_rt.notebook import frames

        return frames.to_dicts(self, metadata_columns=metadata_columns)

    def to_pandas(self: Any, *, metadata_columns: Iterable[str] | None = None) -> Any:
        """Convert to a ``pandas.DataFrame``; see :mod:`personalize_rt.notebook.frames` for the columns."""
        from personalize_rt.notebook import frames

        return frames.to_pandas(self, metadata_columns=metadata_columns)

    def to_polars(self: Any, *, metadata_columns: Iterable[str] | None = None) -> Any:
        """Convert to a ``polars.DataFrame``; see :mod:`personalize_rt.notebook.frames` for the columns."""
        from personalize_rt.notebook import frames

        return frames.to_polars(self, metadata_columns=metadata_columns)

    def to_arrow(self: Any, *, metadata_columns: Iterable[str] | None = None) -> Any:
        """Convert to a ``pyarrow.Table``; see :mod:`personalize_rt.notebook.frames` for the columns."""
        from personalize_rt.notebook import frames

        return frames.to_arrow(self, metadata_columns=metadata_columns)

    def __arrow_c_stream__(self: Any, requested_schema: object | None = None) -> object:
        from personalize_rt.notebook import frames

        return frames.arrow_stream(self, requested_schema)

    def _repr_html_(self: Any) -> str:
        from personalize_rt.notebook import html

        return html.html_of(self)

    def __rich_console__(self: Any, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.notebook import terminal

        return terminal.result_lines(self, options)

    def compare(
        self: Any,
        other: Recommendations | Ranking | ActionRecommendations,
        *,
        k: int = 10,
        p: float = 0.9,
        labels: tuple[str, str] = ("before", "after"),
        items: object = None,
    ) -> Comparison:
        """Compare this answer with another one; see :func:`personalize_rt.notebook.compare`."""
        from personalize_rt.notebook.compare import check_answer, compare

        check_answer(other, "other")
        return compare(self, other, k=k, p=p, labels=labels, items=items)

    # Rules of the caller: one-line doors to `rerank/rules.py`.

    def pin(self, places: Mapping[str, int]) -> Self:
        """Put rows at places, from 0; see :func:`personalize_rt.rerank.rules.pin`."""
        from personalize_rt.rerank.rules import pin

        return cast("Self", pin(cast("Any", self), places))

    def boost(self, factors: Mapping[str, float]) -> Self:
        """Order by score times a factor; see :func:`personalize_rt.rerank.rules.boost`."""
        from personalize_rt.rerank.rules import boost

        return cast("Self", boost(cast("Any", self), factors))

    def without(self, ids: Iterable[str]) -> Self:
        """Take rows out; see :func:`personalize_rt.rerank.rules.without`."""
        from personalize_rt.rerank.rules import without

        return cast("Self", without(cast("Any", self), ids))

    def plot_scores(self: Any, *, ax: Any = None) -> Any:
        """Draw the score at each place; see :func:`personalize_rt.notebook.plots.score_curve`."""
        from personalize_rt.notebook import plots

        return plots.score_curve(self, ax=ax)


@attrs.frozen(eq=False, repr=False)
class _Items(BaseAnswer[PredictedItem]):
    """Base of the two results whose rows are items."""

    item_ids: tuple[str, ...] = attrs.field(converter=_item_ids)
    _promotion_names: tuple[str | None, ...] | None = attrs.field(
        default=None, kw_only=True, alias="promotion_names", converter=_promotion_column
    )
    _metadata: tuple[Metadata, ...] | None = attrs.field(
        default=None, kw_only=True, alias="metadata", converter=_metadata_column
    )
    _reasons: tuple[tuple[str, ...], ...] | None = attrs.field(
        default=None, kw_only=True, alias="reasons", converter=_reason_column
    )

    def __attrs_post_init__(self) -> None:
        unset = self._scores is None  # pyright: ignore[reportUnnecessaryComparison] - see _score_column
        if unset or (self.item_ids and type(self.item_ids[0]) is not str):
            self._take_rows(
                "item_ids", "item_id", _promotion_names="promotion_name", _metadata="metadata", _reasons="reason"
            )
        self._check_columns(
            scores=None if callable(self._scores) else self._scores,
            promotion_names=self._promotion_names,
            metadata=self._metadata,
            reasons=self._reasons,
            rules=self._rules,
            row_ids=self._row_ids,
        )

    @property
    def _ids(self) -> tuple[str, ...]:
        return self.item_ids

    def _row(self, index: int) -> PredictedItem:
        id, part = self.item_ids[index], slice(index, index + 1 or None)
        return PredictedItem(
            id,
            self.scores[index],
            None if self._promotion_names is None else self._promotion_names[index],
            _NO_METADATA if self._metadata is None else self._metadata[index],
            () if self._reasons is None else self._reasons[index],
            () if self._rules is None else self._rules[index],
            next(iter(self._came_with(part))),
        )

    def _rows(self, part: slice) -> Iterator[PredictedItem]:
        # Column by column, which makes many rows quickly.
        ids, scores = self.item_ids[part], self.scores[part]
        names = repeat(None) if self._promotion_names is None else self._promotion_names[part]
        metadata = repeat(_NO_METADATA) if self._metadata is None else self._metadata[part]
        reasons = repeat(()) if self._reasons is None else self._reasons[part]
        rules = repeat(()) if self._rules is None else self._rules[part]
        return map(PredictedItem, ids, scores, names, metadata, reasons, rules, self._came_with(part))

    def _answered(self) -> tuple[object, ...]:
        return *super()._answered(), self._promotion_names, self._metadata, self._reasons

    def diversify(self, *, by: str, at_most: int = 1, within: int | None = None, items: object = None) -> Self:
        """Keep items of one kind apart; see :func:`personalize_rt.rerank.rules.diversify`."""
        from personalize_rt.rerank.rules import diversify

        return cast("Self", diversify(cast("Any", self), by=by, at_most=at_most, within=within, items=items))

    def mmr(self, similarity: Callable[[str, str], float], *, trade_off: float = 0.7, k: int = 25) -> Self:
        """Choose the first ``k`` by relevance and variety; see :func:`personalize_rt.rerank.rules.mmr`."""
        from personalize_rt.rerank.rules import mmr

        return cast("Self", mmr(cast("Any", self), similarity, trade_off=trade_off, k=k))

    def blend(self, original: Iterable[str] | Ranking | Recommendations, weight: float) -> Self:
        """Mix this order with that of a search; see :func:`personalize_rt.rerank.blend.blend`."""
        from personalize_rt.rerank.blend import blend

        return cast("Self", blend(cast("Any", self), original, weight))

    def plot_distribution(self: Any, column: str, *, items: object = None, top: int = 15, ax: Any = None) -> Any:
        """Draw the values of a metadata column; see :func:`personalize_rt.notebook.plots.metadata_distribution`."""
        from personalize_rt.notebook import plots

        return plots.metadata_distribution(self, column, items=items, top=top, ax=ax)


class Recommendations(Shown, _Items):
    """The answer of GetRecommendations: items in the service's order, best first.

    An immutable sequence of :class:`PredictedItem`. The service chooses the places of promoted items.

    Args:
        item_ids: The items, in order; or rows, of which the other columns are taken unless they are given.
        scores: A score for each, or ``None``; or a function that returns the scores, called when they are first read.
            By default none has a score.
        promotion_names: The promotion of each item, or ``None``.
        metadata: The metadata of each item.
        reasons: The reasons of each item.
        recommendation_id: The id to send back with the events that the answer leads to (PutEvents).
        info: Facts on the call.
        degraded: ``True`` if a fallback answered.
        cause: The error for which a fallback answered; kept without traceback.
    """

    __slots__ = ()

    @classmethod
    def from_response(cls, response: Mapping[str, Any], *, info: ResponseInfo | None = None) -> Recommendations:
        """Make a result from the reply of any boto3 client's ``get_recommendations(...)``.

        ``null`` and unknown members are tolerated; a list that is ``null`` is an empty one.

        Raises:
            ResponseError: A member does not conform to the service's model; the message names it.
        """
        return cls(**read_head(response, info), **_read_items(response, "itemList"))

    def to_response(self) -> dict[str, Any]:
        """Convert to the reply that boto3 would return: the inverse of :meth:`from_response`."""
        return written(self, "itemList", map(_write_item, self))


@attrs.frozen(eq=False, repr=False)
class _Ranked(_Items):
    """Base of :class:`Ranking`, with the fields of it."""

    _input_list: tuple[str, ...] = attrs.field(default=(), kw_only=True, alias="input_list", converter=strings)


class Ranking(Shown, _Ranked):
    """The answer of GetPersonalizedRanking: the items of the request, best first.

    An immutable sequence of :class:`PredictedItem`. Items that the model does not know stand at the end, in the
    order of the request, without a score (service.md section 3.5).

    Args:
        item_ids: The items, in order; or rows, of which the other columns are taken unless they are given.
        scores: A score for each, or ``None``; or a function that returns the scores, called when they are first read.
            By default none has a score.
        promotion_names: The promotion of each item, or ``None``.
        metadata: The metadata of each item.
        reasons: The reasons of each item.
        input_list: The items of the request, if known.
        recommendation_id: The id to send back with the events that the answer leads to (PutEvents).
        info: Facts on the call.
        degraded: ``True`` if a fallback answered.
        cause: The error for which a fallback answered; kept without traceback.
    """

    __slots__ = ()

    def _part(self, part: slice) -> Self:
        shown = super()._part(part)
        # What a filter took out stays so; what is cut off here was not taken out.
        return evolved(shown, input_list=(*shown.item_ids, *self.missing)) if self._input_list else shown

    @property
    def unscored(self) -> tuple[str, ...]:
        """The items that the model does not know, in the order of the request."""
        return tuple(id for id, score in zip(self.item_ids, self.scores, strict=True) if score is None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The distinct items of the request that the answer lacks, in the order of the request.

        They were removed by a filter. Empty if the ranking does not know its request.
        """
        answered = set(self.item_ids)
        return tuple(id for id in dict.fromkeys(self._input_list) if id not in answered)

    @classmethod
    def from_response(
        cls,
        response: Mapping[str, Any],
        *,
        input_list: Iterable[str] = (),
        info: ResponseInfo | None = None,
    ) -> Ranking:
        """Make a result from the reply of any boto3 client's ``get_personalized_ranking(...)``.

        ``null`` and unknown members are tolerated; a list that is ``null`` is an empty one.

        Args:
            response: The reply.
            input_list: The items of the request, for :attr:`missing`.
            info: Facts on the call.

        Raises:
            ResponseError: A member does not conform to the service's model; the message names it.
        """
        head = read_head(response, info)
        return cls(**head, **_read_items(response, "personalizedRanking"), input_list=input_list)

    def to_response(self) -> dict[str, Any]:
        """Convert to the reply that boto3 would return: the inverse of :meth:`from_response`."""
        return written(self, "personalizedRanking", map(_write_item, self))


# Reading and writing the wire form (service.md sections 3.1 and 5.2).


def _kind(value: Any) -> str:
    return "null" if value is None else describe(value)


def read_head(response: Mapping[str, Any], info: ResponseInfo | None) -> dict[str, Any]:
    if not isinstance(response, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from outside
        raise ResponseError(f"the reply is {_kind(response)}, not an object")
    recommendation_id = response.get("recommendationId")
    if recommendation_id is not None and not isinstance(recommendation_id, str):
        raise ResponseError(f"recommendationId is {_kind(recommendation_id)}, not a string")
    if info is None:
        info = _read_info(response.get("ResponseMetadata"))
    return {"recommendation_id": recommendation_id, "info": info}


def _read_info(head: Any) -> ResponseInfo:
    if not isinstance(head, dict):
        return _NO_INFO
    head = cast("dict[str, Any]", head)
    request_id, retries = head.get("RequestId"), head.get("RetryAttempts", 0)
    return ResponseInfo(
        request_id if isinstance(request_id, str) else None, attempts=retries + 1 if isinstance(retries, int) else 1
    )


def read_rows(
    response: Mapping[str, Any], member: str, id_member: str
) -> tuple[list[str], list[float | None], list[dict[str, Any]]]:
    rows: Any = response.get(member)
    if rows is None:
        if member not in response and "recommendationId" not in response:
            # botocore returns such a reply for a body that is not JSON, or not of Personalize.
            raise ResponseError(f"neither {member} nor recommendationId is in the reply: is the endpoint Personalize?")
        rows = []
    elif isinstance(rows, Columns):
        return rows.ids, rows.scores, []  # checked by the decoder
    elif not isinstance(rows, list):
        raise ResponseError(f"{member} is {_kind(rows)}, not a list")
    rows = cast("list[Any]", rows)
    # The common case in a few passes at C speed. The loop below finds a wrong member, and converts ints to floats.
    try:
        ids = [row[id_member] for row in rows]
        scores = [row.get("score") for row in rows]
        if set(map(type, ids)) <= _STRING and set(map(type, scores)) <= _SCORE and isfinite(fsum(filter(None, scores))):
            return ids, scores, rows
    except (AttributeError, KeyError, TypeError, OverflowError, ValueError):
        pass
    for index, row in enumerate(rows):
        _check_row(row, f"{member}[{index}]", id_member)
    return [row[id_member] for row in rows], [_as_score(row.get("score")) for row in rows], rows


_STRING = {str}
_SCORE = {float, NoneType}


def _check_row(row: Any, where: str, id_member: str) -> None:
    if not isinstance(row, dict):
        raise ResponseError(f"{where} is {_kind(row)}, not a structure")
    row = cast("dict[str, Any]", row)
    id = row.get(id_member)
    if not isinstance(id, str):
        raise ResponseError(f"{where}.{id_member} is {_kind(id)}, not a string")
    score = row.get("score")
    if score is None:
        return
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise ResponseError(f"{where}.score is {_kind(score)}, not a number")
    if not isfinite(_as_score(score) or 0.0):
        raise ResponseError(f"{where}.score is not finite")


def _as_score(score: Any) -> float | None:
    try:
        return None if score is None else float(score)
    except OverflowError:
        return inf


def _read_items(response: Mapping[str, Any], member: str) -> dict[str, Any]:
    ids, scores, rows = read_rows(response, member, "itemId")
    columns: dict[str, Any] = {"item_ids": ids, "scores": scores}
    if not rows or (max(map(len, rows)) <= 2 and None not in scores):
        return columns  # the rows have no other members
    names = [row.get("promotionName") for row in rows]
    if _says_something(names):
        columns["promotion_names"] = [_read_promotion(name, f"{member}[{n}]") for n, name in enumerate(names)]
    metadata = [row.get("metadata") for row in rows]
    if _says_something(metadata):
        columns["metadata"] = _read_metadata_column(metadata, member)
    reasons = [row.get("reason") for row in rows]
    if _says_something(reasons):
        columns["reasons"] = [_read_reason(reason, f"{member}[{n}]") for n, reason in enumerate(reasons)]
    return columns


def _says_something(column: list[Any]) -> bool:
    return column.count(None) < len(column)


def _read_promotion(name: Any, where: str) -> str | None:
    if name is not None and not isinstance(name, str):
        raise ResponseError(f"{where}.promotionName is {_kind(name)}, not a string")
    return name


def _read_metadata_column(column: list[Any], member: str) -> list[Mapping[str, str] | None]:
    # The common case without a call for each row: maps of texts.
    if set(map(type, column)) <= {dict, NoneType}:
        maps = cast("list[dict[str, object]]", [each for each in column if each])
        if {type(value) for each in maps for value in each.values()} <= _STRING:
            return column
    return [_read_metadata(metadata, f"{member}[{n}]") for n, metadata in enumerate(column)]


def _read_metadata(metadata: Any, where: str) -> Mapping[str, str] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise ResponseError(f"{where}.metadata is {_kind(metadata)}, not a map")
    values: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", metadata).items():
        if isinstance(value, str):
            values[name] = value
        elif isinstance(value, int | float):
            # By the model, values are strings; a published example has a number (service.md section 3.8).
            values[name] = str(value).lower()
        elif value is not None:
            raise ResponseError(f"{where}.metadata[{_shown_name(name)!r}] is {_kind(value)}, not a string")
    return values


def _read_reason(reason: Any, where: str) -> tuple[str, ...]:
    if reason is None:
        return ()
    if not isinstance(reason, list) or not all(isinstance(text, str) for text in cast("list[object]", reason)):
        raise ResponseError(f"{where}.reason is {_kind(reason)}, not a list of strings")
    return tuple(cast("list[str]", reason))


def optional_members(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _write_item(item: PredictedItem) -> dict[str, Any]:
    return {"itemId": item.item_id} | optional_members(
        score=item.score,
        promotionName=item.promotion_name,
        metadata=dict(item.metadata) or None,
        reason=list(item.reason) or None,
    )


def written(answer: BaseAnswer[Any], member: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {member: list(rows)} | optional_members(recommendationId=answer.recommendation_id)


if not TYPE_CHECKING:

    def __getattr__(name):
        # Most programs ask for no actions, and need not pay for their classes.
        if name in ("ActionRecommendations", "PredictedAction"):
            from personalize_rt import actions

            return getattr(actions, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
