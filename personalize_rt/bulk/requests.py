"""Requests in bulk: the arguments of one call as a frozen value, named as the client's methods name them."""
# A frozen field is as good as the read-only property of another base.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from typing import Any, TypeVar

from personalize_rt.arguments import (
    ActionsArguments,
    Arguments,
    RankingArguments,
    RecommendationsArguments,
    keywords,
)
from personalize_rt.operations import OPERATIONS
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["ActionRequest", "BulkRequest", "RankRequest", "RecommendRequest"]

AnswerT = TypeVar("AnswerT", covariant=True)


class BulkRequest(Arguments[AnswerT]):
    """One request of many: a :class:`RankRequest`, :class:`RecommendRequest` or :class:`ActionRequest`."""

    __slots__ = ()

    def ask(self, runtime: Any) -> Any:
        """Call the method of a runtime that this request is for; of an async runtime, that gives an awaitable."""
        return getattr(runtime, OPERATIONS[self.operation].method)(**keywords(self))


class RecommendRequest(RecommendationsArguments, BulkRequest[Recommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_recommendations`. They are checked when they are sent."""

    __slots__ = ()


class RankRequest(RankingArguments, BulkRequest[Ranking]):
    """The arguments of :meth:`PersonalizeRuntime.get_personalized_ranking`. They are checked when they are sent."""

    __slots__ = ()


class ActionRequest(ActionsArguments, BulkRequest[ActionRecommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_action_recommendations`. They are checked when they are sent."""

    __slots__ = ()
