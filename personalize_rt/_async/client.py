"""The façade for asyncio: the three operations of Amazon Personalize Runtime, typed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from personalize_rt import operations
from personalize_rt._async.driver import outcome_of
from personalize_rt._async.handles import AsyncCampaign, AsyncRecommender
from personalize_rt.arguments import ActionsArguments, Promotion, RankingArguments, RecommendationsArguments
from personalize_rt.limits import Limits
from personalize_rt.operations import Request
from personalize_rt.resilience.call import UNSET as _UNSET
from personalize_rt.resilience.call import Hook, Policies
from personalize_rt.resilience.retry import RetryPolicy
from personalize_rt.results import Ranking, Recommendations
from personalize_rt.transport.asynchronous import AsyncTransport

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt._async.as_boto3 import AsyncBoto3Client
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.filters.values import FilterValue
    from personalize_rt.rerank.long import LongRanking
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.cache import Cache
    from personalize_rt.resilience.fallback import Fallback
    from personalize_rt.resilience.hedge import Hedge
    from personalize_rt.results import ActionRecommendations
    from personalize_rt.seen import Seen
    from personalize_rt.shelves import Shelf, Shelves

__all__ = ["AsyncPersonalizeRuntime"]

ResultT = TypeVar("ResultT")


class AsyncPersonalizeRuntime:
    """Amazon Personalize Runtime for asyncio, typed.

    It may be shared by the tasks of an event loop, and is cheap to build: the aiobotocore client comes with the first
    call, or with :meth:`connect`. Use it in ``async with``, or :meth:`aclose` it, to give its connections back. In
    another event loop it builds another client. Whoever cancels a call cancels its requests.

    A client that it builds is what aiobotocore's ``create_client`` gives, with botocore's own retries off, a connect
    time-out of 0.5 s, a read time-out of 1 s, TCP keep-alive and a pool of 50 connections.

    Args:
        client: An aiobotocore ``personalize-runtime`` client of yours. It is never modified and never closed. ``None``
            builds one.
        region_name: The AWS region of the client to build; by default the session's.
        session: What ``aiobotocore.session.get_session()`` returns, to build the client from; by default a new one.
        endpoint_url: Where to send requests instead of AWS.
        config: A ``botocore.config.Config`` or ``aiobotocore.config.AioConfig``, merged over the settings above. Its
            ``retries`` are refused.
        verify: As ``boto3.client`` has it: the path of a CA bundle to verify certificates with, or ``False`` to verify
            none; ``None`` for the session's or environment's bundle, or botocore's own.
        retry: When a failed request is sent again; see :class:`RetryPolicy`. Its ``sleep`` may be a coroutine
            function; by default ``asyncio.sleep``.
        deadline: Seconds for a whole call, from the moment that the client exists; waits, retries, looking up the host
            name, waiting for a connection of the pool and the time for an answer included. ``None`` means no end.
        limits: How much a request may carry; see :class:`Limits`.
        fallback: Who answers when the service cannot; see :mod:`personalize_rt.resilience.fallback`.
        breaker: When not to ask a campaign at all; see :class:`CircuitBreaker`.
        cache: What is answered again; see :class:`Cache`.
        hedge: When a second request is sent; see :class:`Hedge`.
        hooks: Functions that are told what happens; see :mod:`personalize_rt.events`.
        enforce_deadline: Hold the deadline for a ``client`` of yours too, by cancelling its request. Otherwise the
            deadline only decides whether another attempt starts.
        redact: Keep user ids, contexts, filter values, bodies, signatures and credentials out of botocore's own DEBUG
            log, for a client that this runtime builds.

    Raises:
        ValidationError: Arguments that do not go together.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        region_name: str | None = None,
        session: Any = None,
        endpoint_url: str | None = None,
        config: Any = None,
        verify: bool | str | None = None,
        retry: RetryPolicy = RetryPolicy(),
        deadline: float | None = 2.0,
        limits: Limits = Limits(),
        fallback: Fallback | None = None,
        breaker: CircuitBreaker | None = None,
        cache: Cache | None = None,
        hedge: Hedge | None = None,
        hooks: Iterable[Hook] = (),
        enforce_deadline: bool = False,
        redact: bool = True,
    ) -> None:
        self._transport = AsyncTransport(
            client,
            redact=redact,
            region_name=region_name,
            session=session,
            endpoint_url=endpoint_url,
            config=config,
            verify=verify,
        )
        self._limits = limits
        self._policies = Policies(
            retry=retry,
            deadline=deadline,
            fallback=fallback,
            breaker=breaker,
            cache=cache,
            hedge=hedge,
            hooks=hooks,
            enforce_deadline=enforce_deadline,
        )
        self._copied = False
        self._check_options(stacklevel=3)

    def _check_options(self, *, stacklevel: int) -> None:
        self._policies.check(self._limits)
        if self._policies.retry.attempts > 1:
            self._transport.warn_of_stacked_retries(stacklevel=stacklevel)

    async def get_recommendations(
        self,
        *,
        campaign_arn: str | None = None,
        recommender_arn: str | None = None,
        user_id: str | None = None,
        item_id: str | None = None,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] = (),
        metadata_columns: Iterable[str] | None = None,
    ) -> Recommendations:
        """Ask for items (GetRecommendations).

        What a call needs depends on the recipe behind the ARN: most want ``user_id``, similar items want
        ``item_id``, popular and trending items neither.

        Args:
            campaign_arn: The campaign to ask; give this or ``recommender_arn``.
            recommender_arn: The recommender to ask.
            user_id: The user.
            item_id: The item that others should be related to.
            num_results: How many items, at most 500 (50 with metadata); the service's default is 25.
            context: Values for contextual columns of the Interactions schema, such as ``{"DEVICE": "phone"}``.
            filter_arn: A filter to apply.
            filter_values: Values for the parameters of the filter, in Python types; see :mod:`personalize_rt.filters`.
            filter: A ``Filter`` or ``BoundFilter``, instead of ARN and values.
            promotions: At most one :class:`Promotion`, or a dict in the service's form.
            metadata_columns: Item columns to return with each item, at most 10; the campaign must have enabled them.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        arguments = RecommendationsArguments(
            campaign_arn=campaign_arn,
            recommender_arn=recommender_arn,
            user_id=user_id,
            item_id=item_id,
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        return await self._call(operations.request_for(arguments, self._limits))

    async def get_personalized_ranking(
        self,
        *,
        campaign_arn: str,
        user_id: str,
        input_list: Iterable[str],
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> Ranking:
        """Put items in the order that suits a user (GetPersonalizedRanking).

        Items that the model does not know come last, in input order, without a score.

        Args:
            campaign_arn: A campaign of a personalized-ranking recipe.
            user_id: The user.
            input_list: The items, at most 500 (50 with metadata).
            context: Values for contextual columns of the Interactions schema, such as ``{"DEVICE": "phone"}``.
            filter_arn: A filter to apply; what it takes out is in :attr:`Ranking.missing`.
            filter_values: Values for the parameters of the filter, in Python types; see :mod:`personalize_rt.filters`.
            filter: A ``Filter`` or ``BoundFilter``, instead of ARN and values.
            metadata_columns: Item columns to return with each item, at most 10; the campaign must have enabled them.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        arguments = RankingArguments(
            campaign_arn=campaign_arn,
            user_id=user_id,
            input_list=input_list,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        return await self._call(operations.request_for(arguments, self._limits))

    async def rank_long(
        self,
        *,
        campaign_arn: str,
        user_id: str,
        input_list: Iterable[str],
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        metadata_columns: Iterable[str] | None = None,
        max_requests: int | None = None,
        concurrency: int = 8,
    ) -> LongRanking:
        """Put a list of any length in the order that suits a user: several GetPersonalizedRanking requests.

        The list is asked for in chunks. Scores are proportions, so chunks that share items can be put on one scale;
        :class:`~personalize_rt.rerank.LongRanking` says how exact the outcome is. 10,000 items take 21 requests when
        their scores are alike, and up to 30 or 42 when many of them are near 0. A list that fits in one request takes
        one, and gives what :meth:`get_personalized_ranking` gives.

        Each request is a call with the policies of this runtime, and hooks are told of each. The deadline is for all
        of them together. When a request fails for good, the call does, except for those that only make the ranking
        more exact: then ``stopped_by`` is their error. A fallback is asked for the whole list, never for a part.

        Args:
            campaign_arn: A campaign of a personalized-ranking recipe.
            user_id: The user.
            input_list: The items, as many as you like.
            context: Values for contextual columns of the Interactions schema, such as ``{"DEVICE": "phone"}``.
            filter_arn: A filter to apply; what it takes out is in :attr:`Ranking.missing`.
            filter_values: Values for the parameters of the filter, in Python types; see :mod:`personalize_rt.filters`.
            filter: A ``Filter`` or ``BoundFilter``, instead of ARN and values.
            metadata_columns: Item columns to return with each item, at most 10; a request then holds 50 items instead
                of 500, and there are ten times as many.
            max_requests: How many requests there may be; retries come on top. ``None`` means half as many again as the
                list has chunks, and up to twice as many where many scores are 0, or next to it.
            concurrency: How many requests may be under way at the same time.

        Raises:
            ValidationError: An argument was refused, or ``max_requests`` is too small; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        from personalize_rt._async.long import rank
        from personalize_rt.resilience.long_call import LongCall, without_length

        arguments = RankingArguments(
            campaign_arn=campaign_arn,
            user_id=user_id,
            input_list=input_list,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            metadata_columns=metadata_columns,
        )
        request = await self._addressed(operations.request_for(arguments, without_length(self._limits)))
        call = LongCall(request, self._policies, self._limits, max_requests=max_requests, concurrency=concurrency)
        return await rank(call, self._transport)

    async def get_action_recommendations(
        self,
        *,
        campaign_arn: str,
        user_id: str,
        num_results: int | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
    ) -> ActionRecommendations:
        """Ask for the actions that a user will most likely take (GetActionRecommendations).

        Args:
            campaign_arn: A campaign of the next-best-action recipe.
            user_id: The user.
            num_results: How many actions, at most 100; the service's default is 5.
            filter_arn: A filter to apply.
            filter_values: Values for the parameters of the filter, in Python types; see :mod:`personalize_rt.filters`.
            filter: A ``Filter`` or ``BoundFilter``, instead of ARN and values.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The call failed; see the tree in :mod:`personalize_rt.errors`.
        """
        arguments = ActionsArguments(
            campaign_arn=campaign_arn,
            user_id=user_id,
            num_results=num_results,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
        )
        return await self._call(operations.request_for(arguments, self._limits))

    async def shelves(
        self,
        shelves: Iterable[Shelf[AsyncCampaign] | Shelf[AsyncRecommender]],
        *,
        deadline: float | None = _UNSET,
        distinct: bool = True,
        exclude: Seen = (),
    ) -> Shelves:
        """Ask several campaigns and recommenders at once, for the shelves of a page.

        Each shelf is a call of its handle, with the policies of the handle's runtime and a fallback of its own. One
        that fails does not break the others: it has the rows of its fallback, or none, and its ``cause`` is the error.

        Args:
            shelves: The shelves, in the order in which an item that several have is given to the first.
            deadline: Seconds for all of them together; by default that of this runtime, ``None`` for no end. What is
                not there by then counts as failed.
            distinct: Show an item once, on the first shelf that has it. Each shelf asks for as many rows more as the
                shelves before it show, up to 500, so that it can be refilled.
            exclude: Items to show on no shelf: ids, rows or results. More rows are asked for, likewise.

        Raises:
            ValidationError: An argument was refused, that of a shelf too; nothing was sent.
            ConfigurationError: The client of a shelf cannot be built.
        """
        from personalize_rt._async.shelves import filled

        return await filled(self, shelves, deadline=deadline, distinct=distinct, exclude=exclude)

    async def _addressed(self, request: Request[ResultT]) -> Request[ResultT]:
        await self._transport.client()  # building it is not part of the call's time
        return await self._transport.addressed(request) if self._policies.keeps_answers else request

    async def _call(self, request: Request[ResultT]) -> ResultT:
        request = await self._addressed(request)
        outcome = await outcome_of(request, self._transport, self._policies)
        return outcome.unwrap()

    def campaign(
        self,
        arn: str,
        *,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> AsyncCampaign:
        """Bind what every call to one campaign repeats.

        Args:
            arn: The campaign.
            num_results: As in the operations; what a call gives itself counts instead.
            context: Likewise.
            filter_arn: Likewise. A call that names another filter does not inherit these ``filter_values``.
            filter_values: Likewise.
            filter: Likewise.
            promotions: Likewise.
            metadata_columns: Likewise.

        Raises:
            ValidationError: The ARN is not that of a campaign.
        """
        from personalize_rt.handles import Bound

        bound = Bound.to(
            arn,
            "campaign",
            self._limits.patterns,
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        return AsyncCampaign(self, bound)

    def recommender(
        self,
        arn: str,
        *,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> AsyncRecommender:
        """Bind what every call to one recommender repeats; the arguments are those of :meth:`campaign`."""
        from personalize_rt.handles import Bound

        bound = Bound.to(
            arn,
            "recommender",
            self._limits.patterns,
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )
        return AsyncRecommender(self, bound)

    def resource(
        self,
        arn: str,
        *,
        num_results: int | None = None,
        context: Mapping[str, str] | None = None,
        filter_arn: str | None = None,
        filter_values: Mapping[str, FilterValue] | None = None,
        filter: BoundFilter | Filter | None = None,
        promotions: Iterable[Promotion | Mapping[str, object]] | None = None,
        metadata_columns: Iterable[str] | None = None,
    ) -> AsyncCampaign | AsyncRecommender:
        """Bind what every call to a campaign or a recommender repeats, whichever the ARN names.

        The arguments are those of :meth:`campaign`.

        Raises:
            ValidationError: The ARN is that of neither.
        """
        from personalize_rt.handles import kind_of_resource

        bind = self.campaign if kind_of_resource(arn) == "campaign" else self.recommender
        return bind(
            arn,
            num_results=num_results,
            context=context,
            filter_arn=filter_arn,
            filter_values=filter_values,
            filter=filter,
            promotions=promotions,
            metadata_columns=metadata_columns,
        )

    def as_boto3(self) -> AsyncBoto3Client:
        """Give an object with the methods of boto3's client, for code that takes one; it asks through this runtime.

        It takes the arguments of boto3, returns its dicts and raises its exceptions.
        """
        from personalize_rt._async.as_boto3 import AsyncBoto3Client

        return AsyncBoto3Client(self)

    def can_paginate(self, operation_name: str) -> bool:
        """Return ``False``, as boto3's client does: no operation of the service has pages."""
        return False

    def get_paginator(self, operation_name: str) -> NoReturn:
        """Refuse, since the service has no paginators.

        Raises:
            ValidationError: Always; with advice.
        """
        from personalize_rt.handles import no_paginators

        raise no_paginators()

    def get_waiter(self, waiter_name: str) -> NoReturn:
        """Refuse, since the service has no waiters.

        Raises:
            ValidationError: Always; with advice.
        """
        from personalize_rt.handles import no_waiters

        raise no_waiters()

    def with_options(
        self,
        *,
        retry: RetryPolicy = _UNSET,
        deadline: float | None = _UNSET,
        limits: Limits = _UNSET,
        fallback: Fallback | None = _UNSET,
        breaker: CircuitBreaker | None = _UNSET,
        cache: Cache | None = _UNSET,
        hedge: Hedge | None = _UNSET,
        hooks: Iterable[Hook] = _UNSET,
        enforce_deadline: bool = _UNSET,
    ) -> Self:
        """A cheap copy with other options, on the same client. Its :meth:`aclose` does nothing.

        What is not given stays as it is, state included: the copies share one retry budget, breaker and cache.

        Args:
            retry: When a failed request is sent again.
            deadline: Seconds for a whole call; ``None`` for no end.
            limits: How much a request may carry.
            fallback: Who answers when the service cannot; ``None`` for nobody.
            breaker: When not to ask at all; ``None`` for no breaker.
            cache: What is answered again; ``None`` for no cache.
            hedge: When a second request is sent; ``None`` for never.
            hooks: Who is told what happens.
            enforce_deadline: Hold the deadline for a client of yours too.
        """
        copied = copy.copy(self)
        copied._copied = True
        copied._policies = self._policies.changed(
            retry=retry,
            deadline=deadline,
            fallback=fallback,
            breaker=breaker,
            cache=cache,
            hedge=hedge,
            hooks=hooks,
            enforce_deadline=enforce_deadline,
        )
        if limits is not _UNSET:
            copied._limits = limits
        copied._check_options(stacklevel=3)
        return copied

    async def connect(self) -> Self:
        """Build the client and fetch its credentials now: at start-up, or while a Lambda initialises.

        Importing aiobotocore and loading the service's model keep the event loop busy for some tenths of a second.

        Raises:
            ConfigurationError: No region, profile or credentials; aiobotocore is not installed.
            TransportError: Credentials cannot be fetched just now; later they may.
        """
        await self._transport.connect()
        return self

    async def aclose(self) -> None:
        """End what runs in the background, and close the client, if this runtime built it. Safe to call twice."""
        if not self._copied:
            await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(deadline={self._policies.deadline}, retry={self._policies.retry})"
