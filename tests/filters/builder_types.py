# pyright: basic, reportUnnecessaryTypeIgnoreComment=true
"""What type checkers know of the builder. Never run: ``mypy --strict`` and ``pyright`` check it.

Each ``type: ignore`` stands on a mistake that has to be one for the checker, too: without the error, the comment is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_type

from personalize_rt.filters import BoundFilter, Filter, FilterExpression, encode
from personalize_rt.filters.builder import (
    Actions,
    Conditions,
    CurrentItem,
    CurrentUser,
    Interactions,
    Items,
    OfInteractions,
    OfItems,
    UserConditions,
    Users,
    exclude,
    include,
    param,
)

price, now = Decimal("1.5"), datetime.now(UTC)
assert_type(Items.GENRES == "Drama", Conditions[OfItems])
assert_type((Items.YEAR >= 1970) & Items.GENRES.in_("Drama", param("GENRE")), Conditions[OfItems])
assert_type((Items.PRICE < CurrentItem.PRICE) | (Items.price <= price), Conditions[OfItems])
assert_type(Interactions.EVENT_TYPE.in_(["Watch"]), Conditions[OfInteractions])
assert_type((CurrentUser.AGE > 18) & (CurrentUser.since < now), UserConditions)
chain = include(Items.A == 1) | exclude(Interactions.EVENT_TYPE.in_("x"), only_if=CurrentUser.AGE > 18)
assert_type(chain, FilterExpression)
assert_type(Filter("arn", chain).bind(GENRE=["Drama"], YEAR=1970), BoundFilter)

# One dataset in one expression.
(Items.A == 1) & Interactions.EVENT_TYPE.in_("x")  # type: ignore[operator]
(Items.A == 1) | (Users.A == 1)  # type: ignore[operator]
# CurrentUser stands after IF only, and IF knows no OR.
include(CurrentUser.AGE > 18)  # type: ignore[arg-type]
include(Items.A == 1, only_if=Items.A == 1)  # type: ignore[arg-type]
(CurrentUser.AGE > 18) | (CurrentUser.AGE < 5)  # type: ignore[operator]
# Of Interactions only EVENT_TYPE.
value = Interactions.EVENT_VALUE  # type: ignore[attr-defined]
# No parameter after NOT IN, no strings after <, the current item for Items only.
Items.A.not_in(param("X"))  # type: ignore[arg-type]
text = Items.A < "x"  # type: ignore[operator]
action = Actions.VALUE < CurrentItem.VALUE  # type: ignore[operator]
# No value that cannot be sent.
Filter("arn", chain).bind(GENRE=None)  # type: ignore[arg-type]
encode([None], parameter="GENRE")  # type: ignore[list-item]
