"""The parts that operations of the control plane share: shapes of the model, by their names there, and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, nan
from typing import Any, cast

import attrs

from personalize_rt.local.control.group import exceeded
from personalize_rt.local.control.kinds import Kind
from personalize_rt.local.control.plane import ControlPlane
from personalize_rt.local.control.shapes import Entries, Flag, Items, Number, Shape, Structure, Text, Whole, invalid
from personalize_rt.local.engine import RefusedError

__all__ = [
    "ARN",
    "CAMPAIGN_CONFIG",
    "DATASET_TYPE",
    "DOMAIN",
    "HYPERPARAMETERS",
    "NAME",
    "PAGE",
    "PER_DATASET",
    "RECOMMENDER_CONFIG",
    "TAGS",
    "TAGS_SHAPE",
    "TAG_KEY",
    "ControlOperation",
    "Members",
    "Reply",
    "campaign_configuration",
    "configuration",
    "must_be_free",
    "must_have_room",
    "tags_of",
    "takes",
]

Members = dict[str, Any]
Reply = Mapping[str, Any]

# Guide, "Tagging Amazon Personalize resources": each resource may have 50 tags.
TAGS = 50
# What memory is for, whatever the quotas: the resources of one kind in an account. Each dataset group has an engine.
MOST_OF_A_KIND = 10_000
MOST_GROUPS = 1_000


@attrs.frozen
class ControlOperation:
    """One operation.

    Attributes:
        takes: The members of its request.
        answer: Answers a checked request.
    """

    takes: Structure
    answer: Callable[[ControlPlane, Members], Reply | None]


# Shapes of the model, by their names there.

ARN = Text(most=256, pattern=r"arn:([a-z\d-]+):personalize:.*:.*:.+")
NAME = Text(1, 63, r"^[a-zA-Z0-9][a-zA-Z0-9\-_]*")
TAG_KEY = Text(1, 128, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
TAG_VALUE = Text(0, 256, TAG_KEY.pattern)
TAGS_SHAPE = Items(Structure({"tagKey": TAG_KEY, "tagValue": TAG_VALUE}, ("tagKey", "tagValue")), 200)
DOMAIN = Text(choices=("ECOMMERCE", "VIDEO_ON_DEMAND"))
HYPERPARAMETERS = Entries(Text(most=256), Text(most=1000), 100)
DATASET_TYPE = Text(most=256, pattern="^[A-Za-z_]+$")
COLUMNS = Items(Text(most=150, pattern=r"[A-Za-z_][A-Za-z\d_]*"), 50)
PER_DATASET = Entries(DATASET_TYPE, COLUMNS, 3)
PAGE: Mapping[str, Shape] = {
    "nextToken": Text(most=1500, pattern=r"\p{ASCII}{0,1500}"),
    "maxResults": Whole(1, 100),
}
CAMPAIGN_CONFIG = Structure(
    {
        "itemExplorationConfig": HYPERPARAMETERS,
        "enableMetadataWithRecommendations": Flag(),
        "syncWithLatestSolutionVersion": Flag(),
        "rankingInfluence": Entries(Text(choices=("POPULARITY", "FRESHNESS")), Number(0, 1)),
    }
)
RECOMMENDER_CONFIG = Structure(
    {
        "itemExplorationConfig": HYPERPARAMETERS,
        "minRecommendationRequestsPerSecond": Whole(1),
        "trainingDataConfig": Structure({"excludedDatasetColumns": PER_DATASET, "includedDatasetColumns": PER_DATASET}),
        "enableMetadataWithRecommendations": Flag(),
    }
)
# What is taken of these. Exploration is told and changes nothing, like a capacity, since the first tutorial of AWS asks
# for it; of anything else a program might wait for the effect.
CONFIGURABLE = ("enableMetadataWithRecommendations", "syncWithLatestSolutionVersion", "itemExplorationConfig")


def configuration(member: str, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The checked configuration of a campaign or recommender.

    Raises:
        RefusedError: ``InvalidInputException``; it has what the embedded service has not.
    """
    given = {name: value for name, value in (config or {}).items() if value is not None}
    for name in given:
        if name not in CONFIGURABLE:
            raise invalid(f"{member}.{name}: the embedded service does not have it, and would ignore it")
    _check_exploration(f"{member}.itemExplorationConfig", given.get("itemExplorationConfig", {}))
    return given


def _check_exploration(member: str, config: Mapping[str, str]) -> None:
    """Refuse what is no exploration of the guide ("User-Personalization recipe", Properties and hyperparameters)."""
    for name, text in config.items():
        try:
            value = float(text)
        except ValueError:
            value = nan
        if name == "explorationWeight":
            fits, expected = 0 <= value <= 1, "a number from 0 to 1, as text"
        elif name == "explorationItemAgeCutOff":
            fits, expected = 0 < value < inf, "a positive number of days, as text"
        else:
            raise invalid(f"{member}: expected explorationWeight and explorationItemAgeCutOff, and no other names")
        if not fits:
            raise invalid(f"{member}.{name}: expected {expected}")


def campaign_configuration(config: Mapping[str, Any] | None, version: str) -> dict[str, Any]:
    """The checked configuration of a campaign.

    Args:
        config: The configuration, or ``None``.
        version: The solution version of the request.

    Raises:
        RefusedError: ``InvalidInputException``; see :func:`configuration`. And
            ``syncWithLatestSolutionVersion`` goes together with an ARN that ends in ``/$LATEST`` (API reference).
    """
    checked = configuration("campaignConfig", config)
    if checked.get("syncWithLatestSolutionVersion") and not version.endswith("/$LATEST"):
        raise invalid("solutionVersionArn: syncWithLatestSolutionVersion needs one that ends in /$LATEST")
    return checked


def tags_of(members: Members) -> dict[str, str]:
    """The checked tags of a request."""
    tags: dict[str, str] = {}
    for tag in cast("list[dict[str, str]]", members.get("tags", [])):
        key = tag["tagKey"]
        if key in tags:
            raise invalid("tags: a key comes twice")
        if key.lower().startswith("aws:"):
            raise invalid("tags: keys that begin with aws: are reserved")
        tags[key] = tag["tagValue"]
    if len(tags) > TAGS:
        raise RefusedError("TooManyTagsException", f"tags: a resource may have {TAGS}, not {len(tags)}")
    return tags


def must_be_free(plane: ControlPlane, kind: Kind, name: str) -> None:
    """Refuse a name that a resource of the kind has; names are unique in an account and region.

    Raises:
        RefusedError: ``ResourceAlreadyExistsException``; ``LimitExceededException``, see :func:`must_have_room`.
    """
    for arn, _ in plane.arns(kind):
        if arn.rpartition("/")[2] == name:
            raise RefusedError("ResourceAlreadyExistsException", f"there is a {kind.label} {arn} already")
    must_have_room(plane, kind)


def must_have_room(plane: ControlPlane, kind: Kind) -> None:
    """Refuse one resource more than fits.

    Raises:
        RefusedError: ``LimitExceededException``; the account has as many of the kind as the embedded service keeps.
    """
    if plane.account.keeper.is_telling:
        return  # a restart refuses nothing that was accepted
    most = MOST_GROUPS if kind.name == "DatasetGroup" else MOST_OF_A_KIND
    if sum(1 for _ in plane.arns(kind)) >= most:
        raise exceeded(
            f"the embedded service keeps {most:,} {kind.label}s, and has them: delete some, or start it anew"
        )


def takes(*required: str, **members: Shape) -> Structure:
    """The members of a request, and the names of those that may not be missing."""
    return Structure(members, required)
