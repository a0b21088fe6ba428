"""The façade for asyncio: the surface of :mod:`personalize_rt.client`, on aiobotocore.

``pip install "personalize-rt[aio]"`` brings aiobotocore, which is imported when a client is built.
"""

from personalize_rt._async.client import AsyncPersonalizeRuntime
from personalize_rt._async.handles import AsyncCampaign, AsyncRecommender

__all__ = ["AsyncCampaign", "AsyncPersonalizeRuntime", "AsyncRecommender"]

# The names that pickles, messages and documentation show are those that users import.
for _public in (AsyncCampaign, AsyncPersonalizeRuntime, AsyncRecommender):
    _public.__module__ = __name__
