"""The control plane over one or several dataset groups: looks resources up, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from personalize_rt.local.control.account import Account
from personalize_rt.local.control.group import DatasetGroup
from personalize_rt.local.control.kinds import KINDS, Kind
from personalize_rt.local.control.recipes import RECIPE_ROWS
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.engine import RefusedError

__all__ = ["ControlPlane", "not_found"]


class ControlPlane:
    """The resources of all dataset groups behind one address. Safe to share between threads.

    Args:
        groups: Returns the dataset groups that directories declare.
        account: The dataset groups and schemas that requests made.

    Attributes:
        account: The dataset groups and schemas that requests made.
    """

    def __init__(self, groups: Callable[[], Sequence[DatasetGroup]], account: Account) -> None:
        self._groups = groups
        self.account = account

    @property
    def groups(self) -> Sequence[DatasetGroup]:
        """The dataset groups."""
        return (*self._groups(), *self.account.groups)

    @property
    def _owners(self) -> Sequence[DatasetGroup | Account]:
        return (*self.groups, self.account)

    def find(self, kind: Kind, arn: str, member: str) -> tuple[DatasetGroup, dict[str, Any]]:
        """The dataset group of a resource, and its members.

        Args:
            kind: Its kind.
            arn: Its ARN, or an alias of that.
            member: The member of the request that names it, for messages.

        Raises:
            RefusedError: ``InvalidInputException`` for an ARN of another kind, ``ResourceNotFoundException`` for one
                that is not there.
        """
        _check(kind, arn, member)
        for group in self.groups:
            members = group.describe(kind.name, group.engine.resolve(arn))
            if members is not None:
                return group, members
        raise not_found(kind, arn, (known for known, _ in self.arns(kind)))

    def settle(self, members: Mapping[str, Any]) -> None:
        """Wait for the works behind the resources that a request names, if there are any and their time has come."""
        for group in self.account.groups:
            for arn in members.values():
                if isinstance(arn, str):
                    group.settle(arn)

    def schema(self, arn: str) -> Mapping[str, Any]:
        """The members of a schema, which belongs to no dataset group if a request made it.

        Raises:
            RefusedError: See :meth:`find`.
        """
        kind = KINDS["Schema"]
        _check(kind, arn, "schemaArn")
        found = self.describe(kind, arn)
        if found is None:
            raise not_found(kind, arn, (known for known, _ in self.arns(kind)))
        return found

    def recipe(self, arn: str) -> Mapping[str, Any]:
        """The members of a recipe.

        Raises:
            RefusedError: See :meth:`find`.
        """
        kind = KINDS["Recipe"]
        if not kind.is_of(arn):
            raise invalid("recipeArn: expected the ARN of a recipe, as arn:aws:personalize:::recipe/…")
        if arn not in RECIPE_ROWS:
            raise not_found(kind, arn, RECIPE_ROWS)
        return RECIPE_ROWS[arn]

    def arns(self, kind: Kind) -> Iterator[tuple[str, str]]:
        """The ARNs of all resources of a kind, each with what List narrows it by."""
        if kind.name == "Recipe":
            yield from ((arn, row.get("domain", "")) for arn, row in RECIPE_ROWS.items())
        else:
            for owner in self._owners:
                yield from owner.arns(kind.name)

    def describe(self, kind: Kind, arn: str) -> Mapping[str, Any] | None:
        """The members of a resource of an ARN that :meth:`arns` told; ``None`` if it was deleted in between."""
        if kind.name == "Recipe":
            return RECIPE_ROWS[arn]
        return next((found for owner in self._owners if (found := owner.describe(kind.name, arn)) is not None), None)


def _check(kind: Kind, arn: str, member: str) -> None:
    if not kind.is_of(arn):
        raise invalid(f"{member}: expected the ARN of a {kind.label}, as arn:aws:personalize:…:{kind.part}/…")


def not_found(kind: Kind, arn: str, known: Iterator[str] | Mapping[str, Any]) -> RefusedError:
    """A ``ResourceNotFoundException`` that says what there is."""
    names = [one.split(":", 5)[-1].partition("/")[2] for one in known]
    there = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return RefusedError("ResourceNotFoundException", f"there is no {kind.label} {arn}; there are: {there or 'none'}")


_SHOWN = 10
