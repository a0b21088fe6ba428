"""Filters: text, parameters, values, and what a filter lets through."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, assert_type

from personalize_rt import BoundFilter, Filter, FilterExpression, Interaction, PersonalizeRuntime, Promotion
from personalize_rt.filters import Catalogue, Parameter, Selector, decode, encode, encode_values

unseen = Filter("arn", "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Items.YEAR < 1970")
assert_type(unseen.arn, str)
assert_type(unseen.expression, FilterExpression)
assert_type(unseen.parameters, Mapping[str, Parameter])
assert_type(unseen.parameters["GENRE"].required, bool)
assert_type(unseen.bind(GENRE=["Comedy"]), BoundFilter)
assert_type(unseen.bind({"GENRE": "Comedy"}), BoundFilter)
bound = unseen.bind(GENRE={"Comedy"})
assert_type(bound.filter_arn, str)
assert_type(bound.filter_values, dict[str, str])

runtime = PersonalizeRuntime()
runtime.get_recommendations(campaign_arn="arn", filter=bound, promotions=[Promotion("sale", 20, filter=unseen)])
runtime.get_personalized_ranking(campaign_arn="arn", user_id="u", input_list=["a"], filter=unseen)
runtime.campaign("arn", filter=bound).actions("u", filter=unseen)

expression = Filter.parse("INCLUDE ItemID WHERE Items.YEAR >= 1970")
assert_type(expression, FilterExpression)
assert_type(expression.target, Literal["ItemID", "ActionID", "UserID"])
assert_type(str(expression), str)
assert_type(expression.to_dict(), dict[str, Any])
assert_type(FilterExpression.from_dict(expression.to_dict()), FilterExpression)
assert_type(expression | expression, FilterExpression)
seen = [Interaction("u", "i", 0, event_type="Watch")]
assert_type(expression.matches({"ITEM_ID": "i", "YEAR": 1999}, user={"AGE": 18}, interactions=seen), bool)
assert_type(expression.compile(Catalogue({"i": {"YEAR": 1999}})), Selector)

assert_type(encode(["Comedy", "Drama"], parameter="GENRE"), str)
assert_type(encode_values({"GENRE": "Comedy", "YEAR": 1999}), dict[str, str])
assert_type(decode('"Comedy"'), str | int | Decimal | tuple[str | int | Decimal, ...])
