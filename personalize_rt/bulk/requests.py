"""What can be asked in bulk: the arguments of one call as a frozen value, named as the client's methods name them."""
# A frozen field is as good as a read-only property.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from personalize_rt.filters.values import FilterValue
from personalize_rt.operations import Promotion
from personalize_rt.redaction import describe
from personalize_rt.rerank.long import chunk_size
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

if TYPE_CHECKING:
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.rerank.rules import Rules

__all__ = ["ActionRequest", "BulkRequest", "RankRequest", "RecommendRequest"]

AnswerT = TypeVar("AnswerT", covariant=True)


def _once(values: Any) -> Any:
    """What an iterator gives is taken once: a throttled request is sent again. All else is left to the client."""
    return tuple(values) if isinstance(values, Iterator) else values  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


class BulkRequest(Generic[AnswerT]):
    """One request of many: a :class:`RankRequest`, :class:`RecommendRequest` or :class:`ActionRequest`."""

    __slots__ = ()

    if TYPE_CHECKING:  # what all three have

        @property
        def campaign_arn(self) -> str | None:
            """The campaign."""

        @property
        def user_id(self) -> str | None:
            """For whom."""

    def ask(self, runtime: Any) -> Any:
        """Call the method of a runtime that this request is for; of an async runtime, that gives an awaitable."""
        raise NotImplementedError

    def ruled(self, answer: Any) -> Any:
        """The answer as the caller gets it."""
        return answer


@attrs.frozen(kw_only=True)
class RecommendRequest(BulkRequest[Recommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_recommendations`. They are checked when they are sent."""

    campaign_arn: str | None = None
    recommender_arn: str | None = None
    user_id: str | None = attrs.field(default=None, repr=False)
    item_id: str | None = None
    num_results: int | None = None
    context: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    filter_arn: str | None = None
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, repr=False)
    filter: BoundFilter | Filter | None = None
    promotions: Sequence[Promotion] = ()
    metadata_columns: Sequence[str] | None = None

    def ask(self, runtime: Any) -> Any:
        """Call ``get_recommendations``."""
        return runtime.get_recommendations(
            campaign_arn=self.campaign_arn,
            recommender_arn=self.recommender_arn,
            user_id=self.user_id,
            item_id=self.item_id,
            num_results=self.num_results,
            context=self.context,
            filter_arn=self.filter_arn,
            filter_values=self.filter_values,
            filter=self.filter,
            promotions=self.promotions,
            metadata_columns=self.metadata_columns,
        )


@attrs.frozen(kw_only=True)
class RankRequest(BulkRequest[Ranking]):
    """The arguments of :meth:`PersonalizeRuntime.get_personalized_ranking`. They are checked when they are sent.

    A list that is longer than one request may be is ranked by :meth:`PersonalizeRuntime.rank_long`, one request after
    the other; the deadline is then that of one request, times the number of requests that the list needs.

    Attributes:
        rules: What is made of the answer; see :class:`personalize_rt.rerank.rules.Rules`.
    """

    campaign_arn: str
    user_id: str = attrs.field(repr=False)
    input_list: Iterable[str] = attrs.field(converter=_once, repr=describe)
    context: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    filter_arn: str | None = None
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, repr=False)
    filter: BoundFilter | Filter | None = None
    metadata_columns: Sequence[str] | None = None
    rules: Rules | None = None

    def ask(self, runtime: Any) -> Any:
        """Call ``get_personalized_ranking``, or ``rank_long``."""
        arguments = {
            "campaign_arn": self.campaign_arn,
            "user_id": self.user_id,
            "input_list": self.input_list,
            "context": self.context,
            "filter_arn": self.filter_arn,
            "filter_values": self.filter_values,
            "filter": self.filter,
            "metadata_columns": self.metadata_columns,
        }
        given: Any = self.input_list
        if isinstance(given, str) or not hasattr(given, "__len__"):  # for the client to judge
            return runtime.get_personalized_ranking(**arguments)
        size = chunk_size(runtime._limits, with_metadata=bool(self.metadata_columns))
        if len(given) <= size:
            return runtime.get_personalized_ranking(**arguments)
        deadline = runtime._policies.deadline
        if deadline is not None:
            runtime = runtime.with_options(deadline=deadline * (2 + -(-len(given) // size)))
        return runtime.rank_long(**arguments, concurrency=1)

    def ruled(self, answer: Any) -> Any:
        """The ranking under the rules."""
        return self.rules.apply(answer) if self.rules else answer


@attrs.frozen(kw_only=True)
class ActionRequest(BulkRequest[ActionRecommendations]):
    """The arguments of :meth:`PersonalizeRuntime.get_action_recommendations`. They are checked when they are sent."""

    campaign_arn: str
    user_id: str = attrs.field(repr=False)
    num_results: int | None = None
    filter_arn: str | None = None
    filter_values: Mapping[str, FilterValue] | None = attrs.field(default=None, repr=False)
    filter: BoundFilter | Filter | None = None

    def ask(self, runtime: Any) -> Any:
        """Call ``get_action_recommendations``."""
        return runtime.get_action_recommendations(
            campaign_arn=self.campaign_arn,
            user_id=self.user_id,
            num_results=self.num_results,
            filter_arn=self.filter_arn,
            filter_values=self.filter_values,
            filter=self.filter,
        )
