"""The columns of a DataFrame that a job reads and repeats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from personalize_rt.bulk.spark.answers import RESULT_COLUMNS, result_type
from personalize_rt.bulk.spark.worker import Reading
from personalize_rt.columns import find_column
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.redaction import describe

__all__ = ["Frame"]


class Frame:
    """A Spark DataFrame, and the columns of it that a job reads.

    Args:
        df: The DataFrame.
        purpose: The feature that needs it; the error for a missing package begins with it.
    """

    def __init__(self, df: Any, purpose: str) -> None:
        for package in ("pyspark", "pyarrow", "pandas"):  # mapInArrow requires pandas
            need(package, "spark", purpose)
        if not hasattr(df, "mapInArrow"):
            raise ValidationError(f"df is {describe(df)}, not a DataFrame of Spark", parameter="df")
        self.session: Any = df.sparkSession
        self._df = df
        self._names: list[str] = list(df.columns)
        # The distinct columns to send to Python: name to index.
        self._places: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._context: dict[str, int] = {}
        self._filter_values: dict[str, int] = {}
        self._fields: list[Any] = []

    def take_id(self, argument: str, column: str) -> None:
        """Read an id from a column of strings."""
        self._ids[argument] = self._place(column, f"{argument.removesuffix('_id')}_column", "string")

    def take_list(self, column: str | None) -> None:
        """Read the list to rank from a column of arrays of strings."""
        # By default, the name is that of the argument, or that of batch inference.
        name = find_column(self._names, ("input_list", "item_list"), "df") if column is None else column
        self._ids["input_list"] = self._place(name, "input_list_column", "array<string>")

    def take_values(self, context: Mapping[str, str] | None, filter_values: Mapping[str, str] | None) -> None:
        """Read the context and filter values from columns."""
        for name, column in _pairs(context, "context_columns"):
            self._context[name] = self._place(column, "context_columns", "string")
        for name, column in _pairs(filter_values, "filter_value_columns"):
            self._filter_values[name] = self._place(column, "filter_value_columns", None)

    def _place(self, column: Any, parameter: str, wanted: str | None) -> int:
        name = self._find(column, parameter)
        kind: str = self._df.schema[name].dataType.simpleString()
        plain = re.sub(r"(?:var)?char\(\d+\)|string collate \w+", "string", kind, flags=re.IGNORECASE)
        if wanted not in (None, plain):
            raise ValidationError(
                f"{parameter}: the column {name!r} is of type {kind}, not {wanted}; ids and contexts are text, as the "
                f"data set spells it: df.withColumn({name!r}, df[{name!r}].cast({wanted!r}))",
                parameter=parameter,
            )
        return self._places.setdefault(name, len(self._places))

    def _find(self, column: Any, parameter: str) -> str:
        if not isinstance(column, str):
            raise ValidationError(f"{parameter} is {describe(column)}, not the name of a column", parameter=parameter)
        name = column if column in self._names else find_column(self._names, (column,), "df")
        if self._names.count(name) > 1:
            raise ValidationError(f"df has {self._names.count(name)} columns {name!r}: rename one", parameter="df")
        return name

    def reading(self, keep: Iterable[str] | None) -> Reading:
        """The mapping from columns to arguments, for the tasks.

        Args:
            keep: The columns that the output repeats; ``None`` for all.
        """
        if isinstance(keep, str):
            raise ValidationError("keep is a str: it takes a list of column names", parameter="keep")
        kept = list(dict.fromkeys(self._find(name, "keep") for name in (self._names if keep is None else keep)))
        clashes = sorted(name for name in kept if name.lower() in RESULT_COLUMNS)
        if clashes:
            raise ValidationError(
                f"df has a column {clashes[0]!r}, and so has the result: rename it, or leave it out of keep",
                parameter="keep",
            )
        self._fields = [self._df.schema[name] for name in kept]
        places = {name: self._places.setdefault(name, len(self._places)) for name in kept}
        return Reading(self._ids, self._context, self._filter_values, places)

    def selected(self) -> Any:
        """Select only the columns that are read or repeated, under names that are safe for Spark."""
        columns = ["`{}` AS c{}".format(name.replace("`", "``"), place) for name, place in self._places.items()]
        return self._df.selectExpr(*(columns or ["0 AS c0"]))

    def mapped(self, df: Any, function: Callable[[Iterable[Any]], Iterable[Any]]) -> Any:
        """Map a function over a DataFrame of the columns of :meth:`selected`."""
        StructType = need("pyspark.sql.types", "spark", "A result").StructType  # noqa: N806
        return df.mapInArrow(function, StructType([*self._fields, *result_type(self.session).fields]))

    def parallelism(self) -> int:
        """The number of tasks that the cluster runs at once, as far as Spark knows.

        Raises:
            ValidationError: It is unknown, since Spark Connect does not tell.
        """
        try:
            return int(self.session.sparkContext.defaultParallelism)
        except (AttributeError, NotImplementedError):
            pass
        raise ValidationError(
            "Spark Connect does not say how many cores there are: give partitions, the number of tasks that may ask at "
            "once",
            parameter="partitions",
        )

    def sample(self) -> dict[str, Any]:
        """Make sample arguments like those of a row, for a check of the constant ones."""
        sample: dict[str, Any] = {name: ["x"] if name == "input_list" else "x" for name in self._ids}
        return sample | {"context": dict.fromkeys(self._context, "x"), "values": dict.fromkeys(self._filter_values, 1)}


def _pairs(columns: Any, parameter: str) -> Iterable[tuple[str, str]]:
    if columns is None:
        return ()
    if not isinstance(columns, Mapping):
        raise ValidationError(
            f"{parameter} is {describe(columns)}, not a mapping of names to columns", parameter=parameter
        )
    return cast("Mapping[str, str]", columns).items()
