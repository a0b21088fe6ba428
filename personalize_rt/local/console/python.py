"""The Python that does what a view of the page did, as text that can be copied and run.

Every view shows it, and ``tests/local/test_console_python.py`` runs what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs

from personalize_rt.local.inside import inside

if TYPE_CHECKING:
    from personalize_rt.local.embedded import LocalPersonalize

__all__ = ["Call", "Place", "call_code", "literal"]

_WIDTH = 88


@attrs.frozen
class Call:
    """A call of a campaign or recommender: made by the page, and shown as Python.

    Attributes:
        kind: ``"campaign"`` or ``"recommender"``.
        arn: Its ARN.
        method: The method (``"rank"``).
        arguments: The arguments by name.
        rules: Methods of the answer to call then, each with its arguments.
    """

    kind: str
    arn: str
    method: str
    arguments: Mapping[str, Any]
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def on(self, runtime: Any) -> Any:
        """Make the call. Returns the answer, before the rules."""
        return getattr(getattr(runtime, self.kind)(self.arn), self.method)(**self.arguments)

    def ruled(self, answer: Any, local: object) -> Any:
        """The answer under the rules."""
        for method, arguments in self.rules:
            given = {name: local if value is LOCAL else value for name, value in arguments.items()}
            answer = getattr(answer, method)(**given)
        return answer


class _Local:
    """Stands for the embedded service in the arguments of a rule."""

    def __repr__(self) -> str:
        return "local"


LOCAL = _Local()


@attrs.frozen
class Place:
    """The place of the page: the address of its server, and the data behind it.

    Attributes:
        url: The address (``"http://127.0.0.1:8700"``).
        region: The region of its ARNs.
        local: The embedded service; ``None`` for a dataset group that requests made, whose data no file has. Python
            that would load them is empty.
    """

    url: str
    region: str
    local: LocalPersonalize | None

    @property
    def loads(self) -> str:
        """The expression that loads the same data."""
        assert self.local is not None
        parts = inside(self.local)
        if parts.is_sample:
            return "LocalPersonalize.sample()"
        return f"LocalPersonalize.from_directory({str(parts.directory)!r})"

    @property
    def session(self) -> str:
        """The line that makes a session; the keys are any, since the server checks none."""
        return f'session = boto3.Session("any", "any", region_name={literal(self.region)})'

    def _of_data(self, *lines: str) -> str:
        """Python that loads the data, and goes on with some lines; empty where there are no files to load."""
        if self.local is None:
            return ""
        return _lines("from personalize_rt.local import LocalPersonalize", "", f"local = {self.loads}", *lines)

    def overview(self) -> str:
        """Python that lists the resources."""
        return _lines(
            "import boto3",
            "",
            self.session,
            f'personalize = session.client("personalize", endpoint_url={literal(self.url)})',
            'for campaign in personalize.list_campaigns()["campaigns"]:',
            '    print(campaign["name"], campaign["campaignArn"])',
            'for recommender in personalize.list_recommenders()["recommenders"]:',
            '    print(recommender["name"], recommender["recommenderArn"])',
        )

    def users(self) -> str:
        """Python that lists users."""
        return self._of_data(
            "for user_id in list(local.interactions.users)[:25]:",
            "    print(user_id, len(local.interactions.of_user(user_id)))",
        )

    def user(self, user_id: str) -> str:
        """Python that shows a user."""
        return self._of_data(
            f"user_id = {literal(user_id)}",
            "print(dict(local.users.get(user_id, {})))",
            "history = sorted(local.interactions.of_user(user_id), key=lambda event: -event.timestamp)",
            "for event in history[:25]:",
            "    print(event.event_type, event.item_id, dict(local.items.get(event.item_id, {})))",
        )

    def items(self) -> str:
        """Python that lists items."""
        return self._of_data(
            "for item_id, row in list(local.items.items())[:25]:",
            "    print(item_id, dict(row))",
        )

    def item(self, item_id: str) -> str:
        """Python that shows an item."""
        return self._of_data(
            f"item_id = {literal(item_id)}",
            "print(dict(local.items.get(item_id, {})))",
            "print(sum(event.item_id == item_id for event in local.interactions))",
        )

    def ranking(self, call: Call, beside: Call | None) -> str:
        """Python that makes the calls, and compares their answers."""
        calls = [("ranking", call)] + ([] if beside is None else [("other", beside)])
        needs_data = any(value is LOCAL for _, one in calls for _, given in one.rules for value in given.values())
        if needs_data and self.local is None:
            return ""
        lines = ["import boto3", "", "from personalize_rt import PersonalizeRuntime"]
        if needs_data:
            lines += ["from personalize_rt.local import LocalPersonalize", "", f"local = {self.loads}"]
        else:
            lines.append("")
        lines += [
            self.session,
            f"with PersonalizeRuntime(session=session, endpoint_url={literal(self.url)}) as runtime:",
        ]
        for name, one in calls:
            lines.append(f"    {name} = {call_code(one, 4, len(name) + 3)}")
        for name, one in calls:
            lines += [f"{name} = {_method(name, method, given, 0)}" for method, given in one.rules]
        if beside is None:
            lines += ["for row in ranking:", "    print(row)"]
        else:
            lines.append("print(ranking.compare(other))")
        return _lines(*lines)

    def trial(
        self, expression: str, user_id: str | None, item_id: str | None, values: Mapping[str, Any], candidate: str
    ) -> str:
        """Python that tries a filter, and explains it for one item."""
        if self.local is None:
            return ""
        given = {"user_id": user_id, "item_id": item_id, "values": values or None}
        more = {name: value for name, value in given.items() if value is not None}
        return _lines(
            "from personalize_rt.local import LocalPersonalize",
            "",
            f"local = {self.loads}",
            f'local.add_filter("trial", {literal(expression)})',
            f"kept, dropped = {_method('local', 'try_filter', {'name': 'trial', **more}, 0)}",
            "print(len(kept), len(dropped))",
            f"why = {_method('local', 'explain_filter', {'name': 'trial', 'candidate': candidate, **more}, 0)}",
            'print("in" if why.kept else "out")',
            "for outcome in why.clauses:",
            "    print(outcome.effect, outcome.clause)",
        )

    def event(self, tracking_id: str, event: Mapping[str, Any]) -> str:
        """Python that sends an event."""
        track = {"event_type": event["event_type"], "item": event.get("item_id"), "session_id": event["session_id"]}
        if event.get("user_id"):
            track["user_id"] = event["user_id"]
        given = {name: value for name, value in track.items() if value is not None}
        return _lines(
            "import boto3",
            "",
            "from personalize_rt import EventTracker",
            "",
            self.session,
            f"where = {{'session': session, 'endpoint_url': {literal(self.url)}}}".replace("'", '"'),
            f"with EventTracker({literal(tracking_id)}, **where) as tracker:",
            f"    {_method('tracker', 'send', given, 4)}",
            "print(tracker.counts)",
        )

    def fault(self, rule: Mapping[str, Any]) -> str:
        """Python that adds a fault."""
        return _lines(
            "import json",
            "from urllib.request import Request, urlopen",
            "",
            f"rule = {literal(dict(rule))}",
            f"faults = {literal(self.url + '/_local/faults')}",
            'with urlopen(Request(faults, json.dumps(rule).encode(), method="POST")) as answer:',
            "    print(json.load(answer))",
        )


def call_code(call: Call, indent: int, before: int = 0) -> str:
    """The expression of a call, without its rules."""
    return _method(f"runtime.{call.kind}({literal(call.arn)})", call.method, call.arguments, indent, before)


def _method(of: str, method: str, arguments: Mapping[str, Any], indent: int, before: int = 0) -> str:
    """The expression of a call of a method, on several lines if it is long."""
    short = f"{of}.{method}({', '.join(f'{name}={literal(value)}' for name, value in arguments.items())})"
    if "\n" not in short and indent + before + len(short) <= _WIDTH:
        return short
    space = " " * (indent + 4)
    inner = "".join(
        f"{space}{name}={_indented(literal(value, _WIDTH - indent - 6), indent + 4)},\n"
        for name, value in arguments.items()
    )
    return f"{of}.{method}(\n{inner}{' ' * indent})"


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


def literal(value: Any, width: int = 10_000) -> str:
    """A value as Python, with double quotes where that needs no escape."""
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in pairs) + "}"
    if isinstance(value, list | tuple):
        return _listed([literal(one) for one in cast("Sequence[object]", value)], width)
    return repr(value)


def _listed(pieces: list[str], width: int) -> str:
    """A list, on as many lines as it needs."""
    lines, line = list[str](), ""
    for piece in pieces:
        if line and len(line) + len(piece) + 2 > width:
            lines.append(line)
            line = ""
        line += f"{piece}, "
    lines.append(line)
    if len(lines) == 1:
        return f"[{line.removesuffix(', ')}]"
    return "[\n" + "\n".join(f"    {line.rstrip()}" for line in lines) + "\n]"


def _lines(*lines: str) -> str:
    return "\n".join(lines)
