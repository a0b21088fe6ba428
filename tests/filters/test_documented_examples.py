"""Every expression of the Developer Guide, with what the guide says of it.

F, A, U, P, Q, N, C: the current guide (pages "Item recommendation filter expression examples", "Action …", "User
segment …", "Promoting items", "Filtering …"); H: earlier versions of it.
The expressions are the guide's, word for word.
"""

from __future__ import annotations

from typing import Any

import pytest

from personalize_rt.errors import FilterSyntaxError
from personalize_rt.filters import Catalogue, Filter
from personalize_rt.interactions import Interaction

ITEMS: dict[str, dict[str, Any]] = {
    "A": {
        "CATEGORY": "shoe|clothing",
        "CATEGORY_L1": "shoe",
        "CATEGORY_L2": "boot",
        "GENRE": "drama",
        "PRICE": 10.0,
        "CREATION_TIMESTAMP": 100,
        "DESCRIPTION": "boot",
        "NUMBER_OF_DOWNLOADS": 10,
        "OWNER": "in-house",
        "AVAILABLE": "True",
    },
    "B": {
        "CATEGORY": "shoe",
        "CATEGORY_L1": "shoe",
        "CATEGORY_L2": "sandal",
        "GENRE": "comedy|drama",
        "PRICE": 20.0,
        "CREATION_TIMESTAMP": 200,
        "DESCRIPTION": "sandal",
        "NUMBER_OF_DOWNLOADS": 20,
        "OWNER": "other",
        "AVAILABLE": "True",
    },
    "C": {
        "CATEGORY": "watch",
        "CATEGORY_L1": "watch",
        "CATEGORY_L2": "luxury",
        "GENRE": "comedy",
        "PRICE": 30.0,
        "CREATION_TIMESTAMP": 300,
        "DESCRIPTION": "luxury",
        "NUMBER_OF_DOWNLOADS": 30,
        "OWNER": "in-house",
        "AVAILABLE": "False",
    },
    "D": {
        "CATEGORY": "clothing",
        "CATEGORY_L1": "watch",
        "CATEGORY_L2": "sport",
        "GENRE": "horror",
        "PRICE": 40.0,
        "CREATION_TIMESTAMP": 400,
        "DESCRIPTION": "luxury",
        "NUMBER_OF_DOWNLOADS": 5,
        "OWNER": "other",
        "AVAILABLE": "True",
    },
}
ACTIONS: dict[str, dict[str, Any]] = {
    "renew": {"CATEGORY": "contract", "VALUE": 8, "MEMBERSHIP_LEVEL": "Premium"},
    "install": {"CATEGORY": "app", "VALUE": 5, "MEMBERSHIP_LEVEL": "Basic"},
    "rate": {"CATEGORY": "app", "VALUE": 1, "MEMBERSHIP_LEVEL": "Basic|Premium"},
}
USERS: dict[str, dict[str, Any]] = {
    "adult": {"AGE": 25, "MEMBERSHIP": "gold", "MEMBERSHIP_STATUS": "gold"},
    "child": {"AGE": 12, "MEMBERSHIP": "none", "MEMBERSHIP_STATUS": "none"},
}
# The adult clicked A, streamed B, marked C as a favourite and purchased A; the child did nothing.
EVENTS = [
    Interaction("adult", "A", 1, "Click"),
    Interaction("adult", "B", 2, "stream"),
    Interaction("adult", "C", 3, "favorite"),
    Interaction("adult", "A", 4, "Purchase"),
    Interaction("adult", "A", 5, "purchased"),
]
ACTION_EVENTS = [Interaction("adult", "install", 1, "NOT_TAKEN"), Interaction("adult", "rate", 2, "TAKEN")]

ITEM_EXAMPLES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("F01", "EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($EVENT_TYPE)", {"EVENT_TYPE": "click"}, "adult", "BCD"),
    ("F02", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "stream")', {}, "adult", "CD"),
    ("F02 of another user", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "stream")', {}, "child", "ABCD"),
    ("F03", 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")', {}, "adult", "A"),
    ("F04", "EXCLUDE ItemID WHERE Items.CATEGORY IN ($CATEGORY)", {"CATEGORY": ["clothing", "watch"]}, "adult", "B"),
    (
        "F05",
        "INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.GENRE IN CurrentItem.GENRE",
        {},
        "adult",
        "B",
    ),
    (
        "F06",
        'EXCLUDE ItemID WHERE Items.CATEGORY_L1 IN ("shoe") AND Items.CATEGORY_L2 NOT IN ("boot")',
        {},
        "adult",
        "ACD",
    ),
    ("F07", "INCLUDE ItemID WHERE Items.PRICE <= $PRICE", {"PRICE": 20}, "adult", "AB"),
    ("F08", "INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP < $DATE", {"DATE": 200}, "adult", "A"),
    ("F09", "INCLUDE ItemID WHERE Items.GENRE IN ($GENRE)", {"GENRE": ["comedy", "horror"]}, "adult", "BCD"),
    (
        "F10",
        "INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.CREATION_TIMESTAMP > $DATE",
        {"DATE": 150},
        "adult",
        "B",
    ),
    (
        "F11",
        "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRE) IF CurrentUser.AGE = $AGE",
        {"GENRE": "drama", "AGE": 25},
        "adult",
        "CD",
    ),
    (
        "F11 of another age",
        "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRE) IF CurrentUser.AGE = $AGE",
        {"GENRE": "drama", "AGE": 26},
        "adult",
        "ABCD",
    ),
    (
        "F12",
        'INCLUDE ItemID WHERE Items.CATEGORY_L1 IN ("watch") AND Items.CATEGORY_L2 IN ("luxury") '
        "IF CurrentUser.AGE > 18",
        {},
        "adult",
        "C",
    ),
    (
        "F12 of a child",
        'INCLUDE ItemID WHERE Items.CATEGORY_L1 IN ("watch") AND Items.CATEGORY_L2 IN ("luxury") '
        "IF CurrentUser.AGE > 18",
        {},
        "child",
        "ABCD",
    ),
    (
        "F13",
        "INCLUDE ItemID WHERE Items.CATEGORY IN ($CATEGORY) | "
        'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("favorite")',
        {"CATEGORY": "shoe"},
        "adult",
        "ABC",
    ),
    (
        "F14",
        "INCLUDE ItemID WHERE Items.GENRE IN ($GENRE) | "
        'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "stream")',
        {"GENRE": ["comedy"]},
        "adult",
        "C",
    ),
    ("P01", 'INCLUDE ItemID WHERE Items.OWNER IN ("in-house")', {}, "adult", "AC"),
    ("P02", "INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > $DATE", {"DATE": 200}, "adult", "CD"),
    (
        "P03",
        'INCLUDE ItemID WHERE Items.CATEGORY IN ("clothing") AND Items.AVAILABLE IN ("True")',
        {},
        "adult",
        "AD",
    ),
    (
        "P04",
        'INCLUDE ItemID WHERE Items.CATEGORY IN ("clothing") OR Items.CREATION_TIMESTAMP > $DATE',
        {"DATE": 250},
        "adult",
        "ACD",
    ),
    ("Q01", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("purchased")', {}, "adult", "BCD"),
    ("N01", "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRE)", {"GENRE": ["horror", "comedy"]}, "adult", "A"),
    ("C01", 'EXCLUDE ItemID WHERE Items.CATEGORY IN ("$CATEGORY")', {"CATEGORY": "shoe"}, "adult", "CD"),
    ("C02", "EXCLUDE ItemID WHERE Items.CATEGORY IN ($CATEGORY)", {"CATEGORY": "shoe"}, "adult", "CD"),
    ("H01", 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")', {}, "adult", "ABC"),
    (
        "H02",
        'EXCLUDE ItemID WHERE Items.CATEGORY IN ("shoe") AND Items.DESCRIPTION NOT IN ("boot")',
        {},
        "adult",
        "ACD",
    ),
    ("H03", "INCLUDE ItemID WHERE Items.NUMBER_OF_DOWNLOADS < 20", {}, "adult", "AD"),
    (
        "H04",
        "EXCLUDE ItemID WHERE Items.NUMBER_OF_DOWNLOADS < 20 IF CurrentUser.AGE > 18 AND CurrentUser.AGE < 30",
        {},
        "adult",
        "BC",
    ),
    (
        "H04 of a child",
        "EXCLUDE ItemID WHERE Items.NUMBER_OF_DOWNLOADS < 20 IF CurrentUser.AGE > 18 AND CurrentUser.AGE < 30",
        {},
        "child",
        "ABCD",
    ),
    (
        "H05",
        'INCLUDE ItemID WHERE Items.CATEGORY IN ("watch") AND Items.DESCRIPTION IN ("luxury") IF CurrentUser.AGE > 18',
        {},
        "adult",
        "C",
    ),
    (
        "H06",
        'INCLUDE ItemID WHERE Items.GENRE IN ("drama") | '
        'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "stream")',
        {},
        "child",
        "AB",
    ),
    (
        "H07",
        "INCLUDE ItemID WHERE Items.NUMBER_OF_DOWNLOADS = $NUMBER_OF_DOWNLOADS",
        {"NUMBER_OF_DOWNLOADS": 20},
        "adult",
        "B",
    ),
    ("H08", 'EXCLUDE itemId WHERE INTERACTIONS.event_type in ("EVENT_TYPE")', {}, "adult", "ABCD"),
    ("H08 purchase", 'EXCLUDE itemId WHERE INTERACTIONS.event_type in ("Purchase")', {}, "adult", "BCD"),
    ("H10 a", 'EXCLUDE ItemID WHERE Interaction.event_type IN ("click", "stream")', {}, "adult", "CD"),
    ("H10 b", 'INCLUDE ItemID WHERE Interaction.event_type IN ("*")', {}, "child", ""),
    (
        "H10 c",
        'EXCLUDE ItemID WHERE item.category IN ("shoe") AND item.description NOT IN ("boot")',
        {},
        "adult",
        "ACD",
    ),
    ("H10 d", "INCLUDE ItemID WHERE item.number_of_downloads < 20", {}, "adult", "AD"),
    (
        "H10 e",
        "EXCLUDE ItemID WHERE item.number_of_downloads < 20 IF CurrentUser.age > 18 AND CurrentUser.age < 30",
        {},
        "adult",
        "BC",
    ),
    (
        "H10 f",
        'INCLUDE ItemID WHERE item.category IN ("watch") AND item.description IN ("luxury") IF CurrentUser.age > 18',
        {},
        "adult",
        "C",
    ),
    (
        "H10 g",
        'INCLUDE ItemID WHERE item.genre IN ("drama") | '
        'EXCLUDE ItemID WHERE Interaction.event_type IN ("click", "stream")',
        {},
        "adult",
        "",
    ),
]
ACTION_EXAMPLES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    (
        "A01",
        "INCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ($EVENT_TYPE)",
        {"EVENT_TYPE": "TAKEN"},
        {"rate"},
    ),
    (
        "A02",
        'EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("NOT_TAKEN")',
        {},
        {"renew", "rate"},
    ),
    ("A03", "EXCLUDE ActionID WHERE Actions.CATEGORY IN ($CATEGORY)", {"CATEGORY": "app"}, {"renew"}),
    ("A04", "INCLUDE ActionID WHERE Actions.VALUE > ($VALUE)", {"VALUE": 4}, {"renew", "install"}),
    (
        "A05",
        'INCLUDE ActionID WHERE Action.MEMBERSHIP_LEVEL IN ("Premium") IF CurrentUser.MEMBERSHIP = $PREMIUM',
        {"PREMIUM": "gold"},
        {"renew", "rate"},
    ),
    (
        "A06",
        "EXCLUDE ActionID WHERE Actions.VALUE < ($VALUE) IF CurrentUser.MEMBERSHIP = $PREMIUM",
        {"VALUE": 6, "PREMIUM": "gold"},
        {"renew"},
    ),
    (
        "A06 of other members",
        "EXCLUDE ActionID WHERE Actions.VALUE < ($VALUE) IF CurrentUser.MEMBERSHIP = $PREMIUM",
        {"VALUE": 6, "PREMIUM": "silver"},
        {"renew", "install", "rate"},
    ),
]
USER_EXAMPLES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    (
        "U01",
        "INCLUDE UserID WHERE Users.MEMBERSHIP_STATUS IN ($MEMBERSHIP)",
        {"MEMBERSHIP": ["gold", "silver"]},
        {"adult"},
    ),
    ("U02", "EXCLUDE UserID WHERE Users.AGE < $AGE", {"AGE": 18}, {"adult"}),
    ("U03", 'INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("click", "rating")', {}, {"adult"}),
    (
        "U04",
        "EXCLUDE UserID WHERE Interactions.EVENT_TYPE IN ($EVENT_TYPE)",
        {"EVENT_TYPE": "CLICK"},
        {"child"},
    ),
    ("H09", "EXCLUDE UserID WHERE Users.AGE < 18", {}, {"adult"}),
]
CATALOGUE = Catalogue(ITEMS, users=USERS, interactions=EVENTS)
ARN = "arn:aws:personalize:eu-west-1:123456789012:filter/example"


@pytest.mark.parametrize(
    ("text", "values", "user", "kept"), [row[1:] for row in ITEM_EXAMPLES], ids=[row[0] for row in ITEM_EXAMPLES]
)
def test_item_examples_mean_what_the_guide_says(text: str, values: dict[str, Any], user: str, kept: str) -> None:
    # The current item, where one is asked for, is C.
    bound = Filter(ARN, text).bind(values)
    one_by_one = [
        item
        for item, row in ITEMS.items()
        if bound.matches(
            {"ITEM_ID": item, **row},
            user={"USER_ID": user, **USERS[user]},
            current_item=ITEMS["C"],
            interactions=EVENTS,
        )
    ]
    selector = Filter.parse(text).compile(CATALOGUE)
    assert one_by_one == list(kept)
    assert list(selector.allowed(user_id=user, current_item="C", values=values)) == list(kept)


@pytest.mark.parametrize(
    ("text", "values", "kept"), [row[1:] for row in ACTION_EXAMPLES], ids=[row[0] for row in ACTION_EXAMPLES]
)
def test_action_examples_mean_what_the_guide_says(text: str, values: dict[str, Any], kept: set[str]) -> None:
    expression = Filter.parse(text)
    one_by_one = {
        action
        for action, row in ACTIONS.items()
        if expression.matches(
            {"actionId": action, **row}, user=USERS["adult"], interactions=ACTION_EVENTS, values=values
        )
    }
    catalogue = Catalogue(ACTIONS, target="ActionID", users=USERS, interactions=ACTION_EVENTS)
    assert one_by_one == kept
    assert set(expression.compile(catalogue).allowed(user_id="adult", values=values)) == kept


@pytest.mark.parametrize(
    ("text", "values", "kept"), [row[1:] for row in USER_EXAMPLES], ids=[row[0] for row in USER_EXAMPLES]
)
def test_user_segment_examples_mean_what_the_guide_says(text: str, values: dict[str, Any], kept: set[str]) -> None:
    expression = Filter.parse(text)
    one_by_one = {
        user
        for user, row in USERS.items()
        if expression.matches({"USER_ID": user, **row}, interactions=EVENTS, values=values)
    }
    catalogue = Catalogue(USERS, target="UserID", interactions=EVENTS)
    assert one_by_one == kept
    assert set(expression.compile(catalogue).allowed(values=values)) == kept


def test_examples_are_printed_and_read_back() -> None:
    for row in (*ITEM_EXAMPLES, *ACTION_EXAMPLES, *USER_EXAMPLES):
        expression = Filter.parse(row[1])
        assert Filter.parse(str(expression)) == expression
        assert str(Filter.parse(str(expression))) == str(expression)


def test_the_expression_builders_picture_can_be_written() -> None:
    # In prose only: genres, and as a second part what was downloaded often when the user is older than 17.
    expression = Filter.parse(
        "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRES) | "
        "EXCLUDE ItemID WHERE Items.NUMBER_OF_DOWNLOADS > 20 IF CurrentUser.AGE > 17"
    )
    allowed = expression.compile(CATALOGUE).allowed(user_id="adult", values={"GENRES": "horror"})
    assert list(allowed) == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("INCLUDE ItemID WHERE Items.GENRE NOT IN ($GENRE)", 42, "swap INCLUDE and EXCLUDE"),  # N01, first line
        ('INCLUDE UserID WHERE Interactions.EVENT_TYPE IN (""click")', 50, "two quotes"),  # a typo of 2021
        (
            'INCLUDE ItemID WHERE Items.GENRE IN ("a") AND Interactions.EVENT_TYPE IN ("click")',
            47,
            "chain two expressions",
        ),
        ('EXCLUDE ActionID WHERE Actions.A IN ("a") OR Action_Interactions.EVENT_TYPE IN ("TAKEN")', 46, "one dataset"),
        ("INCLUDE ItemID WHERE CurrentUser.AGE > 18", 22, "only in the IF part"),
        ('EXCLUDE ItemID WHERE Items.GENRE IN ("Comedy") IF users.AGE > 20', 51, "CurrentUser"),
        ("INCLUDE ItemID WHERE Items.A > 1 IF CurrentUser.AGE > 18 AND Items.B > 1", 62, "CurrentUser only"),
        ("INCLUDE ItemID WHERE Items.A > 1 IF CurrentUser.AGE > 18 IF CurrentUser.AGE > 18", 58, "one IF"),
        ("INCLUDE ItemID WHERE Items.A > 1 IF CurrentUser.AGE > 18 OR CurrentUser.AGE < 5", 58, "not with OR"),
        ("IF CurrentUser.AGE > 18 INCLUDE ItemID WHERE Items.A > 1", 1, "INCLUDE or EXCLUDE"),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("*")', 38, "EVENT_TYPE"),
        ("INCLUDE ItemID WHERE Interactions.EVENT_VALUE > 3", 35, "only EVENT_TYPE"),
        ('INCLUDE ItemID WHERE Interactions.DEVICE IN ("tv")', 35, "only EVENT_TYPE"),
        ("INCLUDE ActionID WHERE Actions.REPEAT_FREQUENCY > 3", 32, "applies it by itself"),
        ("INCLUDE ActionID WHERE Actions.expiration_timestamp > 3", 32, "applies it by itself"),
        ('INCLUDE ItemID WHERE Users.COUNTRY IN ("DE")', 22, "IF CurrentUser"),
        ("INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > NOW()", 49, "no time functions"),
        ("INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > {{int(unixtime(now))}}", 49, "no templates"),
        ('ITEMS.genres = "Comedy" AND ITEMS.genres = "Action"', 1, "INCLUDE or EXCLUDE"),  # batch segments' language
        ("INCLUDE ItemID WHERE Items.ACTIVE = true", 37, "boolean fields cannot be filtered"),
        ("INCLUDE ActionID WHERE Actions.VALUE < CurrentItem.VALUE", 40, "Items only"),
    ],
)
def test_what_the_guide_rules_out_is_refused_where_it_stands(text: str, column: int, said: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        Filter.parse(text)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert said in str(caught.value)


def test_the_length_of_an_expression_is_limited() -> None:
    text = 'INCLUDE ItemID WHERE Items.A IN ("' + "x" * 2464 + '")'
    assert len(text) == 2500
    Filter.parse(text)
    with pytest.raises(FilterSyntaxError, match="2,500 characters") as caught:
        Filter.parse(text + " ")
    assert (caught.value.limit, caught.value.column) == (2500, 2501)


def test_the_number_of_distinct_fields_is_limited_over_the_whole_chain() -> None:
    ten = "INCLUDE ItemID WHERE " + " AND ".join(f"Items.F{n} > 1" for n in range(9)) + " IF CurrentUser.AGE > 1"
    Filter.parse(f"{ten} | EXCLUDE ItemID WHERE item.f8 < CurrentItem.F0")
    with pytest.raises(FilterSyntaxError, match="10 distinct fields") as caught:
        Filter.parse(f"{ten} | EXCLUDE ItemID WHERE Items.F9 < 1")
    assert caught.value.limit == 10
