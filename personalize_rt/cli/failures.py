"""The message, in one line, and the exit status for an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any

from personalize_rt.cli.output import printable
from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.local import LocalDataError
from personalize_rt.redaction import MASK, mask

__all__ = ["SERVICE", "exit_status", "in_one_line", "on_command_line", "with_options"]

SERVICE = 1
USAGE = 2

# The options for the library's arguments.
_OPTIONS: Mapping[str, str] = {
    "attempts": "--attempts",
    "campaign_arn": "--campaign-arn",
    "columns": "--map",
    "concurrency": "--concurrency",
    "context": "--context",
    "deadline": "--deadline",
    "endpoint_url": "--endpoint-url",
    "errors": "--errors",
    "filter_arn": "--filter-arn",
    "filter_expression": "--filter-expression",
    "filter_values": "--value",
    "ignore_columns": "--ignore",
    "input_list": "the input",
    "item_id": "--item-id",
    "item_ids": "--item-id",
    "metadata_columns": "--metadata",
    "num_results": "--num-results",
    "output": "OUTPUT",
    "processes": "--processes",
    "promotions": "--promotion",
    "recommender_arn": "--recommender-arn",
    "requests_per_second": "--per-second",
    "region_name": "--region",
    "rules": "--pin, --boost, --without or --diversify",
    "tps": "--tps",
    "user_id": "--user-id",
}
# An argument whose name is an English word is recognised only at the beginning of a message, before an equals sign,
# and in brackets.
_OPTION = re.compile(rf"(?:^|\b(?=\w+_)|\b(?=\w+=)|(?<=\()(?=\w+\)))({'|'.join(_OPTIONS)})\b=?")
# Words of Python, and those of everybody.
_WORDS: Mapping[str, str] = {
    r", or None( for no \w+)?\b": "",
    r"\bresume=True\b": "--resume",
    r"\ba str\b": "a text",
    r"\ban int\b": "a whole number",
    r"\ba float\b": "a number with a point",
    r"\ba bool\b": "true or false",
    r"\ba dict\b": "an object",
}

_NO_ARN = "is not an ARN of Personalize"

_USAGES = (ValidationError, ConfigurationError, LocalDataError, ModuleNotFoundError)


def exit_status(error: Exception) -> int:
    """The exit status: 1 if the service could not answer, 2 if the arguments or the settings are wrong."""
    if _is_usage(error) or isinstance(error, _USAGES):
        return USAGE
    return SERVICE


def in_one_line(error: Exception, arguments: Sequence[str]) -> str:
    """The message for an error, in one line.

    Args:
        error: The error.
        arguments: The command line, which may hold personal values that typer's messages repeat.
    """
    return "personalize-rt: " + printable(" ".join(_message(error, arguments).split()))


def _message(error: Exception, arguments: Sequence[str]) -> str:
    if _is_usage(error):
        return _of_usage(error, arguments)
    if isinstance(error, LocalDataError):
        return _of_data(error)
    if isinstance(error, ValidationError | ConfigurationError):
        text = with_options(error.message)
        return f"{text}; a name will do with --local only" if _NO_ARN in text and "--local" not in arguments else text
    if isinstance(error, PersonalizeError):
        return on_command_line("; ".join([error.message, *getattr(error, "__notes__", ())]))
    if isinstance(error, ModuleNotFoundError) and "pip install" in str(error):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot write the answer: {error.strerror or type(error).__name__}"
    where = extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} in {Path(where.filename).name}, line {where.lineno}: please report it"


def with_options(text: str) -> str:
    """Replace the library's arguments in a message by options, and words of Python by those of the command line."""
    return on_command_line(_OPTION.sub(lambda match: _OPTIONS[match[1]], text))


def on_command_line(text: str) -> str:
    """Replace words of Python in a message by those of the command line."""
    for word, ours in _WORDS.items():
        text = re.sub(word, ours, text)
    return text


def _is_usage(error: Any) -> bool:
    # Not by class: since 0.26, typer has a copy of click, so there may be two classes.
    return callable(getattr(error, "format_message", None))


def _of_usage(error: Any, arguments: Sequence[str]) -> str:
    text = _masked(error.format_message(), arguments)
    path = getattr(getattr(error, "ctx", None), "command_path", "personalize-rt")
    return f"{text.rstrip('.')}; see {path} --help"


_PERSONAL = ("--user-id", "--context", "--value", "--promotion-value")
_EXTRA = re.compile(r"(?<=extra argument \()[^)]*(?=\))|(?<=extra arguments \()[^)]*(?=\))")
_WORD = re.compile(r"[^\W\d_]*|.{0,3}")


def _masked(text: str, arguments: Sequence[str]) -> str:
    """Mask the arguments in a message of typer.

    Values of personal options are masked everywhere. Other arguments may be item ids, or a user id in the wrong place:
    those that might be a word of the message are masked only where typer quotes them.
    """
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    personal: list[str] = []
    others: list[str] = []
    before = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if before in _PERSONAL:
            personal += [argument, value]
        elif argument.startswith("-"):
            (personal if option in _PERSONAL else others).extend((value, value.partition("=")[2]))
        elif argument != command:
            others.append(argument)
        before = "" if equals else argument
    words = [word for word in others if _WORD.fullmatch(word)]
    text = mask(text, [*personal, *(other for other in others if other not in words)])
    text = _EXTRA.sub(lambda extra: mask(extra[0], words), text)
    for word in words:
        if word:
            text = text.replace(repr(word), repr(MASK))
    return text


def _of_data(error: LocalDataError) -> str:
    shown = "; ".join(map(str, error.problems[:3]))
    more = len(error.problems) - 3
    return f"cannot load {error.directory}: {shown}" + (f"; and {more} more problems" if more > 0 else "")
