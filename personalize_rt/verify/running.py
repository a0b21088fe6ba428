"""The run of all questions: plans the requests, sends them at a pace, has the answers judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.filters.expression import Filter, Parameter
from personalize_rt.filters.values import FilterValue, encode_values
from personalize_rt.transport.asking import Asker
from personalize_rt.verify.judges import Exchange
from personalize_rt.verify.questions import QUESTIONS, Question
from personalize_rt.verify.report import Finding, Report
from personalize_rt.verify.requests import NOBODY, REQUESTS, UNKNOWN, Setup, UsedFilter, operation_of

__all__ = ["MOST_REQUESTS", "PlannedRequest", "plan", "verify"]

MOST_REQUESTS = 40
# Their answers tell items for other requests.
_FIRST = "recommendations"
_FILTERED = "filtered recommendations"


@attrs.frozen(repr=False)
class PlannedRequest:
    """A request that ``verify`` would send.

    Attributes:
        name: Its name.
        operation: The operation.
        members: The members of its body. Items of answers are not known yet, and stand there as ``<item 1>``.
        questions: The questions that look at its answer.
    """

    name: str
    operation: str
    members: Mapping[str, Any]
    questions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.operation} ({self.name}): {json.dumps(self.members, ensure_ascii=False)}"


def verify(
    client: Any,
    *,
    campaign_arn: str | Iterable[str] = (),
    recommender_arn: str | None = None,
    filter_arn: str | Iterable[str] = (),
    filter_expression: str | Iterable[str] = (),
    filter_values: Mapping[str, FilterValue] | None = None,
    user_id: str | None = None,
    item_ids: Iterable[str] = (),
    metadata_columns: Iterable[str] = (),
    context: Mapping[str, str] | None = None,
    requests_per_second: float = 2.0,
    sleep: Callable[[float], object] = time.sleep,
) -> Report:
    """Ask a service whether it is as this project believes. At most 40 read-only requests, none of them repeated.

    Requests are charged, and those that the service is expected to refuse count as 4xx errors in its metrics. Questions
    for which the account lacks something are not asked; the report says what is needed.

    Args:
        client: A ``personalize-runtime`` client of boto3. It stays as it is.
        campaign_arn: A campaign, or several: one that answers GetRecommendations and one that ranks are looked at.
        recommender_arn: A recommender, where no campaign answers GetRecommendations.
        filter_arn: A filter, or several.
        filter_expression: The expressions of the filters, in the same order: they tell which values are required.
        filter_values: Values for the parameters of all filters.
        user_id: The user; by default one that no model knows.
        item_ids: Items that a ranking knows, best about five; by default those of the recommendations. The first one
            is also the item of the request, for related items.
        metadata_columns: Columns of the Items dataset, for campaigns that return metadata.
        context: Contextual metadata, for campaigns that use it.
        requests_per_second: The pace.
        sleep: Waits for so many seconds.

    Returns:
        The findings, with nothing of the account in them: they can be pasted into an issue.

    Raises:
        ValidationError: An argument is wrong, or a campaign answers neither operation.
        PersonalizeError: No answer came, such as without credentials.
    """
    asker = _Asking(Asker(client), 1 / _positive(requests_per_second), sleep)
    given = _given(
        campaign_arn,
        recommender_arn,
        filter_arn,
        filter_expression,
        filter_values,
        user_id,
        item_ids,
        metadata_columns,
        context,
    )
    setup = asker.classify(given)
    for name in _needed(setup):
        asker.ask(name, setup)
        if name == _FILTERED and name in asker.answers:
            setup = attrs.evolve(setup, let_through=asker.answers[name].item_ids[:5])
    return Report([_finding(question, setup, asker) for question in QUESTIONS.values()], asker.sent)


def plan(
    *,
    campaign_arn: str | Iterable[str] = (),
    recommender_arn: str | None = None,
    filter_arn: str | Iterable[str] = (),
    filter_expression: str | Iterable[str] = (),
    filter_values: Mapping[str, FilterValue] | None = None,
    user_id: str | None = None,
    item_ids: Iterable[str] = (),
    metadata_columns: Iterable[str] = (),
    context: Mapping[str, str] | None = None,
) -> list[PlannedRequest]:
    """List what ``verify`` would send with these arguments, without sending anything.

    Which operation a campaign answers is only known when it is asked: here the first campaign counts as one for
    GetRecommendations, where there is no recommender, and as one that ranks, so more requests may be listed than sent.
    """
    given = _given(
        campaign_arn,
        recommender_arn,
        filter_arn,
        filter_expression,
        filter_values,
        user_id,
        item_ids,
        metadata_columns,
        context,
    )
    setup = attrs.evolve(
        given.setup,
        recommends=("recommenderArn", given.recommender)
        if given.recommender
        else ("campaignArn", given.campaigns[0])
        if given.campaigns
        else None,
        ranks=given.campaigns[-1] if given.campaigns else None,
        item_ids=given.item_ids or [f"<item {n}>" for n in range(1, 6)],
    )
    planned: list[PlannedRequest] = []
    for name in _needed(setup):
        members = REQUESTS[name](setup)
        assert members is not None
        questions = tuple(question.name for question in QUESTIONS.values() if name in question.requests)
        planned.append(PlannedRequest(name, operation_of(members).name, members, questions))
    return planned


# What is given.


@attrs.frozen(repr=False)
class _Given:
    campaigns: Sequence[str]
    recommender: str | None
    item_ids: Sequence[str]
    setup: Setup


def _positive(number: float) -> float:
    if not number > 0:
        raise ValidationError("requests_per_second is not above 0", parameter="requests_per_second")
    return number


def _listed(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _given(
    campaign_arn: str | Iterable[str],
    recommender_arn: str | None,
    filter_arn: str | Iterable[str],
    filter_expression: str | Iterable[str],
    filter_values: Mapping[str, FilterValue] | None,
    user_id: str | None,
    item_ids: Iterable[str],
    metadata_columns: Iterable[str],
    context: Mapping[str, str] | None,
) -> _Given:
    campaigns, items = _listed(campaign_arn), _listed(item_ids)
    if not campaigns and recommender_arn is None:
        raise ValidationError("there is nothing to ask: give campaign_arn or recommender_arn", parameter="campaign_arn")
    filters = _filters(_listed(filter_arn), _listed(filter_expression), encode_values(filter_values or {}))
    setup = Setup(
        NOBODY if user_id is None else user_id,
        seed=items[0] if items else None,
        item_ids=items,
        filters=filters,
        columns=_listed(metadata_columns),
        context=dict(context or {}),
    )
    return _Given(campaigns, recommender_arn, items, setup)


def _filters(arns: Sequence[str], texts: Sequence[str], values: Mapping[str, str]) -> list[UsedFilter]:
    if len(texts) not in (0, len(arns)):
        raise ValidationError(
            f"{len(arns)} filters have {len(texts)} expressions: give one for each, in the same order, or none",
            parameter="filter_expression",
        )
    filters: list[UsedFilter] = []
    for n, arn in enumerate(arns):
        expression = Filter.parse(texts[n]) if texts else None
        parameters: Mapping[str, Parameter] = {} if expression is None else expression.parameters
        own = values if expression is None else {name: values[name] for name in parameters if name in values}
        for name, parameter in parameters.items():
            if parameter.required and name not in own:
                raise ValidationError(f"filter_values has no {name}, which a filter needs", parameter="filter_values")
        filters.append(UsedFilter(arn, own, expression))
    return filters


# What is asked.


def _needed(setup: Setup) -> Iterator[str]:
    """The requests of all questions that can be asked, each once, in the order of the table."""
    wanted = {name for question in QUESTIONS.values() for name in question.requests}
    return (name for name in REQUESTS if name in wanted and REQUESTS[name](setup) is not None)


class _Asking:
    """Sends requests at a pace, up to ``MOST_REQUESTS``, and keeps the answers."""

    def __init__(self, asker: Asker, interval: float, sleep: Callable[[float], object]) -> None:
        self._asker = asker
        self._interval = interval
        self._sleep = sleep
        self.sent = 0
        self.answers: dict[str, Exchange] = {}

    def classify(self, given: _Given) -> Setup:
        """Find out which operation each campaign answers, with requests that questions look at anyway."""
        recommends: tuple[str, str] | None = None
        ranks: str | None = None
        if given.recommender is not None:
            recommends = "recommenderArn", given.recommender
            outcome = self._first(attrs.evolve(given.setup, recommends=recommends))
            if outcome is not None:
                raise _unusable("recommender_arn", outcome)
        for arn in given.campaigns:
            outcome = ""
            if recommends is None:
                outcome = self._first(attrs.evolve(given.setup, recommends=("campaignArn", arn)))
                if outcome is None:
                    recommends = "campaignArn", arn
                    continue
            if ranks is None:
                trial = attrs.evolve(given.setup, ranks=arn)
                exchange = self._send(trial.ranking([*given.item_ids[:5], *UNKNOWN]) or {})
                if exchange.status == 200:
                    ranks = arn
                    continue
                outcome = exchange.outcome
            raise _unusable("campaign_arn", outcome or "not asked for")
        items = given.item_ids
        if _FIRST in self.answers and not items:
            items = self.answers[_FIRST].item_ids[:5]
        return attrs.evolve(given.setup, recommends=recommends, ranks=ranks, item_ids=items)

    def _first(self, setup: Setup) -> str | None:
        """Ask for recommendations and keep them; return the outcome of a failure."""
        exchange = self._send(setup.recommendations() or {})
        if exchange.status != 200:
            return exchange.outcome
        self.answers[_FIRST] = exchange
        return None

    def ask(self, name: str, setup: Setup) -> None:
        """Send a request if possible, only once, and within ``MOST_REQUESTS``."""
        members = REQUESTS[name](setup)
        if members is not None and name not in self.answers and self.sent < MOST_REQUESTS:
            self.answers[name] = self._send(members)

    def _send(self, members: Mapping[str, Any]) -> Exchange:
        if self.sent:
            self._sleep(self._interval)
        self.sent += 1
        body = json.dumps(members).encode()
        status, headers, content = self._asker.ask(operation_of(members), body)
        return Exchange(members, status, headers, content.decode("utf-8", "replace"))


def _unusable(parameter: str, outcome: str) -> ValidationError:
    return ValidationError(
        f"{parameter}: the answer of one was {outcome}. Is it there, and may it be asked? Related items need item_ids. "
        "One campaign of each operation is enough",
        parameter=parameter,
    )


def _finding(question: Question, setup: Setup, asker: _Asking) -> Finding:
    about = question.name, question.belief, question.source
    seen = [asker.answers[name] for name in question.requests if name in asker.answers]
    if question.requests and (not seen if question.any else len(seen) < len(question.requests)):
        return Finding(*about, "not asked", f"needs {question.needs}")
    if not question.requests:  # it is about whatever was asked
        verdict = question.judge(setup, list(asker.answers.values()))
    elif any(exchange.settles_nothing for exchange in seen):
        outcomes = ", ".join(sorted({exchange.outcome for exchange in seen if exchange.settles_nothing}))
        return Finding(*about, "unclear", outcomes)
    else:
        verdict = question.judge(setup, seen)
    if verdict.agrees is None:
        return Finding(*about, "unclear", verdict.seen)
    return Finding(*about, "agrees" if verdict.agrees else "disagrees", verdict.seen)
