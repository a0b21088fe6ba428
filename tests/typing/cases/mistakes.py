# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnusedExpression=false
# pyright: reportUnusedImport=false
# ruff: noqa: B015, B018, F401, I001
"""Mistakes that must be errors for type checkers. Beside each stands what mypy / pyright call it.

What is on its line alone ("unused", "unknown") is not asked of pyright here, nor of ruff.
"""

from __future__ import annotations

from collections.abc import Sequence

import personalize_rt
from personalize_rt import (
    ActionRecommendations,
    Campaign,
    CircuitBreaker,
    Filter,
    Interaction,
    Limits,
    LocalReranker,
    PersonalizeRuntime,
    PredictedItem,
    Promotion,
    Ranking,
    RawFilterValues,
    Recommendations,
    ResponseInfo,
    RetryPolicy,
    ServiceError,
    TransportError,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.filters import encode
from personalize_rt.filters.builder import Actions, CurrentItem, CurrentUser, Interactions, Items, Users, include, param
from personalize_rt.local import LocalPersonalize
from personalize_rt.testing import set_testing
from personalize_rt.testing.record import Cassette

# A name that is not there.
from personalize_rt import PersonaliseRuntime  # mistake: attr-defined / AttributeAccessIssue
from personalize_rt.filters import Filtr  # mistake: attr-defined / AttributeAccessIssue
import personalize_rt.clients  # mistake: import-not-found / MissingImports

personalize_rt.Rankings  # mistake: attr-defined / AttributeAccessIssue (not ty)


# Values do not change.
def change(item: PredictedItem, ranking: Ranking, info: ResponseInfo, limits: Limits, event: Interaction) -> None:
    item.score = 0.5  # mistake: misc / AttributeAccessIssue
    item.metadata["TITLE"] = "x"  # mistake: index / IndexIssue
    ranking.item_ids = ("b",)  # mistake: misc / AttributeAccessIssue
    ranking[0] = item  # mistake: index / IndexIssue
    ranking.scores = (1.0,)  # mistake: misc / AttributeAccessIssue
    ranking.append(item)  # mistake: attr-defined / AttributeAccessIssue
    info.attempts = 2  # mistake: misc / AttributeAccessIssue
    limits.input_list = 1000  # mistake: misc / AttributeAccessIssue
    RetryPolicy().attempts = 5  # mistake: misc / AttributeAccessIssue
    event.user_id = "v"  # mistake: misc / AttributeAccessIssue


# What may be None must be asked first; what is not there is an error.
def read(item: PredictedItem, ranking: Ranking, some: Recommendations, actions: ActionRecommendations) -> None:
    item.score + 1  # mistake: operator / OptionalOperand
    ranking.position("a") + 1  # mistake: operator / OptionalOperand
    ranking.get("a").item_id  # mistake: union-attr / OptionalMemberAccess
    numbers: tuple[float, ...] = ranking.scores  # mistake: assignment / AssignmentType
    text: str = ranking.recommendation_id  # mistake: assignment / AssignmentType
    some.unscored  # mistake: attr-defined / AttributeAccessIssue
    actions.item_ids  # mistake: attr-defined / AttributeAccessIssue
    ranking.action_ids  # mistake: attr-defined / AttributeAccessIssue
    ids: Sequence[str] = ranking  # mistake: assignment / AssignmentType
    print(numbers, text, ids)


# Arguments: by name, all that are needed, no others.
def call(runtime: PersonalizeRuntime) -> None:
    runtime.get_recommendations("arn")  # mistake: call-arg / CallIssue
    runtime.get_recommendations(campaign_arn="arn", num_result=5)  # mistake: call-arg / CallIssue
    runtime.get_personalized_ranking(campaign_arn="arn", user_id="u")  # mistake: call-arg / CallIssue
    runtime.get_action_recommendations(user_id="u")  # mistake: call-arg / CallIssue
    runtime.recommender("arn").rank("u", ["a"])  # mistake: attr-defined / AttributeAccessIssue
    runtime.campaign("arn", user_id="u")  # mistake: call-arg / CallIssue


# Arguments of the right kind. (A str as input_list, or True as a number, is one for every type checker; the call
# itself refuses it.)
def ask(movies: Campaign) -> None:
    movies.rank(7, ["a"])  # mistake: arg-type / ArgumentType
    movies.rank(None, ["a"])  # mistake: arg-type / ArgumentType
    movies.rank("u", [1, 2])  # mistake: list-item / ArgumentType
    movies.rank("u", [None])  # mistake: list-item / ArgumentType
    movies.rank("u", None)  # mistake: arg-type / ArgumentType
    movies.rank("u", 7)  # mistake: arg-type / ArgumentType
    movies.recommend("u", num_results="5")  # mistake: arg-type / ArgumentType
    movies.recommend("u", context={"DEVICE": 1})  # mistake: dict-item / ArgumentType
    movies.recommend("u", context=["DEVICE"])  # mistake: arg-type / ArgumentType
    movies.recommend("u", promotions=Promotion("sale", 20))  # mistake: arg-type / ArgumentType
    movies.recommend("u", metadata_columns=7)  # mistake: arg-type / ArgumentType
    movies.recommend("u", filter="INCLUDE …")  # mistake: arg-type / ArgumentType
    movies.recommend("u", filter_values={"GENRE": None})  # mistake: dict-item / ArgumentType
    movies.recommend("u", filter_values={"GENRE": object()})  # mistake: dict-item / ArgumentType
    Promotion("sale", "20")  # mistake: arg-type / ArgumentType
    Promotion("sale", 20, filter="INCLUDE …")  # mistake: arg-type / ArgumentType
    Filter("arn", "INCLUDE …").bind(GENRE=None)  # mistake: arg-type / ArgumentType


# Expressions: one dataset in each; CurrentUser after IF only, where there is no OR; of Interactions only EVENT_TYPE.
def express() -> None:
    (Items.A == 1) & Interactions.EVENT_TYPE.in_("x")  # mistake: operator / OperatorIssue
    (Items.A == 1) | (Users.A == 1)  # mistake: operator / OperatorIssue
    include(CurrentUser.AGE > 18)  # mistake: arg-type / ArgumentType
    include(Items.A == 1, only_if=Items.A == 1)  # mistake: arg-type / ArgumentType
    (CurrentUser.AGE > 18) | (CurrentUser.AGE < 5)  # mistake: operator / OperatorIssue
    Interactions.EVENT_VALUE  # mistake: attr-defined / AttributeAccessIssue
    # No parameter after NOT IN, no strings after <, the current item for Items only, no value that cannot be sent.
    Items.A.not_in(param("X"))  # mistake: arg-type / ArgumentType
    Items.A < "x"  # mistake: operator / OperatorIssue
    Actions.VALUE < CurrentItem.VALUE  # mistake: operator / OperatorIssue
    encode([None], parameter="GENRE")  # mistake: list-item / ArgumentType


# Options.
def build(runtime: PersonalizeRuntime, ranking: Ranking) -> None:
    PersonalizeRuntime(deadline="2")  # mistake: arg-type / ArgumentType
    PersonalizeRuntime(retries=3)  # mistake: call-arg / CallIssue
    PersonalizeRuntime(retry=3)  # mistake: arg-type / ArgumentType
    PersonalizeRuntime(hooks=print)  # mistake: arg-type / ArgumentType
    PersonalizeRuntime(fallback=ranking)  # mistake: arg-type / ArgumentType
    runtime.with_options(retry=None)  # mistake: arg-type / ArgumentType
    runtime.with_options(region_name="eu-west-1")  # mistake: call-arg / CallIssue
    RetryPolicy(attempts="3")  # mistake: arg-type / ArgumentType
    Limits(input_list="500")  # mistake: arg-type / ArgumentType
    CircuitBreaker(0.5)  # mistake: call-arg / CallIssue
    set_testing("yes")  # mistake: arg-type / ArgumentType
    LocalReranker({"a": "1.5"})  # mistake: dict-item / ArgumentType
    LocalReranker(len)  # mistake: arg-type / ArgumentType
    Interaction(1, "i", 0)  # mistake: arg-type / ArgumentType
    LocalPersonalize.from_directory()  # mistake: call-arg / CallIssue
    LocalPersonalize.sample().campaign_arn()  # mistake: call-arg / CallIssue
    LocalPersonalize.sample().runtime(deadlin=3)  # mistake: call-arg / CallIssue (not ty)
    LocalPersonalize.sample().runtime(deadline="3")  # mistake: arg-type / ArgumentType
    LocalPersonalize.sample().async_runtime(retries=3)  # mistake: call-arg / CallIssue (not ty)
    Cassette.load("cassette.json").runtime(deadlin=3)  # mistake: call-arg / CallIssue (not ty)
    PersonalizeRuntime(verify=1.5)  # mistake: arg-type / ArgumentType
    RawFilterValues({"YEAR": 1999})  # mistake: dict-item / ArgumentType


# A handle for any ARN may be a recommender's; there are no pages.
def resource(runtime: PersonalizeRuntime) -> None:
    runtime.resource("arn").rank("u", ["a"])  # mistake: union-attr / AttributeAccessIssue
    runtime.as_boto3().get_recommendations("arn")  # mistake: call-arg / CallIssue


# Errors.
def about(service: ServiceError, transport: TransportError) -> None:
    service.retry_afer  # mistake: attr-defined / AttributeAccessIssue (not mypy without stubs)
    transport.status_code  # mistake: attr-defined / AttributeAccessIssue (not mypy without stubs)
    ValidationError("x", "parameter")  # mistake: call-arg / CallIssue
    if transport.phase == "reading":  # mistake: comparison-overlap / UnnecessaryComparison (not pyrefly, ty)
        return


# What is not awaited has no rows yet.
async def forget(awaited: AsyncPersonalizeRuntime) -> None:
    awaited.get_recommendations(campaign_arn="arn").item_ids  # mistake: attr-defined / AttributeAccessIssue
    with awaited:  # mistake: attr-defined / GeneralTypeIssues
        pass
