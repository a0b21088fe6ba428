"""A scorer of dot products of given vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any, cast

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["EmbeddingScorer"]

Vector = tuple[float, ...]

# A hundred million products of two such numbers add up without overflow.
_LARGEST = 1e150


class EmbeddingScorer:
    """Scores an item by the dot product of its vector with the user's.

    That is the service's own formula: the Developer Guide gives a score as ``exp(u · w)`` of the user's and the item's
    vectors, divided by the sum over all items. The dot product is the logit. Context is ignored.

    The vectors are copied. The scorer is immutable and may be shared between threads.

    Args:
        users: A vector for each user: sequences of finite numbers below 1e150, all of one length.
        items: A vector for each item, of the same length.
        default_user: The vector for a user who is not in ``users``. ``None`` stands for zeros: all items score alike,
            and a ranking keeps its input order.

    Raises:
        ValidationError: A vector of another length, or with something other than such numbers in it.
    """

    __slots__ = ("_default", "_items", "_users")

    def __init__(
        self,
        users: Mapping[str, Sequence[float]],
        items: Mapping[str, Sequence[float]],
        *,
        default_user: Sequence[float] | None = None,
    ) -> None:
        self._items = _vectors(items, "items", named=True)
        self._users = _vectors(users, "users", named=False)
        given = {} if default_user is None else {"default_user": _vector(default_user, "default_user", "default_user")}
        size = _one_size(items=self._items, users=self._users, default_user=given)
        self._default = given.get("default_user", (0.0,) * size)

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The dot product for each item; ``None`` for an item without a vector."""
        user = self._users.get(user_id, self._default)
        vectors = map(self._items.get, item_ids)
        return [None if vector is None else sum(map(mul, user, vector), 0.0) for vector in vectors]

    def __repr__(self) -> str:
        return f"EmbeddingScorer(<{len(self._users):,} users>, <{len(self._items):,} items>, size={len(self._default)})"


def _vectors(vectors: object, parameter: str, *, named: bool) -> dict[str, Vector]:
    if not isinstance(vectors, Mapping):
        raise ValidationError(
            f"{parameter} is {describe(vectors)}, not a mapping of ids to vectors", parameter=parameter
        )
    copied: dict[str, Vector] = {}
    for id, vector in cast("Mapping[object, object]", vectors).items():
        if not isinstance(id, str):
            raise ValidationError(f"{parameter} has an id that is {describe(id)}, not a str", parameter=parameter)
        # A message may name an item, but never a user.
        copied[id] = _vector(vector, f"{parameter}[{id!r}]" if named else f"a vector of {parameter}", parameter)
    return copied


def _vector(vector: Any, where: str, parameter: str) -> Vector:
    if isinstance(vector, str | bytes | Mapping):
        given = None
    else:
        try:
            given = list(vector)
        except TypeError:
            given = None
    if given is None:
        raise ValidationError(f"{where} is {describe(vector)}, not a sequence of numbers", parameter=parameter)
    numbers: list[float] = []
    for value in given:
        number = checks.as_float(value)
        if number is None:
            raise ValidationError(f"{where} has {describe(value)} in it, not a number", parameter=parameter)
        if not abs(number) < _LARGEST:
            raise ValidationError(f"{where} has a number in it that is not finite, or above 1e150", parameter=parameter)
        numbers.append(number)
    return tuple(numbers)


def _one_size(**groups: Mapping[str, Vector]) -> int:
    """The length that all vectors have."""
    size: int | None = None
    for parameter, vectors in groups.items():
        for vector in vectors.values():
            if size is None:
                size = len(vector)
            elif len(vector) != size:
                raise ValidationError(
                    f"{parameter} has a vector of {len(vector)} numbers where others have {size}", parameter=parameter
                )
    return size or 0
