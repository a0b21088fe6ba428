"""The handles of the async client: a campaign or recommender, with what every call to it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from personalize_rt.arguments import Promotion
from personalize_rt.results import Ranking, Recommendations

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt._async.client import AsyncPersonalizeRuntime
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.filters.values import FilterValue
    from personalize_rt.handles import Bound
    from personalize_rt.pages import Pages, PageStore
    from personalize_rt.rerank.long import LongRanking
    from personalize_rt.results import ActionRecommendations
    from personalize_rt.seen import Seen

__all__ = ["AsyncCampaign", "AsyncRecommender"]


class AsyncCampaign:
    """A campaign, with what every call to it repeats. Made by :meth:`AsyncPersonalizeRuntime.campaign`.

    What a call gives itself counts instead of what is bound; ``None`` means "as bound".
    """

    def __init__(self, runtime: AsyncPersonalizeRuntime, bound: Bound) -> None:
        self._runtime = runtime
        self._bound = bound

    @property
    def arn(self) -> str:
        """The ARN of the campaign."""
        return self._bound.arn

    async def rank(
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
        """:meth:`AsyncPersonalizeRuntime.get_personalized_ranking` with this campaign."""
        arguments = self._bound.merged(
            "rank",
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        return await self._runtime.get_personalized_ranking(
            campaign_arn=self.arn, user_id=user_id, input_list=input_list, **arguments
        )

    async def rank_long(
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
        """:meth:`AsyncPersonalizeRuntime.rank_long` with this campaign."""
        arguments = self._bound.merged(
            "rank_long",
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        return await self._runtime.rank_long(
            campaign_arn=self.arn,
            user_id=user_id,
            input_list=input_list,
            max_requests=max_requests,
            concurrency=concurrency,
            **arguments,
        )

    async def recommend(
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
        """:meth:`AsyncPersonalizeRuntime.get_recommendations` with this campaign."""
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
        return await self._runtime.get_recommendations(
            campaign_arn=self.arn, user_id=user_id, item_id=item_id, **arguments
        )

    async def pages(
        self,
        user_id: str | None = None,
        *,
        size: int = 20,
        total: int = 500,
        store: PageStore | None = None,
        exclude: Seen = (),
        item_id: str | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Pages:
        """Ask once, for pages that neither repeat an item nor lose one.

        It is one call of :meth:`recommend`, for all rows; a bound ``num_results`` makes no difference.

        Args:
            user_id: The user.
            size: The number of rows on a page, from 1.
            total: The most rows of all pages, at most 500. With metadata, one request gives 50, and there are no more.
            store: Where the answer lies for :meth:`resume_pages`; ``None`` for pages without tokens.
            exclude: Items that were seen: ids, rows or results. They are taken out of the answer, and up to 500 rows
                are asked for, so that ``total`` are left.
            item_id: As :meth:`recommend` has it, like the arguments after it.
            context: Likewise.
            filter_arn: Likewise.
            filter_values: Likewise.
            filter: Likewise.
            promotions: Likewise.
            metadata_columns: Likewise.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        from personalize_rt._async.pages import asked

        arguments = self._bound.merged(
            "pages",
            num_results=None,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        arguments |= {"campaign_arn": self.arn, "user_id": user_id, "item_id": item_id}
        return await asked(self._runtime, self.arn, arguments, size=size, total=total, store=store, exclude=exclude)

    async def resume_pages(self, user_id: str | None, token: str, *, store: PageStore) -> Pages:
        """Read pages that :meth:`pages` has put into a store, perhaps in another process. Nothing is sent.

        Args:
            user_id: The user whose pages they are, or ``None`` if they are nobody's.
            token: The token of the page to show.
            store: Where they lie.

        Raises:
            PageTokenError: They cannot be had: ask for new pages.
            ValidationError: ``store`` is no store of pages.
        """
        from personalize_rt._async.pages import resumed

        return await resumed(self._runtime, self.arn, user_id, token, store)

    async def actions(
        self,
        user_id: str,
        *,
        num_results: int | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
    ) -> ActionRecommendations:
        """:meth:`AsyncPersonalizeRuntime.get_action_recommendations` with this campaign."""
        arguments = self._bound.merged(
            "actions", num_results=num_results, filter_arn=filter_arn, filter_values=filter_values, filter=filter
        )
        return await self._runtime.get_action_recommendations(campaign_arn=self.arn, user_id=user_id, **arguments)

    def __repr__(self) -> str:
        return f"AsyncCampaign({self._bound})"


class AsyncRecommender:
    """A recommender, with what every call to it repeats. Made by :meth:`AsyncPersonalizeRuntime.recommender`.

    What a call gives itself counts instead of what is bound; ``None`` means "as bound".
    """

    def __init__(self, runtime: AsyncPersonalizeRuntime, bound: Bound) -> None:
        self._runtime = runtime
        self._bound = bound

    @property
    def arn(self) -> str:
        """The ARN of the recommender."""
        return self._bound.arn

    async def recommend(
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
        """:meth:`AsyncPersonalizeRuntime.get_recommendations` with this recommender."""
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
        return await self._runtime.get_recommendations(
            recommender_arn=self.arn, user_id=user_id, item_id=item_id, **arguments
        )

    async def pages(
        self,
        user_id: str | None = None,
        *,
        size: int = 20,
        total: int = 500,
        store: PageStore | None = None,
        exclude: Seen = (),
        item_id: str | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Pages:
        """Ask once, for pages that neither repeat an item nor lose one.

        It is one call of :meth:`recommend`, for all rows; a bound ``num_results`` makes no difference.

        Args:
            user_id: The user.
            size: The number of rows on a page, from 1.
            total: The most rows of all pages, at most 500. With metadata, one request gives 50, and there are no more.
            store: Where the answer lies for :meth:`resume_pages`; ``None`` for pages without tokens.
            exclude: Items that were seen: ids, rows or results. They are taken out of the answer, and up to 500 rows
                are asked for, so that ``total`` are left.
            item_id: As :meth:`recommend` has it, like the arguments after it.
            context: Likewise.
            filter_arn: Likewise.
            filter_values: Likewise.
            filter: Likewise.
            promotions: Likewise.
            metadata_columns: Likewise.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        from personalize_rt._async.pages import asked

        arguments = self._bound.merged(
            "pages",
            num_results=None,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        arguments |= {"recommender_arn": self.arn, "user_id": user_id, "item_id": item_id}
        return await asked(self._runtime, self.arn, arguments, size=size, total=total, store=store, exclude=exclude)

    async def resume_pages(self, user_id: str | None, token: str, *, store: PageStore) -> Pages:
        """Read pages that :meth:`pages` has put into a store, perhaps in another process. Nothing is sent.

        Args:
            user_id: The user whose pages they are, or ``None`` if they are nobody's.
            token: The token of the page to show.
            store: Where they lie.

        Raises:
            PageTokenError: They cannot be had: ask for new pages.
            ValidationError: ``store`` is no store of pages.
        """
        from personalize_rt._async.pages import resumed

        return await resumed(self._runtime, self.arn, user_id, token, store)

    def __repr__(self) -> str:
        return f"AsyncRecommender({self._bound})"
