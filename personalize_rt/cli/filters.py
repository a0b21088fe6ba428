"""``personalize-rt filter``: check a filter expression, and try a filter on data, before creating it at AWS."""

from __future__ import annotations

import json as json_
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeAlias

import typer
from rich.text import Text
from rich.tree import Tree

from personalize_rt.cli import options
from personalize_rt.cli.arguments import as_filter_values, read_text
from personalize_rt.cli.output import as_json, can_show, printable, rendered, shown, write_error
from personalize_rt.cli.target import load
from personalize_rt.errors import FilterSyntaxError
from personalize_rt.filters import Filter, FilterExpression, FilterScalar, FilterValue, Parameter, encode_values
from personalize_rt.filters.selection import Explanation
from personalize_rt.local import LocalPersonalize
from personalize_rt.notebook.terminal import new_table

__all__ = ["filters"]

_USAGE = 2
_LISTED = 10
# The name of an expression that is tried.
_FREE = "expression"

Expression: TypeAlias = Annotated[
    str, typer.Argument(metavar="EXPRESSION", help="The expression, in single quotes; - for standard input.")
]
Directory: TypeAlias = Annotated[
    str, typer.Argument(metavar="DIR", help="A data directory; 'sample' for the bundled one.")
]
Name: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="FILTER",
        help="The filter's name in personalize.toml; or an expression, in single quotes; - for one on standard input.",
    ),
]
User: TypeAlias = Annotated[str | None, typer.Option("--user", "--user-id", metavar="ID", help="The user.")]
Item: TypeAlias = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="An item or action: say why it stays or goes.")
]
CurrentItem: TypeAlias = Annotated[
    str | None, typer.Option("--current-item", metavar="ID", help="The item of the request, for CurrentItem.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="The same for programs.")]

filters: typer.Typer = typer.Typer(rich_markup_mode=None)


@filters.callback(invoke_without_command=True)
def start(context: typer.Context) -> str | None:
    """Check filter expressions, and try filters on data."""
    return context.get_help() + "\n" if context.invoked_subcommand is None else None


@filters.command(epilog="\b\nExample:\npersonalize-rt filter check 'INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)'")
def check(expression: Expression, json: Json = False) -> str:
    """Check an expression; show its structure, its parameters, and the filterValues to send."""
    with _in_several_lines():
        parsed = Filter.parse(_given(expression))
    return as_json(_as_dict(parsed)) if json else _page(parsed)


def _given(expression: str) -> str:
    return read_text("-", "expression").strip() if expression == "-" else expression


@contextmanager
def _in_several_lines() -> Generator[None]:
    """Print an error in an expression in several lines, since the caret must stay under its token."""
    try:
        yield
    except FilterSyntaxError as error:
        lines = error.message.split("\n")
    else:
        return
    write_error("personalize-rt: " + "\n".join(map(printable, lines)))
    raise typer.Exit(_USAGE)


@filters.command(
    name="try",
    epilog="\b\nExample:\npersonalize-rt filter try sample unseen-by-genre --user 16036 --value GENRE=Comedy",
)
def try_(
    directory: Directory,
    name: Name,
    user: User = None,
    value: options.Values = None,
    item: Item = None,
    current_item: CurrentItem = None,
    json: Json = False,
) -> str:
    """Try a filter, or an expression, on data; show what is kept, what is dropped, and why."""
    local = load(directory)
    name = _given(name)
    if any(map(str.isspace, name)):  # an expression has blanks, and no name has
        expression, name = name, _FREE
        while name in local.filters:
            name += "-"
        with _in_several_lines():
            local.add_filter(name, expression)
    values = as_filter_values(value or ())
    kept, dropped = local.try_filter(name, user_id=user, item_id=current_item, values=values)
    why = None
    if item is not None:
        why = local.explain_filter(name, item, user_id=user, item_id=current_item, values=values)
    if json:
        return as_json(_trial_as_dict(name, kept, dropped, item, why, values))
    actions = local.filter_expression(name).target == "ActionID"
    parts: list[Any] = []
    if item is None or why is None:
        parts += _outcome(local, kept, dropped, actions=actions)
    else:
        parts += _reasons(item, why)
        if item not in (local.action_rows if actions else local.items):
            what = "actions.csv" if actions else "items.csv"
            parts += ["", shown(f"{item} is not in {what}: a candidate without columns, or a slip of the pen")]
    return rendered(*parts)


# An expression.


def _as_dict(expression: FilterExpression) -> dict[str, Any]:
    return {
        "expression": str(expression),
        "parameters": [
            {
                "name": parameter.name,
                "required": parameter.required,
                "kind": parameter.kind,
                "many": parameter.many,
                "fields": list(parameter.fields),
            }
            for parameter in expression.parameters.values()
        ],
        "filterValues": _example(expression.parameters.values()),
        **expression.to_dict(),
    }


def _page(expression: FilterExpression) -> str:
    parts: list[Any] = [_tree(expression), ""]
    if expression.parameters:
        table = new_table(ascii_only=not can_show("─"))
        for title in ("parameter", "needed", "value", "compared with"):
            table.add_column(title)
        for parameter in expression.parameters.values():
            kind = {"text": "text", "number": "number", "any": "text or number"}[parameter.kind]
            needed = "required" if parameter.required else "optional"
            several = f"{kind}, or several" if parameter.many else kind
            table.add_row(f"${parameter.name}", needed, several, ", ".join(parameter.fields))
        example = json_.dumps(_example(expression.parameters.values()))
        parts += [table, "", shown(f"filterValues to send, for example: {example}")]
    else:
        parts.append("No parameters: there are no filterValues to send.")
    return rendered(*parts)


def _tree(expression: FilterExpression) -> Tree:
    tree = Tree(Text("filter"))
    for clause in expression.clauses:
        branch = tree.add(Text(f"{clause.action} {clause.target}", style="bold"))
        for n, alternative in enumerate(clause.where):
            where = branch if len(clause.where) == 1 else branch.add(Text("OR" if n else "WHERE"))
            for condition in alternative:
                where.add(shown(str(condition)))
        if clause.only_if:
            only_if = branch.add(Text("IF"))
            for condition in clause.only_if:
                only_if.add(shown(str(condition)))
    return tree


def _example(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Made-up values of the right form."""
    values: dict[str, FilterValue] = {}
    for parameter in parameters:
        two: list[FilterScalar] = [1, 2] if parameter.kind == "number" else ["value 1", "value 2"]
        values[parameter.name] = two if parameter.many else two[0]
    return encode_values(values)


# A trial.


def _outcome(local: LocalPersonalize, kept: Sequence[str], dropped: Sequence[str], *, actions: bool) -> list[Any]:
    rows = local.action_rows if actions else local.items
    what = "action" if actions else "item"
    column = next((name for name in ("TITLE", "NAME") if name in rows.columns), None)
    parts: list[Any] = []
    for one, many, ids in (("stays", "stay", kept), ("goes", "go", dropped)):
        table = new_table(ascii_only=not can_show("─"))
        head = f"1 {what} {one}" if len(ids) == 1 else f"{len(ids):,} {what}s {many}"
        table.add_column(head, overflow="fold")
        table.add_column("" if column is None else column, overflow="fold")
        for id in ids[:_LISTED]:
            title = rows[id].get(column) if column is not None and id in rows else None
            table.add_row(shown(id), shown("" if title is None else str(title)))
        if len(ids) > _LISTED:
            table.add_row(f"and {len(ids) - _LISTED:,} more", "")
        parts += [table, ""]
    return parts[:-1]


def _reasons(item: str, why: Explanation) -> list[Any]:
    tree = Tree(shown(f"{item} {'stays' if why.kept else 'goes'}"))
    for outcome in why.clauses:
        branch = tree.add(shown(f"{outcome.clause.action}: {outcome.effect}"))
        for condition, holds in outcome.conditions:
            verdict = {True: "holds", False: "does not hold", None: "its value is missing"}[holds]
            branch.add(shown(f"{condition}: {verdict}"))
    return [tree]


def _trial_as_dict(
    name: str,
    kept: Sequence[str],
    dropped: Sequence[str],
    item: str | None,
    why: Explanation | None,
    values: Mapping[str, FilterValue],
) -> dict[str, Any]:
    trial: dict[str, Any] = {"filter": name, "filterValues": encode_values(values), "stay": kept, "go": dropped}
    if item is not None and why is not None:
        trial["why"] = {
            "id": item,
            "stays": why.kept,
            "clauses": [
                {
                    "expression": str(outcome.clause),
                    "effect": outcome.effect,
                    "conditions": [
                        {"condition": str(condition), "holds": holds} for condition, holds in outcome.conditions
                    ],
                }
                for outcome in why.clauses
            ],
        }
    return trial
