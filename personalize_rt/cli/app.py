"""The commands of ``personalize-rt``.

A command returns the text to print. :func:`run` alone deals with pipes, terminals and errors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from personalize_rt._version import __version__
from personalize_rt.cli import options
from personalize_rt.cli.arguments import (
    as_context,
    as_filter_values,
    as_promotions,
    as_rules,
    check_text,
    read_item_ids,
)
from personalize_rt.cli.bulk import bulk
from personalize_rt.cli.failures import SERVICE, exit_status, in_one_line
from personalize_rt.cli.filters import filters
from personalize_rt.cli.output import as_json, rendered, reply_json, silence, write, write_error
from personalize_rt.cli.serve import serve
from personalize_rt.cli.target import choose_target
from personalize_rt.cli.verify import verify
from personalize_rt.errors import PersonalizeError
from personalize_rt.limits import Limits
from personalize_rt.notebook.frames import Result

__all__ = ["app", "run"]

NAME = "personalize-rt"
BROKEN_PIPE = 141
INTERRUPTED = 130

app: typer.Typer = typer.Typer(
    name=NAME,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(filters, name="filter")
app.add_typer(bulk, name="bulk")
app.command(epilog="\b\nExample:\npersonalize-rt serve sample --port 8700")(serve)
app.command(
    short_help="Is the live service as this package believes?",
    epilog="\b\nExample:\npersonalize-rt verify --local sample --campaign-arn movies-ranking --dry-run",
)(verify)


def run(arguments: Sequence[str]) -> int:
    """Run one command, and print its result or its error.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit status.
    """
    try:
        check_text(arguments)
        answer: Any = typer.main.get_command(app).main(list(arguments), prog_name=NAME, standalone_mode=False)
        if isinstance(answer, str):
            write(answer)
        # typer returns the status of an Exit: 0 after --help, 130 after Ctrl-C.
        return answer if isinstance(answer, int) else 0
    except SystemExit as end:
        # Without standalone_mode, typer exits by itself only after completion for a shell, and for a broken pipe.
        return 0 if end.code in (0, None) else BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        # Not for DeadlineExceededError, which is an OSError since it is a TimeoutError.
        if isinstance(error, OSError) and not isinstance(error, PersonalizeError):
            silence(sys.stdout)
            if isinstance(error, BrokenPipeError):
                return BROKEN_PIPE
        write_error(in_one_line(error, arguments))
        return exit_status(error)


def _example(command: str) -> str:
    # \b keeps typer from wrapping the line, which people copy.
    return f"\b\nExample:\n{command}"


def _shown(answer: Result, *, json: bool, before: Sequence[str] = ()) -> str:
    from personalize_rt.notebook.terminal import ResultTable

    # All rows: a program may read them.
    return as_json(reply_json(answer)) if json else rendered(ResultTable(answer, most=None, before=before))


@app.callback(invoke_without_command=True)
def start(context: typer.Context, version: options.Version = False) -> str | None:
    """Amazon Personalize Runtime on the command line. To see what it does: personalize-rt demo."""
    if version:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit
    return context.get_help() + "\n" if context.invoked_subcommand is None else None


@app.command()
def demo(json: options.SameInJson = False) -> str:
    """Rank real films for a real user: no account, no network."""
    from personalize_rt.cli.demo import play
    from personalize_rt.cli.demo_page import page

    facts = play()
    return as_json(facts.as_dict()) if json else page(facts)


@app.command(
    short_help="Recommended, related or popular items.",
    epilog=_example("personalize-rt recommend --local sample --campaign-arn similar-movies --item-id tt0078748"),
)
def recommend(
    campaign_arn: options.CampaignArn = None,
    recommender_arn: options.RecommenderArn = None,
    user_id: options.UserId = None,
    item_id: options.ItemId = None,
    num_results: options.NumResults = None,
    context: options.Context = None,
    filter_arn: options.FilterArn = None,
    value: options.Values = None,
    metadata: options.Metadata = None,
    promotion: options.Promotion = None,
    promotion_filter_arn: options.PromotionFilterArn = None,
    promotion_value: options.PromotionValues = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    deadline: options.Deadline = None,
    attempts: options.Attempts = None,
    json: options.Json = False,
) -> str:
    """Ask for recommended, related or popular items (GetRecommendations)."""
    target = choose_target(
        region=region, profile=profile, endpoint_url=endpoint_url, local=local, deadline=deadline, attempts=attempts
    )
    answer = target.runtime.get_recommendations(
        campaign_arn=None if campaign_arn is None else target.campaign(campaign_arn),
        recommender_arn=None if recommender_arn is None else target.recommender(recommender_arn),
        user_id=user_id,
        item_id=item_id,
        num_results=num_results,
        context=as_context(context or ()),
        filter_arn=target.filter_or_none(filter_arn),
        filter_values=as_filter_values(value or ()),
        promotions=as_promotions(promotion, target.filter_or_none(promotion_filter_arn), promotion_value),
        metadata_columns=metadata,
    )
    return _shown(answer, json=json)


@app.command(
    short_help="Items in the order that suits a user.",
    epilog=_example(
        "personalize-rt rank --local sample --campaign-arn movies-ranking --user-id 13974 tt0120338 tt0133093"
    ),
)
def rank(
    campaign_arn: options.RequiredCampaignArn,
    user_id: options.RequiredUserId,
    items: options.ItemIds = None,
    items_from: options.ItemsFrom = None,
    context: options.Context = None,
    filter_arn: options.FilterArn = None,
    value: options.Values = None,
    metadata: options.Metadata = None,
    pin: options.Pin = None,
    boost: options.Boost = None,
    without: options.Without = None,
    diversify: options.Diversify = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    deadline: options.Deadline = None,
    attempts: options.Attempts = None,
    json: options.Json = False,
) -> str:
    """Rank items for a user (GetPersonalizedRanking), as many as you like."""
    input_list = read_item_ids(items or [], items_from)
    rules = as_rules(pin=pin or (), boost=boost or (), without=without or (), diversify=diversify)
    columns = list(metadata or ())
    if rules.diversify and rules.diversify[0] not in columns:
        columns.append(rules.diversify[0])
    target = choose_target(
        region=region, profile=profile, endpoint_url=endpoint_url, local=local, deadline=deadline, attempts=attempts
    )
    limits = Limits()
    size = limits.input_list_with_metadata if columns else limits.input_list
    rank = target.runtime.get_personalized_ranking
    if size is not None and len(input_list) > size:
        rank = target.runtime.rank_long
    answer = rank(
        campaign_arn=target.campaign(campaign_arn),
        user_id=user_id,
        input_list=input_list,
        context=as_context(context or ()),
        filter_arn=target.filter_or_none(filter_arn),
        filter_values=as_filter_values(value or ()),
        metadata_columns=columns or None,
    )
    return _shown(rules.apply(answer, strict=True), json=json, before=input_list)


@app.command(
    short_help="What a user will most likely do.",
    epilog=_example("personalize-rt actions --local sample --campaign-arn offers --user-id 13974"),
)
def actions(
    campaign_arn: options.RequiredCampaignArn,
    user_id: options.RequiredUserId,
    num_results: options.NumActions = None,
    filter_arn: options.FilterArn = None,
    value: options.Values = None,
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    local: options.Local = None,
    deadline: options.Deadline = None,
    attempts: options.Attempts = None,
    json: options.Json = False,
) -> str:
    """Ask for the actions that a user will most probably take (GetActionRecommendations)."""
    target = choose_target(
        region=region, profile=profile, endpoint_url=endpoint_url, local=local, deadline=deadline, attempts=attempts
    )
    answer = target.runtime.get_action_recommendations(
        campaign_arn=target.campaign(campaign_arn),
        user_id=user_id,
        num_results=num_results,
        filter_arn=target.filter_or_none(filter_arn),
        filter_values=as_filter_values(value or ()),
    )
    return _shown(answer, json=json)


@app.command(
    short_help="What a bug report needs to say.",
    epilog=_example("personalize-rt doctor --region eu-west-1"),
)
def doctor(
    region: options.Region = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    timeout: options.Timeout = 3.0,
    json: options.SameInJson = False,
) -> str:
    """Show versions, extras, region, the source of credentials (not the credentials), and whether the endpoint answers.

    The exit status is 1 when there is a problem.
    """
    from personalize_rt.cli.doctor import examine, page

    report = examine(region_name=region, profile=profile, endpoint_url=endpoint_url, timeout=timeout)
    text = as_json(report.as_dict()) if json else page(report)
    if not report.problems:
        return text
    write(text)
    raise typer.Exit(SERVICE)
