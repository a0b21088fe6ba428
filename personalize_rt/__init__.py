"""A typed client for Amazon Personalize Runtime.

Public names are imported on first use, so that ``import personalize_rt`` takes hardly any time.
"""

# Not typing's: importing typing would take longer than this whole module.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from personalize_rt._version import __version__
    from personalize_rt.aio import AsyncCampaign, AsyncEventTracker, AsyncPersonalizeRuntime, AsyncRecommender
    from personalize_rt.arguments import Promotion
    from personalize_rt.client import Campaign, PersonalizeRuntime, Recommender
    from personalize_rt.errors import (
        AccessDeniedError,
        CircuitOpenError,
        ConfigurationError,
        DeadlineExceededError,
        FilterSyntaxError,
        FilterValuesError,
        InvalidInputError,
        PageTokenError,
        PersonalizeError,
        QueueFullError,
        ResourceNotFoundError,
        ResponseError,
        ServerError,
        ServiceError,
        ThrottlingError,
        TransportError,
        ValidationError,
    )
    from personalize_rt.filters.expression import BoundFilter, Filter, FilterExpression
    from personalize_rt.filters.values import FilterValue, RawFilterValue, RawFilterValues
    from personalize_rt.interactions import Interaction
    from personalize_rt.limits import Limits
    from personalize_rt.pages import Pages, PageStore
    from personalize_rt.rerank import (
        CoVisitationScorer,
        EmbeddingScorer,
        EnsembleScorer,
        LocalReranker,
        PopularityScorer,
        Scorer,
        ShadowScorer,
    )
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.cache import Cache, CacheStore, MemoryStore
    from personalize_rt.resilience.fallback import (
        Fallback,
        FilterData,
        InputOrderFallback,
        PopularActionsFallback,
        PopularItemsFallback,
        RerankFallback,
        StaleFallback,
    )
    from personalize_rt.resilience.hedge import Hedge
    from personalize_rt.resilience.retry import RetryPolicy
    from personalize_rt.results import (
        ActionRecommendations,
        Metadata,
        PredictedAction,
        PredictedItem,
        Ranking,
        Recommendations,
        ResponseInfo,
    )
    from personalize_rt.shelves import Shelf, Shelves
    from personalize_rt.tracker import EventTracker
    from personalize_rt.tracking import TrackedEvent
else:
    _HOMES = {
        "_version": "__version__",
        "aio": "AsyncCampaign AsyncEventTracker AsyncPersonalizeRuntime AsyncRecommender",
        "arguments": "Promotion",
        "client": "Campaign PersonalizeRuntime Recommender",
        "errors": "AccessDeniedError CircuitOpenError ConfigurationError DeadlineExceededError FilterSyntaxError "
        "FilterValuesError InvalidInputError PageTokenError PersonalizeError QueueFullError ResourceNotFoundError "
        "ResponseError ServerError ServiceError ThrottlingError TransportError ValidationError",
        "filters.expression": "BoundFilter Filter FilterExpression",
        "filters.values": "FilterValue RawFilterValue RawFilterValues",
        "interactions": "Interaction",
        "limits": "Limits",
        "pages": "PageStore Pages",
        "rerank": "CoVisitationScorer EmbeddingScorer EnsembleScorer LocalReranker PopularityScorer Scorer "
        "ShadowScorer",
        "resilience.breaker": "CircuitBreaker",
        "resilience.cache": "Cache CacheStore MemoryStore",
        "resilience.fallback": "Fallback FilterData InputOrderFallback PopularActionsFallback "
        "PopularItemsFallback RerankFallback StaleFallback",
        "resilience.hedge": "Hedge",
        "resilience.retry": "RetryPolicy",
        "results": "ActionRecommendations Metadata PredictedAction PredictedItem Ranking Recommendations ResponseInfo",
        "shelves": "Shelf Shelves",
        "tracker": "EventTracker",
        "tracking": "TrackedEvent",
    }
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

    # Names of subpackages that are separate features.
    _ELSEWHERE = {"LocalPersonalize": "local"}

    def __getattr__(name):
        home = _HOME_OF.get(name)
        if home is None:
            if name in _ELSEWHERE:
                # Not an AttributeError, whose message ``from personalize_rt import`` would not show.
                home = f"{__name__}.{_ELSEWHERE[name]}"
                raise ImportError(f"{name} is in {home}: write 'from {home} import {name}'", name=__name__)
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "AccessDeniedError",
    "ActionRecommendations",
    "AsyncCampaign",
    "AsyncEventTracker",
    "AsyncPersonalizeRuntime",
    "AsyncRecommender",
    "BoundFilter",
    "Cache",
    "CacheStore",
    "Campaign",
    "CircuitBreaker",
    "CircuitOpenError",
    "CoVisitationScorer",
    "ConfigurationError",
    "DeadlineExceededError",
    "EmbeddingScorer",
    "EnsembleScorer",
    "EventTracker",
    "Fallback",
    "Filter",
    "FilterData",
    "FilterExpression",
    "FilterSyntaxError",
    "FilterValue",
    "FilterValuesError",
    "Hedge",
    "InputOrderFallback",
    "Interaction",
    "InvalidInputError",
    "Limits",
    "LocalReranker",
    "MemoryStore",
    "Metadata",
    "PageStore",
    "PageTokenError",
    "Pages",
    "PersonalizeError",
    "PersonalizeRuntime",
    "PopularActionsFallback",
    "PopularItemsFallback",
    "PopularityScorer",
    "PredictedAction",
    "PredictedItem",
    "Promotion",
    "QueueFullError",
    "Ranking",
    "RawFilterValue",
    "RawFilterValues",
    "Recommendations",
    "Recommender",
    "RerankFallback",
    "ResourceNotFoundError",
    "ResponseError",
    "ResponseInfo",
    "RetryPolicy",
    "Scorer",
    "ServerError",
    "ServiceError",
    "ShadowScorer",
    "Shelf",
    "Shelves",
    "StaleFallback",
    "ThrottlingError",
    "TrackedEvent",
    "TransportError",
    "ValidationError",
    "__version__",
]
