"""What type checkers know of the builder."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_type

from personalize_rt.filters import BoundFilter, Filter, FilterExpression
from personalize_rt.filters.builder import (
    Conditions,
    CurrentItem,
    CurrentUser,
    Interactions,
    Items,
    OfInteractions,
    OfItems,
    UserConditions,
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
