"""The options that several commands share, each described once."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from personalize_rt.limits import DEFAULT_NUM_ACTIONS, DEFAULT_NUM_RESULTS

__all__ = [
    "Attempts",
    "Boost",
    "CampaignArn",
    "Context",
    "Deadline",
    "EndpointUrl",
    "FilterArn",
    "Ignore",
    "ItemId",
    "ItemIds",
    "ItemsFrom",
    "Json",
    "Local",
    "Map",
    "Metadata",
    "NumActions",
    "NumResults",
    "Profile",
    "Promotion",
    "PromotionFilterArn",
    "PromotionValues",
    "RecommenderArn",
    "Region",
    "RequiredCampaignArn",
    "RequiredUserId",
    "SameInJson",
    "Timeout",
    "UserId",
    "Values",
    "Version",
]

# The request.
CampaignArn: TypeAlias = Annotated[
    str | None, typer.Option("--campaign-arn", metavar="ARN", help="The campaign; with --local its name will do.")
]
RecommenderArn: TypeAlias = Annotated[
    str | None, typer.Option("--recommender-arn", metavar="ARN", help="The recommender, instead of a campaign.")
]
RequiredCampaignArn: TypeAlias = Annotated[
    str, typer.Option("--campaign-arn", metavar="ARN", help="The campaign; with --local its name will do.")
]
UserId: TypeAlias = Annotated[str | None, typer.Option("--user-id", metavar="ID", help="The user.")]
RequiredUserId: TypeAlias = Annotated[str, typer.Option("--user-id", metavar="ID", help="The user.")]
ItemId: TypeAlias = Annotated[
    str | None, typer.Option("--item-id", metavar="ID", help="The item that others should be related to.")
]
ItemIds: TypeAlias = Annotated[list[str] | None, typer.Argument(metavar="ITEM", help="The items to rank.")]
ItemsFrom: TypeAlias = Annotated[
    str | None,
    typer.Option("--items-from", metavar="FILE", help="A file with one item a line; - for standard input."),
]
NumResults: TypeAlias = Annotated[
    int | None, typer.Option("--num-results", metavar="N", help=f"How many.  [default: {DEFAULT_NUM_RESULTS}]")
]
NumActions: TypeAlias = Annotated[
    int | None, typer.Option("--num-results", metavar="N", help=f"How many.  [default: {DEFAULT_NUM_ACTIONS}]")
]
Context: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--context", metavar="NAME=VALUE", help="Contextual metadata; repeatable."),
]
FilterArn: TypeAlias = Annotated[str | None, typer.Option("--filter-arn", metavar="ARN", help="A filter to apply.")]
Values: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="NAME=TEXT",
        help="A value for the filter; NAME:=7 for a number. Repeatable: a repeated NAME makes a list.",
    ),
]
Metadata: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="COLUMN", help="A column to show; repeatable."),
]

Promotion: TypeAlias = Annotated[
    str | None,
    typer.Option("--promotion", metavar="NAME=PERCENT", help="Promote items: how much of the answer, from 1 to 100."),
]
PromotionFilterArn: TypeAlias = Annotated[
    str | None,
    typer.Option("--promotion-filter-arn", metavar="ARN", help="The filter that says which items are promoted."),
]
PromotionValues: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--promotion-value", metavar="NAME=TEXT", help="A value for that filter, as of --value; repeatable."),
]

# The columns of a file.
Map: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=COLUMN",
        help="A column of CSV or Parquet with another name: user_id=UID; or one that is a context or filter value: "
        "context.DEVICE=device, value.GENRE=genre, value.YEAR:=year for a number. Repeatable.",
    ),
]
Ignore: TypeAlias = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="A column to leave out; repeatable.")
]

# Rules for a ranking.
Pin: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--pin", metavar="ITEM=PLACE", help="Put an item at a place, from 1; repeatable."),
]
Boost: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--boost", metavar="ITEM=FACTOR", help="Order by scores, this one times a factor; repeatable."),
]
Without: TypeAlias = Annotated[
    list[str] | None, typer.Option("--without", metavar="ITEM", help="Leave an item out; repeatable.")
]
Diversify: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--diversify",
        metavar="COLUMN=N/M",
        help="At most N items with the same value in M neighbouring places; without /M, in the list.",
    ),
]

# The destination.
Region: TypeAlias = Annotated[
    str | None, typer.Option("--region", metavar="NAME", help="The AWS region.  [default: that of your AWS settings]")
]
Profile: TypeAlias = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="A profile of your AWS settings."),
]
EndpointUrl: TypeAlias = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="Another address than AWS."),
]
Local: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--local",
        metavar="DIR",
        help="The embedded service, on a data directory; 'sample' for the bundled one.",
    ),
]

# The call.
Deadline: TypeAlias = Annotated[
    float | None,
    typer.Option("--deadline", metavar="SECONDS", help="No attempt starts later than this.  [default: 2]"),
]
Timeout: TypeAlias = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="How long to wait for the endpoint.")
]
Attempts: TypeAlias = Annotated[
    int | None, typer.Option("--attempts", metavar="N", help="How often to try.  [default: 3]")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="The service's reply as JSON, and how it came about.")]
SameInJson: TypeAlias = Annotated[bool, typer.Option("--json", help="The same for programs, as JSON.")]
Version: TypeAlias = Annotated[bool, typer.Option("--version", help="Show the version.")]
