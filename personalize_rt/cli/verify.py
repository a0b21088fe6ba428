"""``personalize-rt verify``: the questions that only the live service can answer, put to it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import typer

from personalize_rt.cli import options
from personalize_rt.cli.arguments import as_context, as_filter_values
from personalize_rt.cli.failures import SERVICE
from personalize_rt.cli.output import as_json, write
from personalize_rt.cli.target import choose_target

__all__ = ["verify"]

Campaigns: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--campaign-arn", metavar="ARN", help="A campaign; repeatable: one that recommends, one that ranks."),
]
Filters: TypeAlias = Annotated[
    list[str] | None, typer.Option("--filter-arn", metavar="ARN", help="A filter; repeatable.")
]
Expressions: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--filter-expression", metavar="TEXT", help="The expression of each filter, in the same order."),
]
Items: TypeAlias = Annotated[
    list[str] | None, typer.Option("--item-id", metavar="ID", help="An item that a ranking knows; repeatable.")
]
Pace: TypeAlias = Annotated[float, typer.Option("--per-second", metavar="N", min=0.01, help="Requests a second.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Print the requests, and send none.")]


def verify(
    campaign_arn: Campaigns = None,
    recommender_arn: options.RecommenderArn = None,
    filter_arn: Filters = None,
    filter_expression: Expressions = None,
    value: options.Values = None,
    user_id: options.UserId = None,
    item_id: Items = None,
    metadata: options.Metadata = None,
    context: options.Context = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    per_second: Pace = 2.0,
    dry_run: DryRun = False,
    json: options.SameInJson = False,
) -> str:
    """Ask the service whether it is as this package believes: at most 40 read-only requests, which are charged.

    Some of them are meant to be refused, so alarms on 4xx errors may ring. The report shows no ids, users or values,
    and can be pasted into an issue. The exit status is 1 when something is not as believed.
    """
    from personalize_rt.verify import plan
    from personalize_rt.verify import verify as ask

    target = choose_target(
        region=region, profile=profile, endpoint_url=endpoint_url, local=local, deadline=None, attempts=None
    )
    filters = [target.filter(name) for name in filter_arn or ()]
    expressions = filter_expression or []
    if target.local is not None and not expressions:
        # The embedded service tells what DescribeFilter does.
        names = {arn: name for name, arn in target.local.filters.items()}
        expressions = [str(target.local.filter_expression(names[arn])) for arn in filters if arn in names]
    given: dict[str, Any] = {
        "campaign_arn": [target.campaign(name) for name in campaign_arn or ()],
        "recommender_arn": None if recommender_arn is None else target.recommender(recommender_arn),
        "filter_arn": filters,
        "filter_expression": expressions,
        "filter_values": as_filter_values(value or ()),
        "user_id": user_id,
        "item_ids": item_id or (),
        "metadata_columns": metadata or (),
        "context": as_context(context or ()),
    }
    if dry_run:
        planned = plan(**given)
        if json:
            return as_json([{"name": one.name, "operation": one.operation, "members": one.members} for one in planned])
        return "".join(f"{line}\n" for line in [f"{len(planned)} requests at most; none was sent", *planned])
    if target.local is not None:
        per_second = max(per_second, 1000.0)  # nobody is charged, and nobody else is kept waiting
    report = ask(_client(target, region, endpoint_url), **given, requests_per_second=per_second)
    text = as_json(report.to_dict()) if json else f"{report}\n"
    if not report.disagreements:
        return text
    write(text)
    raise typer.Exit(SERVICE)


def _client(target: Any, region: str | None, endpoint_url: str | None) -> Any:
    if target.local is not None:
        return target.local.boto3_client()
    from personalize_rt.transport.clients import build_client
    from personalize_rt.transport.failures import configured

    return configured(lambda: build_client(region_name=region, session=None, endpoint_url=endpoint_url, config=None))
