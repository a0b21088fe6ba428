"""``personalize-rt bulk``: a file of requests in, a file of answers out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from personalize_rt.bulk import InterruptedRun, Summary, rank_file, recommend_file
from personalize_rt.cli import options
from personalize_rt.cli.arguments import as_columns, as_context, as_filter_values, as_promotions, as_rules
from personalize_rt.cli.failures import on_command_line
from personalize_rt.cli.output import as_json, printable, write, write_error
from personalize_rt.cli.target import Target, choose_target
from personalize_rt.client import PersonalizeRuntime

__all__ = ["bulk"]

_SERVICE = 1
_INTERRUPTED = 130

Input: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="JSON Lines of batch inference, or .csv, or .parquet; - is standard input."),
]
Output: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="OUTPUT", help="JSON Lines of batch inference (.jsonl, .json), or .parquet. It must not be there."
    ),
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option("--concurrency", metavar="N", help="Requests in flight at the most.")
]
Tps: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--tps",
        metavar="N",
        help="Requests a second at the most: what the campaign is provisioned for.  [default: no limit until the "
        "service throttles]",
    ),
]
Processes: TypeAlias = Annotated[
    int | None,
    typer.Option("--processes", metavar="N", help="Processes, where one is not fast enough.  [default: this one]"),
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with a job that was stopped; of one that is done, say how it went.")
]
Errors: TypeAlias = Annotated[
    str | None,
    typer.Option("--errors", metavar="FILE", help="Write the rows that failed here, to ask only them again."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="The summary for programs.")]

bulk: typer.Typer = typer.Typer(rich_markup_mode=None)


@bulk.callback(invoke_without_command=True)
def start(context: typer.Context) -> str | None:
    """Send a request for every row of a file, as fast as the service allows; resume a run that stopped."""
    return context.get_help() + "\n" if context.invoked_subcommand is None else None


@bulk.command(
    short_help="Recommended, related or popular items for each row.",
    epilog="\b\nExample:\npersonalize-rt bulk recommend users.jsonl items.jsonl --campaign-arn ARN --tps 50",
)
def recommend(
    input: Input,
    output: Output,
    campaign_arn: options.CampaignArn = None,
    recommender_arn: options.RecommenderArn = None,
    num_results: options.NumResults = None,
    context: options.Context = None,
    filter_arn: options.FilterArn = None,
    value: options.Values = None,
    metadata: options.Metadata = None,
    promotion: options.Promotion = None,
    promotion_filter_arn: options.PromotionFilterArn = None,
    promotion_value: options.PromotionValues = None,
    map: options.Map = None,
    ignore: options.Ignore = None,
    tps: Tps = None,
    concurrency: Concurrency = 16,
    processes: Processes = None,
    resume: Resume = False,
    errors: Errors = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    deadline: options.Deadline = None,
    attempts: options.Attempts = None,
    json: Json = False,
) -> None:
    """Ask for items for each row (GetRecommendations): {"userId": "4638"}."""
    where = _Destination(region, profile, endpoint_url, local, deadline, attempts, processes)
    target = where.target
    was_there = resume and Path(output).exists()
    with _interruptible():
        summary = recommend_file(
            where.runtime(),
            input,
            output,
            campaign_arn=None if campaign_arn is None else target.campaign(campaign_arn),
            recommender_arn=None if recommender_arn is None else target.recommender(recommender_arn),
            num_results=num_results,
            context=as_context(context or ()) or None,
            filter_arn=target.filter_or_none(filter_arn),
            filter_values=as_filter_values(value or ()) or None,
            promotions=as_promotions(promotion, target.filter_or_none(promotion_filter_arn), promotion_value),
            metadata_columns=metadata,
            columns=as_columns(map or (), "recommend"),
            ignore_columns=ignore or (),
            tps=tps,
            concurrency=concurrency,
            processes=processes,
            resume=resume,
            errors=errors,
        )
    _end(summary, output, errors, was_there=was_there, json=json)


@bulk.command(
    short_help="The list of each row in the order that suits its user.",
    epilog="\b\nExample:\npersonalize-rt bulk rank lists.jsonl ranked.jsonl --campaign-arn ARN --tps 50",
)
def rank(
    input: Input,
    output: Output,
    campaign_arn: options.RequiredCampaignArn,
    context: options.Context = None,
    filter_arn: options.FilterArn = None,
    value: options.Values = None,
    pin: options.Pin = None,
    boost: options.Boost = None,
    without: options.Without = None,
    diversify: options.Diversify = None,
    map: options.Map = None,
    ignore: options.Ignore = None,
    tps: Tps = None,
    concurrency: Concurrency = 16,
    processes: Processes = None,
    resume: Resume = False,
    errors: Errors = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    deadline: options.Deadline = None,
    attempts: options.Attempts = None,
    json: Json = False,
) -> None:
    """Rank the list of each row (GetPersonalizedRanking): {"userId": "891", "itemList": ["27", "886"]}."""
    where = _Destination(region, profile, endpoint_url, local, deadline, attempts, processes)
    target = where.target
    was_there = resume and Path(output).exists()
    with _interruptible():
        summary = rank_file(
            where.runtime(),
            input,
            output,
            campaign_arn=target.campaign(campaign_arn),
            context=as_context(context or ()) or None,
            filter_arn=target.filter_or_none(filter_arn),
            filter_values=as_filter_values(value or ()) or None,
            rules=as_rules(pin=pin or (), boost=boost or (), without=without or (), diversify=diversify),
            columns=as_columns(map or (), "rank"),
            ignore_columns=ignore or (),
            tps=tps,
            concurrency=concurrency,
            processes=processes,
            resume=resume,
            errors=errors,
        )
    _end(summary, output, errors, was_there=was_there, json=json)


@contextmanager
def _interruptible() -> Generator[None]:
    """On Ctrl-C, print the progress of the job, which typer would not do, and exit with status 130."""
    try:
        yield
    except InterruptedRun as interrupt:
        write_error(f"personalize-rt: {on_command_line(interrupt.message)}")
        raise typer.Exit(_INTERRUPTED) from None


class _Destination:
    """The runtime that requests go to, for this process or for several."""

    def __init__(
        self,
        region: str | None,
        profile: str | None,
        endpoint_url: str | None,
        local: str | None,
        deadline: float | None,
        attempts: int | None,
        processes: int | None,
    ) -> None:
        self._options: dict[str, Any] = {
            "region": region,
            "profile": profile,
            "endpoint_url": endpoint_url,
            "local": local,
            "deadline": deadline,
            "attempts": attempts,
        }
        self._processes = processes
        self.target: Target = choose_target(**self._options)

    def runtime(self) -> Any:
        return self.target.runtime if self._processes is None else partial(_build, self._options)


def _build(options: dict[str, Any]) -> PersonalizeRuntime:
    return choose_target(**options).runtime


def _end(summary: Summary, output: str, errors: str | None, *, was_there: bool, json: bool) -> None:
    """Print the summary. The exit status is 1 if a row failed."""
    failed = sum(summary.failed.values())
    if json:
        write(as_json(_as_dict(summary)))
    else:
        lines = [f"{summary}"]
        if was_there:
            lines = [f"nothing to do: {output} is there, and whole"]
            if failed:
                kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.failed.items()))
                lines[0] += f"; {failed:,} of its {summary.total:,} rows failed ({kinds})"
        lines += [f"for example {printable(on_command_line(text))}" for _, text in sorted(summary.examples.items())]
        if failed:
            lines.append(f"the lines of the rows that failed have an error in {output}")
            if errors is not None:
                lines.append(f"to ask only them again, give {errors} as INPUT")
            else:
                lines.append("to have only them, to ask them again: the same command with --resume --errors FILE")
        write("".join(f"{line}\n" for line in lines))
    if failed:
        raise typer.Exit(_SERVICE)


def _as_dict(summary: Summary) -> dict[str, Any]:
    return {
        "done": summary.done,
        "failed": dict(summary.failed),
        "throttles": summary.throttles,
        "p50": summary.p50,
        "p99": summary.p99,
        "elapsed": round(summary.elapsed, 3),
        "before": summary.before,
        "rate": None if summary.rate is None else round(summary.rate, 3),
        "examples": dict(summary.examples),
    }
