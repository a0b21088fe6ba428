# Generated from personalize_rt/_async/handles.py by `nox -s twins`: edit that file, and never this one.
"""The handles of the client: a campaign or recommender, with what every call to it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from personalize_rt.arguments import Promotion
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt._sync.client import PersonalizeRuntime
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.filters.values import FilterValue
    from personalize_rt.handles import Bound
    from personalize_rt.rerank.long import LongRanking

__all__ = ["Campaign", "Recommender"]


class Campaign:
    """A campaign, with what every call to it repeats. Made by :meth:`PersonalizeRuntime.campaign`.

    What a call gives itself counts instead of what is bound; ``None`` means "as bound".
    """

    def __init__(self, runtime: PersonalizeRuntime, bound: Bound) -> None:
        self._runtime = runtime
        self._bound = bound

    @property
    def arn(self) -> str:
        """The ARN of the campaign."""
        return self._bound.arn

    def rank(
        self,
        user_id: str,
        input_list: Iterable[str],
        *,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Ranking:
        """:meth:`PersonalizeRuntime.get_personalized_ranking` with this campaign."""
        arguments = self._bound.merged(
            "rank",
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        return self._runtime.get_personalized_ranking(
            campaign_arn=self.arn, user_id=user_id, input_list=input_list, **arguments
        )

    def rank_long(
        self,
        user_id: str,
        input_list: Iterable[str],
        *,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        metadata_columns: Iterable[str] | None = None,
        max_requests: int | None = None,
        concurrency: int = 8,
    ) -> LongRanking:
        """:meth:`PersonalizeRuntime.rank_long` with this campaign."""
        arguments = self._bound.merged(
            "rank_long",
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        return self._runtime.rank_long(
            campaign_arn=self.arn,
            user_id=user_id,
            input_list=input_list,
            max_requests=max_requests,
            concurrency=concurrency,
            **arguments,
        )

    def recommend(
        self,
        user_id: str | None = None,
        *,
        item_id: str | None = None,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Recommendations:
        """:meth:`PersonalizeRuntime.get_recommendations` with this campaign."""
        arguments = self._bound.merged(
            "recommend",
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        return self._runtime.get_recommendations(campaign_arn=self.arn, user_id=user_id, item_id=item_id, **arguments)

    def actions(
        self,
        user_id: str,
        *,
        num_results: int | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
    ) -> ActionRecommendations:
        """:meth:`PersonalizeRuntime.get_action_recommendations` with this campaign."""
        arguments = self._bound.merged(
            "actions", num_results=num_results, filter_arn=filter_arn, filter_values=filter_values, filter=filter
        )
        return self._runtime.get_action_recommendations(campaign_arn=self.arn, user_id=user_id, **arguments)

    def __repr__(self) -> str:
        return f"Campaign({self._bound})"


class Recommender:
    """A recommender, with what every call to it repeats. Made by :meth:`PersonalizeRuntime.recommender`.

    What a call gives itself counts instead of what is bound; ``None`` means "as bound".
    """

    def __init__(self, runtime: PersonalizeRuntime, bound: Bound) -> None:
        self._runtime = runtime
        self._bound = bound

    @property
    def arn(self) -> str:
        """The ARN of the recommender."""
        return self._bound.arn

    def recommend(
        self,
        user_id: str | None = None,
        *,
        item_id: str | None = None,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Recommendations:
        """:meth:`PersonalizeRuntime.get_recommendations` with this recommender."""
        arguments = self._bound.merged(
            "recommend",
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        return self._runtime.get_recommendations(
            recommender_arn=self.arn, user_id=user_id, item_id=item_id, **arguments
        )

    def __repr__(self) -> str:
        return f"Recommender({self._bound})"
