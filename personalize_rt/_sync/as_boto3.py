# Generated from personalize_rt/_async/as_boto3.py by `nox -s twins`: edit that file, and never this one.
"""The methods of boto3's client, for code that takes one, through the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from personalize_rt.errors import PersonalizeError
from personalize_rt.operations import (
    GET_ACTION_RECOMMENDATIONS,
    GET_PERSONALIZED_RANKING,
    GET_RECOMMENDATIONS,
    Operation,
    request_of,
)
from personalize_rt.transport.like_boto3 import Exceptions, LikeBoto3, as_raised, as_reply

if TYPE_CHECKING:
    from personalize_rt._sync.client import PersonalizeRuntime

__all__ = ["Boto3Client"]


class Boto3Client(LikeBoto3):
    """The methods of a boto3 client of the service, through a runtime.

    Made by :meth:`PersonalizeRuntime.as_boto3`.

    Arguments have boto3's names (``campaignArn=``) and forms: filter values are encoded already, ``metadataColumns``
    has its ``ITEMS`` key. A reply is boto3's dict. Retries, deadline, cache, fallback and hooks are the runtime's.

    Every error is one that ``except (ClientError, BotoCoreError)`` catches, and one of
    :mod:`personalize_rt.errors` as well: a refused argument is also a ``ParamValidationError``, and where no answer
    came in time, an ``HTTPClientError``.
    """

    def __init__(self, runtime: PersonalizeRuntime) -> None:
        self._runtime = runtime

    @property
    def exceptions(self) -> Exceptions:
        """The exceptions of the service, by boto3's names; for ``except client.exceptions.InvalidInputException``."""
        return Exceptions()

    def get_recommendations(self, **members: Any) -> dict[str, Any]:
        """GetRecommendations, with boto3's arguments and reply."""
        return self._ask(GET_RECOMMENDATIONS, members)

    def get_personalized_ranking(self, **members: Any) -> dict[str, Any]:
        """GetPersonalizedRanking, with boto3's arguments and reply."""
        return self._ask(GET_PERSONALIZED_RANKING, members)

    def get_action_recommendations(self, **members: Any) -> dict[str, Any]:
        """GetActionRecommendations, with boto3's arguments and reply."""
        return self._ask(GET_ACTION_RECOMMENDATIONS, members)

    def _ask(self, operation: Operation[Any], members: Mapping[str, Any]) -> dict[str, Any]:
        try:
            request = request_of(operation, members, self._runtime._limits)  # pyright: ignore[reportPrivateUsage]
            return as_reply(self._runtime._call(request))  # pyright: ignore[reportPrivateUsage] - it is its face
        except PersonalizeError as error:
            failed = as_raised(error)
        try:
            raise failed
        finally:
            del failed

    def can_paginate(self, operation_name: str) -> bool:
        """Return ``False``: no operation of the service has pages."""
        return self._runtime.can_paginate(operation_name)

    def get_paginator(self, operation_name: str) -> NoReturn:
        """Refuse, since the service has no paginators.

        Raises:
            ValidationError: Always; also a ``BotoCoreError``.
        """
        from personalize_rt.handles import no_paginators

        raise as_raised(no_paginators())

    def get_waiter(self, waiter_name: str) -> NoReturn:
        """Refuse, since the service has no waiters.

        Raises:
            ValidationError: Always; also a ``ValueError``, as boto3's is.
        """
        from personalize_rt.handles import no_waiters

        raise as_raised(no_waiters())

    def close(self) -> None:
        """Close the runtime, as far as its own :meth:`~PersonalizeRuntime.close` does."""
        self._runtime.close()

    def __repr__(self) -> str:
        return f"{type(self._runtime).__name__}.as_boto3()"
