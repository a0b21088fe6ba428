"""The views of the page. Each is made on one thread, from a template."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import urlencode

import attrs
import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from personalize_rt._version import __version__
from personalize_rt.errors import FilterSyntaxError, PersonalizeError
from personalize_rt.local.apis import APIS
from personalize_rt.local.console.asking import DEFAULT_COUNT, MOST, Asking
from personalize_rt.local.console.catalogue import Found, Group, shown, when
from personalize_rt.local.console.python import Place
from personalize_rt.local.console.saved import Form, Saved
from personalize_rt.local.console.trial import Break, tried
from personalize_rt.local.faults.effects import Fault
from personalize_rt.local.faults.kinds import KINDS
from personalize_rt.local.inside import inside

if TYPE_CHECKING:
    from personalize_rt.local.control import DatasetGroup
    from personalize_rt.local.embedded import LocalPersonalize
    from personalize_rt.local.groups import LocalGroups

__all__ = ["Ask", "View", "Views", "html"]

_HERE = Path(__file__).parent
# The rows of the journal and of the events that are shown.
_SHOWN = 50
# Seconds for which one look at the journal serves all browsers: half of what passes between two ticks of one.
_LOOK = 1.0
# The field of a kept form with the ARN of the filter that was created from it.
_CREATED = "created"
_GONE = "This link was made by a server that has ended since, or long ago. What the form held is gone."


@attrs.frozen
class Ask:
    """A request to a view.

    Attributes:
        request: The request, whose body was read.
        form: The fields of its body.
        group: The dataset group of its path.
    """

    request: Request
    form: Form
    group: Group

    @property
    def partial(self) -> bool:
        """True if a script of the page asks for a part of it."""
        return "hx-request" in self.request.headers

    @property
    def place(self) -> Place:
        """The place of the page."""
        group = self.group
        return Place(f"http://{self.request.headers['host']}", group.held.arn.split(":")[3], group.local)

    def part(self, name: str) -> str:
        """A part of the path; empty without one."""
        return cast(str, self.request.path_params.get(name, ""))

    def url(self, *parts: object) -> str:
        """The address of a view of the same dataset group."""
        return "/".join(["/console", self.group.name, *map(str, parts)])


View: TypeAlias = Callable[[Ask], Response]


def html(text: str | bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in HTML."""
    # Half of a surrogate pair, which JSON may have, cannot be encoded.
    content = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    return Response(content, status, headers, "text/html; charset=utf-8")


class Views:
    """The views of one server.

    Args:
        door: The service that the server serves: one dataset group, or several.
    """

    def __init__(self, door: LocalPersonalize | LocalGroups) -> None:
        services = tuple(door.values()) if isinstance(door, Mapping) else (door,)
        self._door = door
        self._loaded = [Group(local) for local in services]
        self._account = inside(services[0]).account
        self._made: dict[str, tuple[DatasetGroup, Group]] = {}
        self._saved = Saved()
        self._looked = 0.0
        self._requests: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._fed: dict[str, tuple[str, bytes]] = {}
        self.state: str = ""

    def groups(self) -> dict[str, Group]:
        """The dataset groups by name: those that were loaded, and those that requests made."""
        made = {one.name: one for one in self._account.groups}
        # A deleted group of the same name is another one.
        self._made = {
            name: kept if (kept := self._made.get(name)) is not None and kept[0] is one else (one, Group(one))
            for name, one in made.items()
        }
        return {group.name: group for group in (*self._loaded, *(group for _, group in self._made.values()))}

    def group(self, name: str | None) -> Group | None:
        """The dataset group of a name; the first one without a name."""
        return self._loaded[0] if name is None else self.groups().get(name)

    # Reading.

    def overview(self, ask: Ask) -> Response:
        """The overview: numbers, campaigns, recommenders, filters."""
        group, data = ask.group, ask.group.engine.datasets
        counts = [
            ("campaigns and recommenders", len(group.resources), ask.url("rank")),
            ("users", len(group.interactions.users) or len(data.users or ()), ask.url("users")),
            ("items", len(group.engine.models.universe), ask.url("items")),
            ("interactions", len(group.interactions), None),
            ("actions", len(data.actions or ()), None),
            ("requests received", len(self._door.requests), ask.url("live")),
        ]
        return self._page(
            ask,
            "overview.html",
            counts=[count for count in counts if count[1] or count[0] != "actions"],
            resources=[(one, one.recipe.operation.name) for one in group.resources.values()],
            filters=list(group.engine.filters),
            trackers=group.event_trackers,
            python=ask.place.overview(),
        )

    def users(self, ask: Ask) -> Response:
        """A page of the users, or of those that a search finds."""
        found = ask.group.users(ask.form.text("words"), ask.form.number("page", 1, 1, 1_000_000))
        rows: list[dict[str, Any]] = []
        for number in found.numbers:
            id = ask.group.user_at(str(number)) or ""
            about = [text for value in list(ask.group.row("users", id).values())[:3] if (text := shown(value))]
            rows.append({"href": ask.url("users", number), "id": id, "title": "", "about": " · ".join(about)})
        return self._list(ask, "user", rows, found, ask.place.users())

    def items(self, ask: Ask) -> Response:
        """A page of the items, or of those that a search finds."""
        found = ask.group.items(ask.form.text("words"), ask.form.number("page", 1, 1, 1_000_000))
        rows: list[dict[str, Any]] = []
        for number in found.numbers:
            id = ask.group.item_at(str(number)) or ""
            row = ask.group.row("items", id)
            about = [text for name in ask.group.item_columns[:3] if (text := shown(row.get(name)))]
            rows.append(
                {
                    "href": ask.url("items", number),
                    "id": id,
                    "title": ask.group.title(id),
                    "about": " · ".join(about),
                }
            )
        return self._list(ask, "item", rows, found, ask.place.items())

    def _list(self, ask: Ask, noun: str, rows: list[dict[str, Any]], found: Found, python: str) -> Response:
        values: dict[str, Any] = {"noun": noun, "rows": rows, "found": found, "words": ask.form.text("words")}
        if ask.partial:
            return self._part(ask, "_rows.html", **values)
        return self._page(ask, "list.html", python=python, **values)

    def user(self, ask: Ask) -> Response:
        """One user: metadata and history."""
        group, id = ask.group, ask.group.user_at(ask.part("key"))
        if id is None:
            raise HTTPException(404, "There is no such user in these data.")
        history = [
            {
                "type": event.event_type or "–",
                "id": event.item_id,
                "number": group.number_of(event.item_id),
                "title": group.title(event.item_id),
                "value": "" if event.event_value is None else f"{event.event_value:g}",
                "when": when(event.timestamp),
            }
            for event in group.history(id)
        ]
        return self._page(
            ask,
            "user.html",
            id=id,
            key=ask.part("key"),
            row=[(name, shown(value)) for name, value in group.row("users", id).items()],
            history=history,
            events=len(group.interactions.of_user(id)) + len(group.engine.items.of_user(id)),
            resources=[one for one in group.resources.values() if "userId" not in one.recipe.ignores],
            python=ask.place.user(id),
        )

    def item(self, ask: Ask) -> Response:
        """One item: metadata, and how often it was met."""
        group, id = ask.group, ask.group.item_at(ask.part("key"))
        if id is None:
            raise HTTPException(404, "There is no such item in these data.")
        return self._page(
            ask,
            "item.html",
            id=id,
            key=ask.part("key"),
            title=group.title(id),
            row=[(name, shown(value)) for name, value in group.row("items", id).items()],
            events=group.events_with(id),
            related=[one for one in group.resources.values() if "itemId" in one.recipe.requires],
            python=ask.place.item(id),
        )

    def suggestions(self, ask: Ask) -> Response:
        """Users or items for a field, as it is typed."""
        group = ask.group
        if ask.form.text("kind") == "items":
            numbers = group.items(ask.form.text("item"), 1).numbers
            options = [(id, group.title(id)) for number in numbers if (id := group.item_at(str(number)))]
        else:
            numbers = group.users(ask.form.text("user"), 1).numbers
            options = [(id, "") for number in numbers if (id := group.user_at(str(number)))]
        return self._part(ask, "_options.html", options=options[:10])

    # Ranking.

    def rank_form(self, ask: Ask) -> Response:
        """The form of "rank this list for that user", filled from a link. It asks only when it is sent.

        An answer changes the service: it is journalled, uses up faults, and draws random numbers.
        """
        token = ask.part("token")
        campaign = ask.request.query_params.get("campaign", "")
        if campaign and (home := self._home_of(campaign, ask.group)) is not ask.group:
            # Numbers of users and items are those of the other dataset group, and stay behind.
            return RedirectResponse(f"/console/{home.name}/rank?{urlencode({'campaign': campaign})}", 303)
        form = self._saved.find(token) if token else self._linked(ask)
        if form is None:
            return self._page(ask, "rank.html", 404, problem=_GONE, **self._fields(ask, Form()), ready=False)
        ready = bool(token) or any(map(form.text, ("user", "item", "campaign")))
        return self._page(ask, "rank.html", **self._fields(ask, form), ready=ready)

    def _home_of(self, name: str, group: Group) -> Group:
        """The dataset group that has a campaign or recommender of this name: this one rather than another."""
        groups = (group, *self.groups().values())
        return next((one for one in groups if any(name == held.name for held in one.resources.values())), group)

    def _linked(self, ask: Ask) -> Form:
        """The form of a link without a token: numbers of a user and an item, names of campaigns."""
        query, group = ask.request.query_params, ask.group
        arns = {one.name: arn for arn, one in group.resources.items()}
        found = {
            "user": group.user_at(query.get("user", "")),
            "item": group.item_at(query.get("item", "")),
            "campaign": arns.get(query.get("campaign", "")),
            "beside": arns.get(query.get("beside", "")),
            "filter": next((one.arn for one in group.engine.filters if one.name == query.get("filter")), None),
        }
        fields = [(name, value) for name, value in found.items() if value]
        return Form(fields)

    def _fields(self, ask: Ask, form: Form) -> dict[str, Any]:
        asking = Asking(ask.group, form)
        return {
            "form": form,
            "asking": asking,
            "resources": list(asking.resources.values()),
            "filters": list(ask.group.engine.filters),
            "columns": list(ask.group.item_rows.columns),
            "count": DEFAULT_COUNT,
            "most": MOST,
        }

    def rank_values(self, ask: Ask) -> Response:
        """The fields for the values of the chosen filter, or of the promotion's."""
        part = "promoted" if ask.form.text("part") == "promoted" else "value"
        asking = Asking(ask.group, ask.form)
        stored = asking.promoted if part == "promoted" else asking.filter
        return self._part(ask, "_values.html", prefix=part, stored=stored, form=ask.form)

    def ranked(self, ask: Ask) -> Response:
        """Ask, and show the answers. The form gets a link that says nothing of its content."""
        url = ask.url("rank", self._saved.keep(ask.form))
        asking = Asking(ask.group, ask.form)
        answered = asking.answer(self._runtime)
        key = ask.group.key_of(asking.user_id) if asking.user_id else None
        calls = answered.calls
        values: dict[str, Any] = {
            "asking": asking,
            "answered": answered,
            "user_href": None if key is None else ask.url("users", key),
            "known": not asking.user_id or ask.group.known(asking.user_id),
            "python": ask.place.ranking(calls[0], calls[1] if len(calls) > 1 else None) if calls else "",
        }
        if ask.partial:
            return self._part(ask, "_answer.html", headers={"HX-Push-Url": url}, **values)
        # A browser without scripts, which gets the link to click.
        return self._page(ask, "rank.html", link=url, ready=False, **self._fields(ask, ask.form) | values)

    @cached_property
    def _runtime(self) -> Any:
        return self._door.runtime()

    # Filters.

    def filters(self, ask: Ask) -> Response:
        """The box for an expression, filled from a link."""
        token, group = ask.part("token"), ask.group
        form = self._saved.find(token) if token else None
        if form is None:
            name = ask.request.query_params.get("name", "")
            stored = next((one for one in group.engine.filters if one.name == name), None)
            stored = stored or next(iter(group.engine.filters), None)
            form = Form([] if stored is None else [("expression", stored.text)])
        problem = _GONE if token and self._saved.find(token) is None else ""
        return self._filters(ask, form, problem)

    def _filters(self, ask: Ask, form: Form, problem: str = "") -> Response:
        return self._page(
            ask,
            "filters.html",
            _status(problem),
            form=form,
            problem=problem,
            created=ask.group.engine.filters.find(form.text(_CREATED)),
            filters=list(ask.group.engine.filters),
            **self._trial(ask, form),
        )

    def _trial(self, ask: Ask, form: Form) -> dict[str, Any]:
        trial = tried(ask.group, form)
        python = ""
        if trial.stored is not None and trial.rows:
            given = (form.text("user") or None, form.text("item") or None, trial.values, trial.rows[0]["id"])
            python = ask.place.trial(form.text("expression"), *given)
        return {"trial": trial, "python": python}

    def filter_check(self, ask: Ask) -> Response:
        """The outcome of an expression as it is typed."""
        values = self._trial(ask, ask.form)
        # Fields that are being typed into stay, unless the expression has other parameters now.
        fresh = ask.form.several("parameter") != list(values["trial"].parameters)
        return self._part(ask, "_verdict.html", form=ask.form, fresh=fresh, **values)

    def filters_kept(self, ask: Ask) -> Response:
        """Give the expression a link that says nothing of it."""
        return RedirectResponse(ask.url("filters", self._saved.keep(ask.form)), 303)

    def new_filter(self, ask: Ask) -> Response:
        """Create a filter, as CreateFilter does."""
        group, name, expression = ask.group, ask.form.text("name"), ask.form.text("expression")
        try:
            if group.local is not None:
                arn = group.local.add_filter(name, expression)
            else:
                client = self._door.boto3_client("personalize")
                members = {"name": name, "datasetGroupArn": group.held.arn, "filterExpression": expression}
                arn = client.create_filter(**members)["filterArn"]
        except FilterSyntaxError as error:
            at = Break.of(error, expression)
            words = f"Line {at.line}, column {at.column}. {at.problem} {at.hint}"
            return self._filters(ask, ask.form, words.rstrip())
        except PersonalizeError as error:
            return self._filters(ask, ask.form, error.message)
        except Exception as error:  # botocore's
            return self._filters(ask, ask.form, f"The filter was refused: {_words(error)}")
        return RedirectResponse(ask.url("filters", self._saved.keep(ask.form.with_field(_CREATED, arn))), 303)

    # What comes in.

    def live(self, ask: Ask) -> Response:
        """Requests and events as they come in, and a form that sends an event."""
        token = ask.part("token")
        if not token:
            return self._live(ask, self._linked_event(ask))
        form = self._saved.find(token)
        return self._live(ask, Form(), problem=_GONE) if form is None else self._live(ask, form, sent=True)

    def _linked_event(self, ask: Ask) -> Form:
        query, group = ask.request.query_params, ask.group
        found = {"user": group.user_at(query.get("user", "")), "item": group.item_at(query.get("item", ""))}
        return Form([(name, value) for name, value in found.items() if value])

    def _live(self, ask: Ask, form: Form, *, sent: bool = False, problem: str = "") -> Response:
        self.look()
        trackers, types = ask.group.event_trackers, ask.group.event_types
        tracking_id = next(iter(trackers.values()), "")
        event = {
            "event_type": form.text("type") or (types[0] if types else "Watch"),
            "item_id": form.text("item") or next(iter(ask.group.popular(1)), None),
            "session_id": form.text("session") or "session-1",
            "user_id": form.text("user"),
        }
        return self._page(
            ask,
            "live.html",
            _status(problem),
            form=form,
            types=types,
            sent=sent,
            known=not form.text("item") or ask.group.has_item(form.text("item")),
            problem=problem,
            can_send=bool(trackers),
            python=ask.place.event(tracking_id, event) if trackers else "",
            **self._rows_for(ask.group),
        )

    @property
    def stale(self) -> bool:
        """True if the last look at the journal is too long ago."""
        return time.monotonic() - self._looked > _LOOK

    def look(self) -> None:
        """Look at the journal and the events once, for all browsers."""
        self._looked = time.monotonic()
        rows, events = tuple(self._door.requests), self._door.recorded_events
        last = [
            (len(rows), rows[-1].time, rows[-1].status) if rows else (),
            (len(events), id(events[-1:] and events[-1])),
        ]
        state = hashlib.sha256(repr(last).encode()).hexdigest()[:16]
        if state == self.state:
            return
        self.state = state
        self._requests = [
            {
                "when": when(row.time)[11:] + time.strftime(":%S", time.gmtime(row.time)),
                "operation": row.operation or "–",
                "resource": (row.resource or "").rpartition(":")[2],
                "status": row.status,
                "error": row.error,
                "took": f"{row.elapsed * 1000:.1f} ms",
                "members": json.dumps(row.members, indent=2, ensure_ascii=False),
            }
            for row in rows[: -_SHOWN - 1 : -1]
        ]
        self._events = [attrs.asdict(event, recurse=False) for event in events[: -_SHOWN - 1 : -1]]

    def _rows_for(self, group: Group) -> dict[str, Any]:
        events = [
            {
                "type": event["event_type"],
                "id": event["item_id"] or "–",
                "title": group.title(event["item_id"]) if event["item_id"] else "",
                "user": event["user_id"],
                "key": group.key_of(event["user_id"]) if event["user_id"] else None,
                "session": event["session_id"],
                "when": when(event["sent_at"]),
                "of": None if event["answer"] is None else event["answer"].resource_arn.rpartition(":")[2],
            }
            for event in self._events
        ]
        return {"requests": self._requests, "events": events, "state": self.state}

    def fed(self, group: Group) -> bytes | None:
        """The tables of requests and events, if they were made since something came."""
        state, content = self._fed.get(group.name, ("", None))
        return content if state == self.state else None

    def feed(self, group: Group) -> bytes:
        """The tables of requests and events; made once for all browsers that ask."""
        content = self.fed(group)
        if content is None:
            rows = self._rows_for(group)
            text = self._templates.get_template("_feed.html").render(url=f"/console/{group.name}", **rows)
            content = text.encode("utf-8", "replace")
            self._fed[group.name] = rows["state"], content
        return content

    def event(self, ask: Ask) -> Response:
        """Send an event by PutEvents, as a program would."""
        form, trackers = ask.form, ask.group.event_trackers
        if not form.text("item") or not form.text("type"):
            return self._live(ask, form, problem="An event needs a type and an item.")
        event = {"eventType": form.text("type"), "itemId": form.text("item"), "sentAt": time.time()}
        user = {"userId": form.text("user")} if form.text("user") else {}
        try:
            self._events_client.put_events(
                trackingId=next(iter(trackers.values()), ""),
                sessionId=form.text("session") or "session-1",
                eventList=[event],
                **user,
            )
        except Exception as error:  # botocore's, and whatever a fault makes of an answer
            return self._live(ask, form, problem=f"The event was refused: {_words(error)}")
        return RedirectResponse(ask.url("live", self._saved.keep(form)), 303)

    @cached_property
    def _events_client(self) -> Any:
        return self._door.boto3_client("personalize-events")

    def forget(self, ask: Ask) -> Response:
        """Forget the requests that were received."""
        self._door.requests.clear()
        return RedirectResponse(ask.url("live"), 303)

    # Faults.

    def faults(self, ask: Ask) -> Response:
        """The faults that are on, and those to switch on."""
        token = ask.part("token")
        rule = self._saved.find(token) if token else None
        problem = _GONE if token and rule is None else ""
        return self._faults(ask, rule or Form([("fault", "throttle"), ("times", "2")]), problem)

    def _faults(self, ask: Ask, form: Form, problem: str = "") -> Response:
        kinds = [
            {
                "name": name,
                "about": (kind.__doc__ or "").strip().splitlines()[0].replace("``", ""),
                "fields": [(field, needed, _default(kind, field)) for field, needed in kind.parameters().items()],
                "limits": kind.limits,
            }
            for name, kind in KINDS.items()
        ]
        return self._page(
            ask,
            "faults.html",
            _status(problem),
            form=form,
            problem=problem,
            rules=self._door.faults.rules,
            kinds=kinds,
            operations=[name for api in APIS[:2] for name in api.names],
            resources=list(ask.group.resources.values()),
            python=ask.place.fault(_rule(form)),
        )

    def new_fault(self, ask: Ask) -> Response:
        """Switch a fault on."""
        try:
            self._door.faults.add(_rule(ask.form))
        except PersonalizeError as error:
            return self._faults(ask, ask.form, error.message)
        return RedirectResponse(ask.url("faults", self._saved.keep(ask.form)), 303)

    def remove_fault(self, ask: Ask) -> Response:
        """Switch one fault off, or all of them."""
        id = ask.form.number("id", 0, 0, 999_999_999)
        if id:
            self._door.faults.remove(id)
        else:
            self._door.faults.clear()
        return RedirectResponse(ask.url("faults"), 303)

    # Rendering.

    def problem(self, ask: Ask, status: int, message: str) -> Response:
        """The view of an error."""
        return self._page(ask, "problem.html", status, message=message)

    def _page(self, ask: Ask, template: str, status: int = 200, /, **values: Any) -> Response:
        return html(self._templates.get_template(template).render(self._shared(ask) | values), status)

    def _part(self, ask: Ask, template: str, /, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
        return html(self._templates.get_template(template).render(self._shared(ask) | values), headers=headers)

    def _shared(self, ask: Ask) -> dict[str, Any]:
        return {
            "url": ask.url(),
            "here": ask.request.url.path,
            "group": ask.group.name,
            "groups": list(self.groups()),
            "faults_on": sum(1 for rule in self._door.faults.rules if rule.left != 0),
            "version": __version__,
        }

    @cached_property
    def _templates(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        # An address that changes with the content, so that a browser may keep the file.
        content = b"".join((_HERE / "static" / name).read_bytes() for name in ("console.css", "console.js"))
        cast("dict[str, Any]", environment.globals)["stamp"] = hashlib.sha256(content).hexdigest()[:12]
        return environment


def _default(kind: type[Fault], field: str) -> str:
    """The default of a parameter as text; empty if there is none."""
    default = getattr(attrs.fields(cast(Any, kind)), field).default
    return "" if default in (None, attrs.NOTHING) else str(default)


def _status(problem: str) -> int:
    return 404 if problem == _GONE else 422 if problem else 200


def _rule(form: Form) -> dict[str, Any]:
    """A rule in JSON form: numbers as numbers, and only what the kind has."""
    kind = KINDS.get(form.text("fault"))
    names = () if kind is None else (*kind.parameters(), *kind.limits)
    rule: dict[str, Any] = {"fault": form.text("fault")}
    for name in names:
        if text := form.text(name):
            try:
                rule[name] = json.loads(text)
            except ValueError:
                rule[name] = text
    return rule


def _words(error: Exception) -> str:
    response = cast("dict[str, Any]", getattr(error, "response", None) or {})
    return str(response.get("Error", {}).get("Message") or type(error).__name__)
