"""Groups of users: the same user in the same group, on every machine and in every language, without storage.

Of each group, the id gets a draw ``u`` between 0 and 1, from a hash; the group with the highest score wins. That is
rendezvous hashing (Thaler and Ravishankar, 1998), with weights::

    message = utf8(name) + 00 + utf8(group) + 00 + utf8(id)
    u       = (first 52 bits of SHA-256(message), big-endian, + 0.5) / 2**52
    score   = weight / -ln(u)

``-ln(u) / weight`` is a waiting time that is distributed exponentially with the rate ``weight``; the group that comes
first wins, so the chance of each is its share of all weights. A draw depends on its own group only, and that is why
users move so little when weights change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import log
from types import MappingProxyType
from typing import Any

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.events import SplitExposure
from personalize_rt.experiments import exposing
from personalize_rt.experiments.exposing import ExposureHook
from personalize_rt.redaction import describe

__all__ = ["Split"]

_BITS = 52  # one fewer than a float holds, so that + 0.5 is exact, and u is neither 0 nor 1


def _checked_weights(given: Any) -> Mapping[str, float]:
    if not isinstance(given, Mapping) or not given:
        raise ValidationError(
            f'weights is {describe(given)}; it takes groups and their weights: {{"control": 50, "ranker": 50}}',
            parameter="weights",
        )
    weights: dict[str, float] = {}
    for group, weight in given.items():  # pyright: ignore[reportUnknownVariableType]
        exposing.name(group, "weights: the name of a group")
        where = f"weights[{group!r}]"
        # Beyond that, scores are too large or too small for a float, and groups of the same score are no draw.
        wanted = "0, or a number from 1e-100 to 1e100"
        weights[group] = checks.number(weight, where, wanted, lambda it: it == 0 or 1e-100 <= it <= 1e100)
    if not any(weights.values()):
        raise ValidationError(
            "weights are all 0, so that nobody would be in a group: give one more", parameter="weights"
        )
    return MappingProxyType(weights)


@attrs.frozen(repr=False)
class Split:
    """An experiment that shows each user what the user's group is shown. Immutable; may be shared between threads.

    A user moves from one group into another only when the weight of the other has grown in proportion to the weight of
    the first. So when groups are added, or weights raised, users move into these groups only. When one group is
    removed, or its weight falls, only users of that group move, into the others in proportion to their weights. Groups
    whose weights stay never exchange users. To let an experiment grow without moving anybody twice, leave the other
    weights as they are, and raise one; weights need not add up to 100.

    The order of the groups makes no difference. Experiments of different names are independent of each other.

    Args:
        name: The name of the experiment, which is the salt of the hash.
        weights: The weight of each group: a number from 1e-100 to 1e100, or 0, which means that nobody is in it.

    Raises:
        ValidationError: The name, a group's name or a weight cannot be used, or all weights are 0.
    """

    name: str = attrs.field(validator=checks.validator(exposing.name))
    weights: Mapping[str, float] = attrs.field(converter=_checked_weights, hash=False)

    def group(self, user_id: str) -> str:
        """The group of a user.

        Args:
            user_id: The user, or whatever else is to keep its group, such as a session. Compared as it is, without
                Unicode normalization.

        Raises:
            ValidationError: It is no text, is empty, or cannot be encoded as UTF-8. The message does not show it.
        """
        user = self._encoded(user_id)
        # By name where two scores are equal, so that the order of the groups never matters.
        return max(self.weights, key=lambda group: (self._score(group, user), group))

    def unit(self, user_id: str) -> str:
        """A pseudonym of a user within this experiment, which joins exposures and outcomes without the user's id.

        It is the first 32 hexadecimal digits of SHA-256 of ``utf8(name) + 00 + 00 + utf8(id)``. Whoever has a list of
        all ids can compute it for each, so it is personal data still.

        Raises:
            ValidationError: As :meth:`group`.
        """
        return self._hash("", self._encoded(user_id)).hex()[:32]

    def exposure(self, user_id: str, *, unit: str | None = None, hooks: Iterable[ExposureHook] = ()) -> SplitExposure:
        """Note that a user is shown what the user's group is shown.

        Call it where the groups begin to differ, not before: users who never got there tell nothing.

        Args:
            user_id: The user; the exposure does not hold it.
            unit: What outcomes are joined by; by default :meth:`unit` of the user. With the id of a session, users with
                many sessions count many times, and intervals become too narrow.
            hooks: Functions that are told of the exposure. One that fails is logged, and breaks nothing.

        Raises:
            ValidationError: As :meth:`group`; or ``unit`` is no text, or empty.
        """
        group = self.group(user_id)
        unit = self.unit(user_id) if unit is None else exposing.name(unit, "unit")
        exposure = SplitExposure(experiment=self.name, unit=unit, group=group)
        exposing.tell(hooks, exposure)
        return exposure

    def _encoded(self, user_id: str) -> bytes:
        user = exposing.encoded(user_id, "user_id")
        if not user:
            # All who are not signed in would be in one group.
            raise ValidationError(
                "user_id is empty: give the id of the session to users without one", parameter="user_id"
            )
        return user

    def _hash(self, group: str, user: bytes) -> bytes:
        return sha256(b"\0".join((self.name.encode(), group.encode(), user))).digest()

    def _score(self, group: str, user: bytes) -> float:
        draw = ((int.from_bytes(self._hash(group, user)[:8]) >> 64 - _BITS) + 0.5) / 2**_BITS
        return self.weights[group] / -log(draw)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping does not pickle.
        return type(self), (self.name, dict(self.weights))

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {dict(self.weights)!r})"
