"""The arguments that a campaign or recommender handle remembers, and those that a call adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from personalize_rt.arguments import Promotion
from personalize_rt.errors import ValidationError
from personalize_rt.names import ARN
from personalize_rt.redaction import describe

__all__ = ["Bound", "kept", "kind_of_resource", "no_paginators", "no_waiters"]

_KINDS = ("campaign", "recommender")


@attrs.frozen(eq=False, repr=False)
class Bound:
    """An ARN and the arguments that every call to it repeats.

    Attributes:
        arn: The campaign or recommender.
        arguments: Argument name to value.
    """

    arn: str
    arguments: Mapping[str, Any]

    @classmethod
    def to(cls, arn: str, kind: str, patterns: bool, **arguments: Any) -> Bound:
        """Bind what is not ``None``; one-shot iterables are taken once, since a handle is used many times.

        Args:
            arn: The campaign or recommender.
            kind: What the ARN should name, ``"campaign"`` or ``"recommender"``.
            patterns: Whether ARNs are checked (:attr:`Limits.patterns`).
            arguments: Argument name to value.

        Raises:
            ValidationError: The ARN is no ``str``, or not that of the kind.
        """
        given = _kind_of(arn)
        if given in _KINDS and given != kind:
            raise ValidationError(
                f"arn is that of a {given}: write {given}(arn), or resource(arn), which takes both", parameter="arn"
            )
        if given != kind and patterns:
            raise ValidationError(
                f"arn is not that of a {kind}: it should look like "
                f"arn:aws:personalize:<region>:<account>:{kind}/<name>, and is {describe(arn)}",
                parameter="arn",
            )
        return cls(arn, {name: kept(value) for name, value in arguments.items() if value is not None})

    def merged(self, method: str, **given: Any) -> dict[str, Any]:
        """The arguments of one call: what the call gives, then what is bound.

        Raises:
            ValidationError: Something is bound that the method cannot use: it would be ignored.
        """
        merged = {name: value for name, value in given.items() if value is not None}
        other_filter = "filter" in merged or "filter_arn" in merged
        for name, value in self.arguments.items():
            if name not in given:
                raise ValidationError(
                    f"{name} is bound to this handle, and {method}() takes none; bind it to another handle",
                    parameter=name,
                )
            # A call that names a filter inherits nothing of the bound one: values belong to their filter.
            if not (other_filter and name in ("filter", "filter_arn", "filter_values")):
                merged.setdefault(name, value)
        return merged

    def __str__(self) -> str:
        return ", ".join([repr(self.arn), *sorted(self.arguments)])


def kind_of_resource(arn: str) -> str:
    """The kind of resource that can be asked, ``"campaign"`` or ``"recommender"``, as its ARN says it.

    Raises:
        ValidationError: The ARN names neither.
    """
    kind = _kind_of(arn)
    if kind not in _KINDS:
        raise ValidationError(
            "arn is that of neither a campaign nor a recommender: it should look like "
            f"arn:aws:personalize:<region>:<account>:campaign/<name>, or …:recommender/<name>, and is {describe(arn)}",
            parameter="arn",
        )
    return kind


def _kind_of(arn: Any) -> str:
    """The kind of resource that an ARN names; empty for what is no ARN of Personalize."""
    if not isinstance(arn, str):
        raise ValidationError(f"arn is {describe(arn)}, not a str", parameter="arn")
    return arn.split(":", 5)[5].partition("/")[0] if ARN.fullmatch(arn) else ""


def no_paginators() -> ValidationError:
    """The error for who asks for a paginator."""
    return ValidationError(
        "Amazon Personalize Runtime has no paginators (boto3's page of the service lists none): ask once, with as many "
        "num_results as all pages need (at most 500), and show slices of the answer, such as answer[20:40]; pages() of "
        "a campaign or recommender does that, with tokens",
        parameter="operation_name",
    )


def no_waiters() -> ValidationError:
    """The error for who asks for a waiter."""
    return ValidationError(
        "Amazon Personalize Runtime has no waiters (boto3's page of the service lists none): its operations answer at "
        "once; whether a campaign is ACTIVE, describe_campaign of the service personalize says",
        parameter="waiter_name",
    )


def kept(value: Any) -> Any:
    """A value that serves many calls: what an iterator gives only once is taken now."""
    if isinstance(value, Mapping):
        # A copy, and values that an iterator would give only once.
        items: Any = value.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return {name: tuple(part) if isinstance(part, Iterator) else part for name, part in items}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    # What is no sequence of values is left to the call, which refuses it with advice.
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Promotion):
        return tuple(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]
