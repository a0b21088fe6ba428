"""Evaluation of a model: asks it for every test user, and measures the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, cast

from personalize_rt import checks
from personalize_rt.columns import as_ids
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.metrics.measures import Ideal
from personalize_rt.metrics.split import Split, temporal_split
from personalize_rt.metrics.table import LONGEST, Metrics, measure
from personalize_rt.notebook.progress import tracked
from personalize_rt.redaction import describe
from personalize_rt.results import Ranking, Recommendations

__all__ = ["Model", "Ranks", "Recommends", "Runtime", "evaluate"]


class Ranks(Protocol):
    """A model that ranks a list for a user: a ``LocalReranker``, a campaign of a personalized-ranking recipe."""

    def rank(self, *, user_id: str, input_list: Iterable[str]) -> Ranking:
        """Rank items for a user."""
        ...


class Recommends(Protocol):
    """A model that recommends items to a user: a campaign, a recommender."""

    def recommend(self, user_id: str | None = None, *, num_results: int | None = None) -> Recommendations:
        """Ask for items."""
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
Model = Ranks | Recommends | Runtime | Callable[[str], Iterable[str] | Ranking | Recommendations]


def evaluate(
    model: Model,
    interactions: Split | Iterable[Interaction],
    *,
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    candidates: Iterable[str] | None = None,
    catalogue: Iterable[str] | None = None,
    ideal: Ideal = "found",
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
            :func:`temporal_split` then splits.
        campaign_arn: The campaign to ask, when ``model`` is a runtime.
        recommender_arn: The recommender to ask, when ``model`` is a runtime.
        candidates: The items to rank for every user, for a model that ranks. Without them, a campaign is asked for
            recommendations, and a ``LocalReranker`` ranks the 500 items with the most past events.
        catalogue: The items of which coverage is the share; by default those of the interactions.
        ideal: See :func:`normalized_discounted_cumulative_gain`.
        progress: Whether to show a bar; by default on a terminal and in a notebook, if tqdm is installed.

    Returns:
        The metrics of the service, by its names.

    Raises:
        ValidationError: No user has future events, or the arguments do not go together.
        PersonalizeError: A call of the model failed, which ends the evaluation.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed; or a frame, and narwhals is not.
    """
    split = interactions if isinstance(interactions, Split) else temporal_split(interactions)
    relevant = split.relevant
    if not relevant:
        raise ValidationError(
            "interactions leave nothing to predict: no user has two events, or the split has no future",
            parameter="interactions",
        )
    known = None if catalogue is None else as_ids(catalogue, "catalogue")
    items: Collection[str] = split.items if known is None else checks.listed(known, "catalogue")
    ask = _ask(_bound(model, campaign_arn, recommender_arn), candidates, split)
    answers = {user: _ids(ask(user)) for user in tracked(relevant, "evaluating", progress)}
    return measure(answers, relevant, catalogue=items, ideal=ideal)


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


def _ask(model: Any, candidates: Iterable[str] | None, split: Split) -> Callable[[str], Any]:
    """Make a function that asks the model for a user."""
    if hasattr(model, "rank") and (candidates is not None or not hasattr(model, "recommend")):
        ranked = _popular(model, split) if candidates is None else checks.listed(candidates, "candidates")
        if not ranked:
            raise ValidationError(
                "there is nothing to rank: give candidates, or a split with a past", parameter="candidates"
            )
        return lambda user: model.rank(user_id=user, input_list=ranked)
    if candidates is not None:
        raise ValidationError("candidates go with a model that ranks; this one does not", parameter="candidates")
    if hasattr(model, "recommend"):
        return lambda user: model.recommend(user_id=user, num_results=LONGEST)
    if callable(model):
        return cast("Callable[[str], Any]", model)
    raise ValidationError(
        f"model is {describe(model)}; it takes a LocalReranker, a campaign, a recommender, a runtime, or a function of "
        "a user id",
        parameter="model",
    )


def _popular(model: Any, split: Split) -> list[str]:
    """The items with the most past events, as many as the model may rank; equal ones by their first event."""
    limits: Limits = getattr(model, "limits", Limits())
    counts = Counter(event.item_id for event in split.past)
    return [item for item, _ in counts.most_common(limits.input_list)]


def _ids(answer: Any) -> Sequence[str]:
    if isinstance(answer, Ranking | Recommendations):
        return answer.item_ids
    return checks.listed(answer, "the answer of the model")
