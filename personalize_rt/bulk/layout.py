"""The columns of a CSV or Parquet file, and what each is in a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Never

import attrs

from personalize_rt import checks
from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters.values import encode
from personalize_rt.limits import Limits
from personalize_rt.names import canonical
from personalize_rt.redaction import describe

__all__ = ["COLUMNS", "Columns", "Layout", "Unreadable", "column_of", "shown_name"]

# The members that can be columns by their own name.
COLUMNS: Mapping[str, str] = {
    "userid": "userId",
    "itemid": "itemId",
    "itemlist": "itemList",
    "numresults": "numResults",
}
# The arguments that columns can be mapped to, beside those; each with a name of its own after the point.
_NAMED: Mapping[str, str] = {"context": "context", "filter_values": "filterValues"}
_IDS = ("userId", "itemId", "itemList")
# The most digits of a whole number in a column, so that it has 64 bits and is read quickly.
_DIGITS = 18
_NUMBER = re.compile(r"-?\d{1,300}(\.\d{1,300})?", re.ASCII)
_OFF = Limits.off()


class Unreadable(Exception):  # noqa: N818 - the problem of a row, not an error of the program
    """A cell does not fit its member.

    Args:
        problem: The problem, without the value.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@attrs.frozen
class Columns:
    """The caller's description of the columns.

    Attributes:
        named: Argument to column: ``{"user_id": "UID", "context.DEVICE": "device", "filter_values.GENRE": "genre"}``.
        ignored: The columns to leave out.
    """

    named: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ignored: Sequence[str] = ()

    @classmethod
    def checked(cls, columns: Any, ignore: Any) -> Columns:
        """Check the arguments ``columns`` and ``ignore_columns``.

        Raises:
            ValidationError: One of them has another form.
        """
        if columns is not None and not isinstance(columns, Mapping):
            raise ValidationError(
                f"columns is {describe(columns)}, not a mapping of arguments to columns", parameter="columns"
            )
        given: Any = columns or {}  # pyright: ignore[reportUnknownVariableType]
        named: dict[Any, Any] = dict(given)
        for argument, column in named.items():
            if not isinstance(argument, str) or not isinstance(column, str):
                raise ValidationError("columns maps texts to texts", parameter="columns")
        return cls(named, tuple(checks.listed(ignore, "ignore_columns", "column names", "name")))

    def __bool__(self) -> bool:
        return bool(self.named or self.ignored)


@attrs.frozen
class _Target:
    """The place of a cell in a row.

    Attributes:
        member: The member of the row.
        name: The name within it, for ``context`` and ``filterValues``.
        is_number: Whether a text is a number, for filter values.
    """

    member: str
    name: str = ""
    is_number: bool = False

    def put(self, members: dict[str, Any], cell: Any) -> None:
        """Put a cell that is not null into a row.

        Raises:
            Unreadable: It does not fit.
        """
        if self.member == "filterValues":
            members.setdefault(self.member, {})[self.name] = self._encoded(cell)
        elif self.member == "context":
            members.setdefault(self.member, {})[self.name] = _as_text(cell)
        elif self.member == "itemList":
            parts: Any = cell.split("|") if isinstance(cell, str) else cell
            members[self.member] = list(map(_as_text, parts)) if isinstance(parts, list) else _as_text(parts)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif self.member == "numResults":
            members[self.member] = self._whole(cell) if isinstance(cell, str) else cell
        else:
            members[self.member] = _as_text(cell)

    def cell(self, members: Mapping[str, Any]) -> str:
        """The cell of CSV that :meth:`put` made a row of."""
        value: Any = members.get(self.member)
        if self.name:
            named: Mapping[str, str] = value or {}
            text = named.get(self.name, "")
            if self.member == "filterValues":
                # Texts stand in quotation marks, and hold none (service.md section 2.2).
                between = '","' if text.startswith('"') else ","
                text = text.removeprefix('"').removesuffix('"').replace(between, "|")
            return text
        if value is None:
            return ""
        return "|".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    def _encoded(self, cell: Any) -> str:
        value: Any = cell.split("|") if isinstance(cell, str) else cell
        if self.is_number and isinstance(cell, str):
            if not all(map(_NUMBER.fullmatch, value)):
                raise Unreadable(f"the filter value {self.name} is not a number")
            value = list(map(Decimal, value))
        if isinstance(value, list) and len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
            value = value[0]  # pyright: ignore[reportUnknownVariableType]
        try:
            return encode(value, parameter=self.name, limits=_OFF)  # pyright: ignore[reportUnknownArgumentType]
        except FilterValuesError as error:
            problem = error.message
        raise Unreadable(problem)

    def _whole(self, cell: str) -> int:
        if not (cell.isascii() and cell.isdigit()):
            raise Unreadable(f"{self.member} is not a whole number")
        if len(cell) > _DIGITS:
            raise Unreadable(f"{self.member} is a whole number of {len(cell):,} digits")
        return int(cell)


def _as_text(cell: Any) -> Any:
    """An integer as text, as data sets spell ids; all else is left to the checks of the request."""
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


class Layout:
    """The columns of a file.

    Args:
        names: The names in the file.
        kind: The operation.
        members: The members that the operation reads.
        where: The file, and the line of its header, for errors.
        columns: What the caller says of them.
        surely: Whether the names are sure to be names. The first line of CSV may be a row of data, whose values are not
            shown unless another name in it is known.

    Raises:
        ValidationError: A column is unknown, there twice, or absent.
    """

    def __init__(
        self, names: Sequence[str], kind: str, members: Iterable[str], where: str, columns: Columns, *, surely: bool
    ) -> None:
        self.names: list[str] = list(names)
        self._where = where
        self._kind = kind
        self._wanted = [name for name in members if name in COLUMNS.values()]
        self._columns = columns
        mapped = self._mapped()
        given = {target.member for targets in mapped.values() for target in targets}
        self._targets: list[tuple[_Target, ...]] = []
        unknown: list[str] = []
        for name in self.names:
            member = COLUMNS.get(canonical(name))
            if name in mapped:
                self._targets.append(tuple(mapped[name]))
            elif name in columns.ignored:
                self._targets.append(())
            elif member in self._wanted and member not in given:
                self._targets.append((_Target(member),))
            else:
                self._targets.append(())
                unknown.append(name)
        if unknown:
            known = surely or len(unknown) < len(self.names)
            self._refuse_unknown(unknown, known=known)
        self._check()

    def _mapped(self) -> dict[str, list[_Target]]:
        mapped: dict[str, list[_Target]] = {}
        for argument, column in self._columns.named.items():
            if column not in self.names:
                self.refuse(f"there is no column {column!r}{self._has()}")
            mapped.setdefault(column, []).append(self._target(argument))
        for column in self._columns.ignored:
            if column not in self.names:
                self.refuse(f"there is no column {column!r} to ignore{self._has()}")
        return mapped

    def _target(self, argument: str) -> _Target:
        before, point, name = argument.partition(".")
        if point and before in _NAMED and name.removesuffix(":"):
            is_number = before == "filter_values" and name.endswith(":")
            return _Target(_NAMED[before], name.removesuffix(":") if is_number else name, is_number)
        member = COLUMNS.get(canonical(argument))
        if member in self._wanted and not point:
            return _Target(member)
        arguments = ", ".join(re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", one) for one in self._wanted)
        raise ValidationError(
            f"columns: {self._kind} has no {shown_name(argument, COLUMNS)}; it takes {arguments}, context.NAME and "
            "filter_values.NAME",
            parameter="columns",
        )

    def _has(self) -> str:
        return f"; it has {', '.join(self.names[:20])}" if self._columns and self.names else ""

    def _refuse_unknown(self, unknown: Sequence[str], *, known: bool) -> Never:
        wanted = list(map(column_of, self._wanted))
        shown = [f"{name!r}" if known else shown_name(name, wanted) for name in unknown]
        several = "s" if len(shown) > 1 else ""
        advice = "; map other names (columns), or leave columns out (ignore_columns)" if known else ""
        self.refuse(f"unknown column{several} {', '.join(shown[:20])}; {self._kind} reads {', '.join(wanted)}{advice}")

    def _check(self) -> None:
        targets = [target for targets in self._targets for target in targets]
        for n, target in enumerate(targets):
            if target in targets[:n]:
                name = target.name if target.name else column_of(target.member)
                self.refuse(f"column {name} is there twice")
        needed = ("userId", "itemList") if self._kind == "rank" else ("userId", "itemId")
        missing = [member for member in needed if all(target.member != member for target in targets)]
        if missing and (self._kind == "rank" or len(missing) == len(needed)):
            wanted = ", ".join(map(column_of, self._wanted))
            self.refuse(f"there is no column {' or '.join(map(column_of, missing))}; {self._kind} reads {wanted}")

    def refuse(self, problem: str) -> Never:
        """Refuse the file for its columns."""
        raise ValidationError(f"{self._where}: {problem}", parameter="input")

    def read(self) -> Iterator[tuple[int, str, bool]]:
        """The places of the columns that are read, their names, and whether they hold ids."""
        for place, (name, targets) in enumerate(zip(self.names, self._targets, strict=True)):
            if targets:
                yield place, name, any(target.member in _IDS for target in targets)

    def members(self, cells: Iterable[Any]) -> dict[str, Any]:
        """Make the members of a row.

        Args:
            cells: A cell for each column; ``None`` for null.

        Raises:
            Unreadable: A cell does not fit its member.
        """
        members: dict[str, Any] = {}
        for targets, cell in zip(self._targets, cells, strict=True):
            if cell is not None:
                for target in targets:
                    target.put(members, cell)
        return members

    def head(self) -> list[str]:
        """The names of the columns that are read."""
        return [name for _, name, _ in self.read()]

    def cells(self, members: Mapping[str, Any]) -> list[str]:
        """The cells of CSV that a row was made of, in the columns that are read."""
        return [targets[0].cell(members) for targets in self._targets if targets]

    def kept(self, cells: Sequence[str]) -> list[str]:
        """The cells of a line of CSV that are in columns that are read; all, if they are too few or too many."""
        if len(cells) != len(self._targets):
            return list(cells)
        return [cell for cell, targets in zip(cells, self._targets, strict=True) if targets]


def shown_name(name: str, known: Iterable[str]) -> str:
    """An unknown name, for messages: shown if similar to a known one, else only its size, since it may be an id."""
    return repr(name) if get_close_matches(name.lower(), [one.lower() for one in known]) else f"({describe(name)})"


def column_of(member: str) -> str:
    """The column of a member: ``USER_ID`` for ``userId``."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in member)
