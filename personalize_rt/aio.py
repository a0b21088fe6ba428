"""The façade for asyncio: the surface of :mod:`personalize_rt.client`, on aiobotocore.

``pip install "personalize-rt[aio]"`` brings aiobotocore, which is imported when a client is built.
"""

from personalize_rt._async.client import AsyncPersonalizeRuntime
from personalize_rt._async.handles import AsyncCampaign, AsyncRecommender

TYPE_CHECKING = False

if TYPE_CHECKING:
    from personalize_rt._async.tracker import AsyncEventTracker
else:

    def __getattr__(name):
        if name != "AsyncEventTracker":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from personalize_rt._async.tracker import AsyncEventTracker  # most programs need none

        AsyncEventTracker.__module__ = __name__
        globals()[name] = AsyncEventTracker
        return AsyncEventTracker


__all__ = ["AsyncCampaign", "AsyncEventTracker", "AsyncPersonalizeRuntime", "AsyncRecommender"]

# The names that pickles, messages and documentation show are those that users import.
for _public in (AsyncCampaign, AsyncPersonalizeRuntime, AsyncRecommender):
    _public.__module__ = __name__
