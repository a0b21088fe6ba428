"""Forms that were sent, each behind a token, so that a link to them has nothing personal in it."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qsl

from personalize_rt import forks

__all__ = ["Form", "Saved"]

# The most forms that are kept, and the most characters of all of them.
_KEPT = 1_000
_KEPT_CHARACTERS = 4 << 20


class Form(Mapping[str, str]):
    """The fields of a form, without those that are empty. A field that comes again has its last value.

    Args:
        fields: Names and values, in order.
    """

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self._fields = tuple((name, value.strip()) for name, value in fields if value.strip())
        self._last = dict(self._fields)

    @classmethod
    def read(cls, body: bytes) -> Form:
        """The fields of a body of the type ``application/x-www-form-urlencoded``."""
        return cls(parse_qsl(body.decode("utf-8", "replace"), errors="replace"))

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def text(self, name: str) -> str:
        """The value of a field; empty without one."""
        return self._last.get(name, "")

    def with_field(self, name: str, value: str) -> Form:
        """A form of the same fields and one more."""
        return Form([*self._fields, (name, value)])

    def several(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._fields if key == name]

    def under(self, prefix: str) -> dict[str, str]:
        """The fields whose names begin so, without that beginning."""
        return {key.removeprefix(prefix): value for key, value in self._last.items() if key.startswith(prefix)}

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A field as a whole number within bounds."""
        text = self.text(name)
        return min(max(int(text), least), most) if text.isascii() and text.isdecimal() and len(text) < 10 else default

    def __repr__(self) -> str:
        return f"<Form of {len(self)} fields>"

    @property
    def size(self) -> int:
        """The number of its characters."""
        return sum(len(name) + len(value) for name, value in self._fields)


class Saved:
    """The latest forms that were sent, by token. Safe to share between threads."""

    _lock = forks.lock()

    def __init__(self) -> None:
        self._forms: OrderedDict[str, Form] = OrderedDict()
        self._characters = 0

    def keep(self, form: Form) -> str:
        """Keep a form; the oldest ones make room for it. Returns its token."""
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._forms[token] = form
            self._characters += form.size
            while len(self._forms) > _KEPT or (self._characters > _KEPT_CHARACTERS and len(self._forms) > 1):
                self._characters -= self._forms.popitem(last=False)[1].size
        return token

    def find(self, token: str) -> Form | None:
        """The form of a token; ``None`` if there is none, or no longer."""
        return self._forms.get(token)
