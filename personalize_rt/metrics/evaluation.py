"""Evaluation of a model: asks it for every test user, and measures the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast, get_args

from personalize_rt import checks
from personalize_rt.columns import as_ids
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.metrics.actions import measure_actions
from personalize_rt.metrics.measures import Ideal
from personalize_rt.metrics.split import Split, temporal_split
from personalize_rt.metrics.table import LONGEST, Metrics, measure
from personalize_rt.notebook.progress import tracked
from personalize_rt.redaction import describe
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = [
    "MOST",
    "Kind",
    "Model",
    "Offers",
    "Ranks",
    "Recommends",
    "Runtime",
    "ask",
    "evaluate",
    "ids_of",
    "measured",
    "popular",
]

Kind = Literal["items", "related-items", "actions"]
"""The kind of model: for users, for items, or of actions."""

# The most that an answer may have.
MOST = Limits().num_results or LONGEST
_MOST_ACTIONS = Limits().num_actions


class Ranks(Protocol):
    """A model that ranks a list for a user: a ``LocalReranker``, a campaign of a personalized-ranking recipe."""

    def rank(self, *, user_id: str, input_list: Iterable[str]) -> Ranking:
        """Rank items for a user."""
        ...


class Recommends(Protocol):
    """A model that recommends items to a user: a campaign, a recommender."""

    def recommend(self, user_id: str | None = None, *, num_results: int | None = None) -> Recommendations:
        """Ask for items; for ``kind="related-items"``, with ``item_id``."""
        ...


class Offers(Protocol):
    """A model that offers actions to a user: a campaign of the Next-Best-Action recipe."""

    def actions(self, user_id: str, *, num_results: int | None = None) -> ActionRecommendations:
        """Ask for actions."""
        ...


class Runtime(Protocol):
    """A ``PersonalizeRuntime``; ``campaign_arn`` or ``recommender_arn`` names the model."""

    def campaign(self, arn: str, /) -> Ranks | Recommends:
        """Bind a campaign."""
        ...

    def recommender(self, arn: str, /) -> Recommends:
        """Bind a recommender."""
        ...


Ask = Callable[[str], Iterable[str]]
Model = (
    Ranks
    | Recommends
    | Offers
    | Runtime
    | Callable[[str], Iterable[str] | Ranking | Recommendations | ActionRecommendations]
)


def evaluate(
    model: Model,
    interactions: Split | Iterable[Interaction],
    *,
    kind: Kind = "items",
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    candidates: Iterable[str] | None = None,
    catalogue: Iterable[str] | None = None,
    ideal: Ideal = "found",
    rewards: Mapping[str, float] | None = None,
    event_weights: Mapping[str, float] | None = None,
    progress: bool | None = None,
) -> Metrics:
    """Ask a model for each user with future events, and measure the first 25 items of its answers.

    The figures are fair only if the model did not learn from the events to predict: split first, fit on ``split.past``,
    and pass the split. A model that learned from all interactions, like those of the embedded service, looks better
    than it is.

    Args:
        model: One of: a ``LocalReranker``; a campaign or recommender of a runtime, or the runtime itself together with
            one of the ARNs; a function that takes a user id and returns item ids or an answer.
        interactions: A split; or all interactions (a pandas, Polars or Arrow frame of them too), which
            :func:`temporal_split` then splits. For actions, the events of users with actions, with the action as
            ``item_id``.
        kind: The kind of model: ``"items"``; ``"related-items"``, which is asked for items related to the user's latest
            past event (a function gets its item id); or ``"actions"``, of the Next-Best-Action recipe, for which events
            of type ``TAKEN``, or without a type, are those to predict.
        campaign_arn: The campaign to ask, when ``model`` is a runtime.
        recommender_arn: The recommender to ask, when ``model`` is a runtime.
        candidates: The items to rank for every user, for a model that ranks. Without them, a campaign is asked for
            recommendations, and a ``LocalReranker`` ranks the 500 items with the most past events.
        catalogue: The items of which coverage is the share; by default those of the interactions.
        ideal: See :func:`normalized_discounted_cumulative_gain`.
        rewards: Item id to its value in the column of an optimization objective, for ``average_rewards_at_k``; 500
            recommendations are then asked for. Not for actions.
        event_weights: Event type to weight, as in ``eventsConfig`` of a solution, for
            ``normalized_discounted_cumulative_gain_with_event_weights_at_k``. Not for actions.
        progress: Whether to show a bar; by default on a terminal and in a notebook, if tqdm is installed.

    Returns:
        The metrics of the service, by its names: see :func:`measure`, and for actions :func:`measure_actions`.

    Raises:
        ValidationError: No user has future events, or the arguments do not go together.
        PersonalizeError: A call of the model failed, which ends the evaluation.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed; or a frame, and narwhals is not.
    """
    split = interactions if isinstance(interactions, Split) else temporal_split(interactions)
    items = None if catalogue is None else checks.listed(as_ids(catalogue, "catalogue"), "catalogue")
    if kind == "actions" and (rewards is not None or event_weights is not None):
        raise ValidationError("rewards and event_weights go with items only", parameter="kind")
    answers = ask(
        model,
        split,
        kind=kind,
        campaign_arn=campaign_arn,
        recommender_arn=recommender_arn,
        candidates=candidates,
        most=LONGEST if rewards is None else MOST,
        progress=progress,
    )
    return measured(answers, split, kind, catalogue=items, ideal=ideal, rewards=rewards, event_weights=event_weights)


def measured(
    answers: Mapping[str, Any],
    split: Split,
    kind: Kind,
    *,
    catalogue: Collection[str] | None,
    ideal: Ideal = "found",
    rewards: Mapping[str, float] | None,
    event_weights: Mapping[str, float] | None,
) -> Metrics:
    """Measure the answers of :func:`ask`; the arguments are those of :func:`evaluate`."""
    items = split.items if catalogue is None else catalogue
    if kind == "actions":
        return measure_actions(answers, split.taken, catalogue=items, ideal=ideal)
    lists = {user: ids_of(answer) for user, answer in answers.items()}
    event_rewards = None if event_weights is None else split.rewards(event_weights)
    return measure(lists, split.relevant, catalogue=items, ideal=ideal, rewards=rewards, event_rewards=event_rewards)


def ask(
    model: Model,
    split: Split,
    *,
    kind: Kind = "items",
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    candidates: Iterable[str] | None = None,
    most: int = LONGEST,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Ask a model for each user with future events, as :func:`evaluate` does, and return the answers unmeasured.

    For :func:`measure` with other cut-offs or truths, and for :func:`beyond_accuracy`.

    Args:
        model: See :func:`evaluate`.
        split: The split.
        kind: See :func:`evaluate`.
        campaign_arn: See :func:`evaluate`.
        recommender_arn: See :func:`evaluate`.
        candidates: See :func:`evaluate`.
        most: The number of items to ask a campaign or recommender for; of actions, all are asked for.
        progress: See :func:`evaluate`.

    Returns:
        User id to the answer of the model.

    Raises:
        ValidationError: No user has future events, or the arguments do not go together.
        PersonalizeError: A call of the model failed.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.
    """
    checks.one_of(kind, "kind", *get_args(Kind))
    users = split.relevant
    if not users:
        raise ValidationError(
            "interactions leave nothing to predict: no user has two events, or the split has no future",
            parameter="interactions",
        )
    one = _ask(_bound(model, campaign_arn, recommender_arn), candidates, split, kind, checks.whole(most, "most"))
    return {user: one(user) for user in tracked(users, "evaluating", progress)}


def _bound(model: Any, campaign_arn: str | None, recommender_arn: str | None) -> Any:
    """The handle of a runtime; any other model as it is."""
    given = [arn for arn in (campaign_arn, recommender_arn) if arn is not None]
    if not hasattr(model, "campaign"):
        if given:
            raise ValidationError("an ARN goes with a runtime only; this model needs none", parameter="campaign_arn")
        return model
    if len(given) != 1:
        raise ValidationError(
            "a runtime has many models: give campaign_arn or recommender_arn, or runtime.campaign(arn) as the model",
            parameter="campaign_arn",
        )
    return model.campaign(campaign_arn) if campaign_arn is not None else model.recommender(recommender_arn)


def _ask(model: Any, candidates: Iterable[str] | None, split: Split, kind: Kind, most: int) -> Callable[[str], Any]:
    """Make a function that asks the model for a user."""
    if kind == "related-items":
        return _ask_related(model, candidates, split.latest, most)
    if kind == "actions" and hasattr(model, "actions") and candidates is None:
        return lambda user: model.actions(user, num_results=_MOST_ACTIONS)
    if hasattr(model, "rank") and (candidates is not None or not hasattr(model, "recommend")):
        limits: Limits = getattr(model, "limits", Limits())
        ranked = popular(split, limits.input_list) if candidates is None else checks.listed(candidates, "candidates")
        if not ranked:
            raise ValidationError(
                "there is nothing to rank: give candidates, or a split with a past", parameter="candidates"
            )
        return lambda user: model.rank(user_id=user, input_list=ranked)
    if candidates is not None:
        raise ValidationError("candidates go with a model that ranks; this one does not", parameter="candidates")
    if hasattr(model, "recommend"):
        return lambda user: model.recommend(user_id=user, num_results=most)
    if callable(model):
        return cast("Callable[[str], Any]", model)
    raise ValidationError(
        f"model is {describe(model)}; it takes a LocalReranker, a campaign, a recommender, a runtime, or a function of "
        "a user id",
        parameter="model",
    )


def _ask_related(
    model: Any, candidates: Iterable[str] | None, latest: Mapping[str, str], most: int
) -> Callable[[str], Any]:
    """Make a function that asks the model for items related to a user's latest one; for a user without, none."""
    if candidates is not None:
        raise ValidationError("candidates do not go with related items", parameter="candidates")
    if hasattr(model, "recommend"):

        def related(user: str, item: str) -> Any:
            # Some use cases require the user too; recipes that do not look at users ignore it.
            return model.recommend(user_id=user, item_id=item, num_results=most)

    elif callable(model):

        def related(user: str, item: str) -> Any:
            return model(item)

    else:
        raise ValidationError(f"model is {describe(model)}, which knows no related items", parameter="model")
    return lambda user: related(user, latest[user]) if user in latest else ()


def popular(split: Split, most: int | None) -> list[str]:
    """The items with the most past events; equal ones by their first event."""
    return [item for item, _ in Counter(event.item_id for event in split.past).most_common(most)]


def ids_of(answer: Any) -> Sequence[str]:
    """The items of an answer.

    Raises:
        ValidationError: It is no list of items.
    """
    if isinstance(answer, Ranking | Recommendations):
        return answer.item_ids
    if isinstance(answer, ActionRecommendations):
        raise ValidationError('the model answers with actions: evaluate it with kind="actions"', parameter="kind")
    return checks.listed(answer, "the answer of the model")
