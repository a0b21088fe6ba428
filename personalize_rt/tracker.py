"""The event tracker: events of users, sent beside the program."""

from personalize_rt._sync.tracker import EventTracker
from personalize_rt.resilience.tracked import FailedEvent, TrackerCounts

__all__ = ["EventTracker", "FailedEvent", "TrackerCounts"]

# The names that pickles, messages and documentation show are those that users import.
for _public in (EventTracker, FailedEvent, TrackerCounts):
    _public.__module__ = __name__
