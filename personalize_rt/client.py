"""The façade: the three operations of Amazon Personalize Runtime, typed."""

from personalize_rt._sync.client import PersonalizeRuntime
from personalize_rt._sync.handles import Campaign, Recommender

__all__ = ["Campaign", "PersonalizeRuntime", "Recommender"]

# The names that pickles, messages and documentation show are those that users import.
for _public in (Campaign, PersonalizeRuntime, Recommender):
    _public.__module__ = __name__
