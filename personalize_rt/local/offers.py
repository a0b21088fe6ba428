"""The model of next-best-action: the probability that a user takes each action.

The service's rules (recipe page of aws-next-best-action): an action is scored only with at least 50 TAKEN and at least
50 other events (NOT_TAKEN, VIEWED) in the six weeks before the latest event, else its propensity is 0.0; propensities
are independent of each other and have no common sum; of equal ones, the action of the higher VALUE comes first; expired
actions, and actions that the user met less than REPEAT_FREQUENCY days ago, are left out.

The service's model is not published. Here, a propensity is the share of events in which the action was taken, shifted
in log-odds by the difference between the user's and everybody's shares for actions of the same TYPE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import exp, inf, log
from typing import cast

import attrs

from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog, Table

__all__ = ["ActionModel"]

_DAY = 86_400
_WINDOW = 42 * _DAY
_NEEDED = 50
# The number of events from which on a user's own share outweighs everybody's, so that one event does not decide.
_PRIOR = 4
_EXPIRATION = ("EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP")

# Keys of counts: ("action", action), ("type", type), ("user", user, type).
_Key = tuple[str, ...]


@attrs.define(repr=False)
class ActionModel:
    """The propensities of actions. Immutable once fitted, so safe to share between threads.

    Attributes:
        actions: The Actions dataset.
    """

    actions: Table
    _taken: Counter[_Key] = attrs.field(factory=Counter[_Key], init=False)
    _all: Counter[_Key] = attrs.field(factory=Counter[_Key], init=False)
    _last_met: dict[tuple[str, str], float] = attrs.field(factory=dict[tuple[str, str], float], init=False)

    def fit(self, events: EventLog | None) -> ActionModel:
        """Learn from events. Without events, every propensity is 0.0.

        Returns:
            The model itself.
        """
        if events is None:
            return self
        start = max(events.timestamp, default=0) - _WINDOW
        for event in events:
            met = event.user_id, event.item_id
            self._last_met[met] = max(event.timestamp, self._last_met.get(met, event.timestamp))
            if event.timestamp >= start:
                type = self._type(event.item_id)
                keys: tuple[_Key, ...] = ("action", event.item_id), ("type", type), ("user", event.user_id, type)
                self._all.update(keys)
                if event.event_type == "TAKEN":
                    self._taken.update(keys)
        return self

    def best(self, user_id: str, now: float, recent: Sequence[Interaction] = ()) -> Iterator[tuple[str, float]]:
        """The actions open to a user with their propensities, highest first.

        Args:
            user_id: The user; one without events gets the propensities of everybody.
            now: Unix time in seconds, for actions that expired or were met recently.
            recent: The user's events since the model was fitted. They count for this user's shares and for
                REPEAT_FREQUENCY, but not for everybody's shares.
        """
        met: dict[str, float] = {}
        all: Counter[str] = Counter()
        taken: Counter[str] = Counter()
        for event in recent:
            met[event.item_id] = max(event.timestamp, met.get(event.item_id, event.timestamp))
            type = self._type(event.item_id)
            all[type] += 1
            taken[type] += event.event_type == "TAKEN"
        open_now = [action for action in self.actions if self._is_open(action, user_id, now, met)]
        propensities = {action: self._propensity(action, user_id, taken, all) for action in open_now}
        order = sorted(open_now, key=lambda action: (-propensities[action], -self._number(action, "VALUE", 0)))
        return ((action, propensities[action]) for action in order)

    def _propensity(self, action: str, user_id: str, taken: Counter[str], all: Counter[str]) -> float:
        key = ("action", action)
        if self._taken[key] < _NEEDED or self._all[key] - self._taken[key] < _NEEDED:
            return 0.0
        type = self._type(action)
        everybody = self._share(("type", type))
        user = ("user", user_id, type)
        own = (self._taken[user] + taken[type] + _PRIOR * everybody) / (self._all[user] + all[type] + _PRIOR)
        log_odds = _logit(self._share(key)) + _logit(own) - _logit(everybody)
        return round(1 / (1 + exp(-log_odds)), 7)

    def _share(self, key: _Key) -> float:
        """The share of events in which something is taken, strictly between 0 and 1."""
        return (self._taken[key] + 1) / (self._all[key] + 2)

    def _is_open(self, action: str, user_id: str, now: float, recent: Mapping[str, float]) -> bool:
        if any(self._number(action, name, now + 1) <= now for name in _EXPIRATION):
            return False
        pause = self._number(action, "REPEAT_FREQUENCY", 0) * _DAY
        met = max(self._last_met.get((user_id, action), -inf), recent.get(action, -inf))
        return pause == 0 or now - met >= pause

    def _type(self, action: str) -> str:
        row = self.actions.index.get(action)
        column = self.actions.columns.get("TYPE")
        return "" if row is None or column is None else str(column[row] or "")

    def _number(self, action: str, name: str, default: float) -> float:
        column = self.actions.columns.get(name)
        value = None if column is None else column[self.actions.index[action]]
        return default if value is None else cast("float", value)


def _logit(share: float) -> float:
    return log(share / (1 - share))
