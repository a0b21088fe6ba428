"""Parsing of command-line arguments: ``NAME=VALUE`` pairs and lists of item ids."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal

from personalize_rt.arguments import Promotion
from personalize_rt.errors import ValidationError
from personalize_rt.filters.values import FilterScalar, FilterValue
from personalize_rt.rerank.rules import Rules

__all__ = [
    "as_columns",
    "as_context",
    "as_filter_values",
    "as_promotions",
    "as_rules",
    "check_text",
    "read_item_ids",
    "read_text",
]

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def check_text(arguments: Iterable[str]) -> None:
    """Refuse arguments that are not text. The shell passes any bytes.

    Raises:
        ValidationError: An argument is not valid in the encoding of the system.
    """
    for position, argument in enumerate(arguments, start=1):
        # Python decodes invalid bytes to surrogates.
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ValidationError(f"argument {position} is not valid {sys.getfilesystemencoding().upper()}")


def as_context(pairs: Iterable[str]) -> dict[str, str]:
    """Parse ``["DEVICE=phone"]`` to ``{"DEVICE": "phone"}``.

    Raises:
        ValidationError: A pair has no ``=``, or a name is repeated.
    """
    context: dict[str, str] = {}
    for position, pair in enumerate(pairs, start=1):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValidationError(f"--context number {position} is not NAME=VALUE", parameter="context")
        if name in context:
            raise ValidationError(f"--context {name} is repeated: it takes one value", parameter="context")
        context[name] = value
    return context


def as_filter_values(pairs: Iterable[str], option: str = "--value") -> Mapping[str, FilterValue]:
    """Parse ``["GENRE=Comedy", "GENRE=Drama", "YEAR:=1999"]`` to ``{"GENRE": ["Comedy", "Drama"], "YEAR": 1999}``.

    The value after ``=`` is text, even if it is all digits; after ``:=`` it is a number. A repeated name makes a list.

    Args:
        pairs: The values of the option.
        option: The option, for errors.

    Raises:
        ValidationError: A pair has no ``=``, or no number after ``:=``.
    """
    values: dict[str, list[FilterScalar]] = {}
    for position, pair in enumerate(pairs, start=1):
        name, equals, text = pair.partition("=")
        is_number = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise ValidationError(
                f"{option} number {position} is neither NAME=TEXT nor NAME:=NUMBER", parameter="filter_values"
            )
        if is_number and not _NUMBER.fullmatch(text):
            raise ValidationError(
                f"{option} {name}:= takes a number; for text write {name}=TEXT",
                parameter="filter_values",
            )
        values.setdefault(name, []).append(Decimal(text) if is_number else text)
    return {name: several if len(several) > 1 else several[0] for name, several in values.items()}


def as_promotions(promotion: str | None, filter_arn: str | None, values: Iterable[str] | None) -> tuple[Promotion, ...]:
    """Parse ``"sale=20"``, with the filter of what is promoted, to a promotion; without it, to none.

    Raises:
        ValidationError: It is not NAME=PERCENT, or there is a filter without a promotion.
    """
    given = as_filter_values(values or (), "--promotion-value")
    if promotion is None:
        if filter_arn is not None or given:
            raise ValidationError("the filter of a promotion needs --promotion NAME=PERCENT", parameter="promotions")
        return ()
    name, equals, percent = promotion.rpartition("=")
    if not equals or not name or not re.fullmatch("[0-9]{1,9}", percent):
        raise ValidationError("--promotion is not NAME=PERCENT, such as sale=20", parameter="promotions")
    if filter_arn is None:
        raise ValidationError("--promotion needs --promotion-filter-arn", parameter="promotions")
    return (Promotion(name, int(percent), filter_arn=filter_arn, filter_values=given or None),)


def as_columns(pairs: Iterable[str], kind: str) -> dict[str, str]:
    """Parse ``["user_id=UID", "value.GENRE=genre"]`` to the argument ``columns`` of a job.

    Args:
        pairs: The values of ``--map``.
        kind: The operation.

    Raises:
        ValidationError: A pair has no ``=``, or a name that the job does not have, or one twice.
    """
    names = ["user_id", "item_list"] if kind == "rank" else ["user_id", "item_id", "num_results"]
    columns: dict[str, str] = {}
    for position, pair in enumerate(pairs, start=1):
        name, equals, column = pair.partition("=")
        if not equals or not column:
            raise ValidationError(f"--map number {position} is not NAME=COLUMN", parameter="columns")
        before, point, rest = name.partition(".")
        if point and rest.removesuffix(":") and before in ("context", "value"):
            name = f"filter_values.{rest}" if before == "value" else name
        elif name.lower() in names:
            name = name.lower()
        else:
            known = ", ".join(names).upper()
            raise ValidationError(
                f"--map number {position}: a name is one of {known}, context.NAME, value.NAME", parameter="columns"
            )
        if name in columns:
            raise ValidationError(f"--map {pair.partition('=')[0]} is repeated", parameter="columns")
        columns[name] = column
    return columns


def as_rules(*, pin: Iterable[str], boost: Iterable[str], without: Iterable[str], diversify: str | None) -> Rules:
    """``["tt1=1"]``, ``["tt2=1.5"]``, ``["tt3"]`` and ``"GENRES=2/10"`` as rules.

    Raises:
        ValidationError: One of them is something else.
    """
    pins: dict[str, int] = {}
    for place, pair in enumerate(pin, start=1):
        id, equals, text = pair.rpartition("=")
        if not equals or not id or not re.fullmatch("0*[1-9][0-9]{0,8}", text):
            raise ValidationError(f"--pin number {place} is not ITEM=PLACE, with a place from 1", parameter="pin")
        pins[id] = int(text) - 1
    factors: dict[str, float] = {}
    for place, pair in enumerate(boost, start=1):
        id, equals, text = pair.rpartition("=")
        if not equals or not id or not _NUMBER.fullmatch(text):
            raise ValidationError(f"--boost number {place} is not ITEM=FACTOR", parameter="boost")
        factors[id] = float(text)
    variety = None
    if diversify is not None:
        found = re.fullmatch("(.+)=([1-9][0-9]{0,8})(?:/([1-9][0-9]{0,8}))?", diversify, re.DOTALL)
        if found is None:
            raise ValidationError(
                "--diversify is not COLUMN=N/M or COLUMN=N, such as GENRES=2/10", parameter="diversify"
            )
        variety = found[1], int(found[2]), None if found[3] is None else int(found[3])
    return Rules(without=tuple(without), boost=factors, diversify=variety, pin=pins)


def read_item_ids(given: list[str], file: str | None) -> list[str]:
    """Read the items to rank, from the arguments or from the lines of a file.

    Args:
        given: The arguments.
        file: A path, or ``-`` for standard input. Blank lines and white space around an id are ignored.

    Raises:
        ValidationError: Both or neither are given, or the file cannot be read.
    """
    if (file is None) == (not given):
        both = "both are given" if given else "neither is given"
        raise ValidationError(
            f"give item ids as arguments, or --items-from FILE with one per line: {both}", parameter="input_list"
        )
    if file is None:
        return given
    ids = [line.strip() for line in read_text(file, "input_list").splitlines()]
    return [id for id in ids if id]


def read_text(file: str, parameter: str) -> str:
    """Read a text.

    Args:
        file: A path, or ``-`` for standard input.
        parameter: The argument that it is for, for errors.

    Raises:
        ValidationError: The file cannot be read, or is not UTF-8.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as opened:
                content = opened.read()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it is no name of a file"
    raise ValidationError(f"cannot read {name}: {problem}", parameter=parameter)
