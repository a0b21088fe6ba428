"""Requests in bulk: the arguments of one call as a frozen value, named as the client's methods name them."""
# A frozen field is as good as the read-only property of another base.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from personalize_rt.arguments import (
    ActionsArguments,
    Arguments,
    RankingArguments,
    RecommendationsArguments,
    keywords,
)
from personalize_rt.operations import OPERATIONS
from personalize_rt.rerank.long import chunk_size
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

if TYPE_CHECKING:
    from personalize_rt.rerank.rules import Rules

__all__ = ["ActionRequest", "BulkRequest", "RankRequest", "RecommendRequest"]

AnswerT = TypeVar("AnswerT", covariant=True)


class BulkRequest(Arguments[AnswerT]):
    """One request of many: a :class:`RankRequest`, :class:`RecommendRequest` or :class:`ActionRequest`."""

    __slots__ = ()

    def ask(self, runtime: Any) -> Any:
        """Call the method of a runtime that this request is for; of an async runtime, that gives an awaitable."""
        return getattr(runtime, OPERATIONS[self.operation].method)(**keywords(self))

    def ruled(self, answer: Any) -> Any:
        """The answer as the caller gets it."""
        return answer


class RecommendRequest(RecommendationsArguments, BulkRequest[Recommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_recommendations`. They are checked when they are sent."""

    __slots__ = ()


@attrs.frozen(kw_only=True)
class RankRequest(RankingArguments, BulkRequest[Ranking]):
    """The arguments of :meth:`PersonalizeRuntime.get_personalized_ranking`. They are checked when they are sent.

    A list that is longer than one request may be is ranked by :meth:`PersonalizeRuntime.rank_long`, one request after
    the other; the deadline is then that of one request, times the number of requests that the list needs.

    Attributes:
        rules: Rules that the answer is put under; see :class:`personalize_rt.rerank.rules.Rules`.
    """

    rules: Rules | None = None

    def ask(self, runtime: Any) -> Any:
        """Call ``get_personalized_ranking``, or ``rank_long``."""
        given: Any = self.input_list
        if isinstance(given, str) or not hasattr(given, "__len__"):  # for the client to judge
            return super().ask(runtime)
        size = chunk_size(runtime._limits, with_metadata=bool(self.metadata_columns))
        if len(given) <= size:
            return super().ask(runtime)
        deadline = runtime._policies.deadline
        if deadline is not None:
            runtime = runtime.with_options(deadline=deadline * (2 + -(-len(given) // size)))
        return runtime.rank_long(**keywords(self), concurrency=1)

    def ruled(self, answer: Any) -> Any:
        """The ranking under the rules."""
        return self.rules.apply(answer) if self.rules else answer


class ActionRequest(ActionsArguments, BulkRequest[ActionRecommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_action_recommendations`. They are checked when they are sent."""

    __slots__ = ()
