"""The settings in ``personalize.toml``: campaigns, recommenders, filters, options, and the schemas of the CSV files.

::

    [campaigns]                     # name = recipe; without this table, one campaign for each recipe that has its data
    movies-ranking = "aws-personalized-ranking"
    movies-for-you = { recipe = "aws-user-personalization", enableMetadataWithRecommendations = true }

    [recommenders]                  # name = use case, all of one domain; in the same two forms
    top-picks = "aws-vod-top-picks"

    [filters]                       # name = filter expression
    unseen = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'

    [event_trackers]                # name = tracking id, or "" for one that is made from the name and stays the same;
    shop = "my-tracking-id"         # one at most

    [aliases]                       # ARN = the campaign, recommender or filter that answers for it, so that a program
                                    # may keep the ARNs of production
    "arn:aws:personalize:us-east-1:123456789012:campaign/films" = "movies-ranking"

    [schemas]                       # dataset = a file of the directory with the Avro schema JSON of CreateSchema, or
                                    # the JSON itself
    items = "items.schema.json"     # a dataset without one is inferred, by the rule in personalize_rt.local.schemas

    [options]
    region = "eu-west-1"            # of the ARNs
    account = "000000000000"
    dataset_group = "local"         # the name of the dataset group that the directory is
    metadata_not_enabled = "refuse" # metadataColumns for a campaign without metadata; or "omit": an answer without it
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, cast

import attrs

from personalize_rt.errors import FilterSyntaxError, ValidationError
from personalize_rt.filters import Filter
from personalize_rt.local.datasets import Datasets, line_that_is_not_utf8, only_regular
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.filtering import check_fields
from personalize_rt.local.life import Life
from personalize_rt.local.places import Source, excess, places_in_toml
from personalize_rt.local.problems import Problems
from personalize_rt.local.recipes import BATCH_ONLY, RECIPES, Recipe
from personalize_rt.local.schemas import DATASETS, Schema, read_schema
from personalize_rt.names import RESOURCE_NAME, is_resource_name
from personalize_rt.redaction import describe

__all__ = ["FILE", "Declared", "Settings", "add_filters", "aliases", "read_settings", "resources"]

FILE = "personalize.toml"

Kind = Literal["campaign", "recommender"]
# The parts of ARNs that name a kind of resource (API reference, examples of each resource).
_Plain = Kind | Literal["filter", "event-tracker", "dataset-group", "dataset", "schema", "solution"]
ArnKind = _Plain | Literal["dataset-import-job", "dataset-export-job", "batch-inference-job"]

_RECIPE_ARN = "arn:aws:personalize:::recipe/"
_TRACKING_ID_LENGTH = 256  # model: TrackingId
_ALIAS = re.compile(r"arn:[a-z0-9-]+:personalize:[a-z0-9-]+:\d{12}:(campaign|recommender|filter)/(.+)")
_METADATA = "enableMetadataWithRecommendations"
_TABLES = ("campaigns", "recommenders", "filters", "event_trackers", "aliases", "schemas", "options")
_KINDS: tuple[Kind, ...] = ("campaign", "recommender")
_OPTIONS = {
    "region": (re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+"), 'a region, as "eu-west-1"'),
    "account": (re.compile(r"\d{12}"), 'the 12 digits of an account, as "000000000000"'),
    "dataset_group": (re.compile(rf"(?=.{{1,63}}$){RESOURCE_NAME}"), "a name of letters, digits, - and _, at most 63"),
    "metadata_not_enabled": (re.compile("refuse|omit"), '"refuse" or "omit"'),
}


@attrs.frozen
class Declared:
    """A campaign or a recommender.

    Attributes:
        recipe: Its recipe or use case.
        with_metadata: Whether it returns metadata.
    """

    recipe: Recipe
    with_metadata: bool = False


@attrs.frozen
class Settings:
    """The checked content of ``personalize.toml``.

    Attributes:
        campaigns: The campaigns by name; ``None`` when the file declares none.
        recommenders: The recommenders by name.
        filters: The expression of each filter.
        event_trackers: The tracking id of each event tracker; empty for one that is made from its name.
        aliases: Names of campaigns, recommenders and filters, by other ARNs that stand for them.
        schemas: The declared schemas, by dataset (``"interactions"``, …).
        region: The region of the ARNs.
        account: The account of the ARNs.
        dataset_group: The name of the dataset group.
        metadata_not_enabled: What becomes of a request for metadata that is not switched on: ``"refuse"``, or
            ``"omit"`` for an answer without it. A recorded reply has none while an update that switches it on is in
            progress (service.md section 12, fact 7); of other cases nothing is known.
        source: The file.
    """

    campaigns: Mapping[str, Declared] | None = None
    recommenders: Mapping[str, Declared] = attrs.field(factory=dict[str, Declared])
    filters: Mapping[str, str] = attrs.field(factory=dict[str, str])
    event_trackers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    schemas: Mapping[str, Schema] = attrs.field(factory=dict[str, Schema])
    region: str = "eu-west-1"
    account: str = "000000000000"
    dataset_group: str = "local"
    metadata_not_enabled: str = "refuse"
    source: Source = attrs.field(default=Source(FILE, "", read=places_in_toml), repr=False)

    def arn(self, kind: ArnKind, name: str = "") -> str:
        """The ARN of a resource."""
        partition = "aws-cn" if self.region.startswith("cn-") else "aws"
        return f"arn:{partition}:personalize:{self.region}:{self.account}:{kind}/{name}"

    def dataset_arn(self, dataset: str) -> str:
        """The ARN of a dataset (``"interactions"``, …), in the form that CreateDataset gives it."""
        return self.arn("dataset", f"{self.dataset_group}/{DATASETS[dataset].name.upper()}")


def read_settings(directory: Path, problems: Problems) -> Settings:
    """Read ``personalize.toml``, or return the defaults if there is none.

    Args:
        directory: The directory of the file.
        problems: Collects the problems.
    """
    path = directory / FILE
    if not os.path.lexists(path):
        return Settings()
    try:
        text = _read(path)
    except OSError as error:
        problems.add(FILE, f"expected a file that can be read: {error.strerror}")
        return Settings()
    except UnicodeDecodeError:
        problems.add(FILE, "expected UTF-8", line=line_that_is_not_utf8(path))
        return Settings()
    source = Source(FILE, text, read=places_in_toml)
    found = excess(text)
    if found is not None:
        line, column = source.at(found[1])
        problems.add(FILE, found[0], line=line, column=column)
        return Settings()
    try:
        return _Reader(directory, source, problems).read(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        _add_syntax_error(str(error), source, problems)
        return Settings()


def _read(path: str | Path) -> str:
    with open(path, encoding="utf-8-sig", opener=only_regular) as text:
        return text.read()


def _add_syntax_error(message: str, source: Source, problems: Problems) -> None:
    place = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line, column = (int(place[1]), int(place[2])) if place else source.at(len(source.text))
    problems.add(FILE, f"expected TOML: {message.partition(' (at ')[0]}", line=line, column=column)


def _add(problems: Problems, source: Source, message: str, *path: str) -> None:
    """Add a problem at a key, or if that is missing, at its parent."""
    span = source.span(*path)
    line, column = (None, None) if span is None else source.at(span[0])
    problems.add(FILE, message, line=line, column=column)


@attrs.frozen
class _Reader:
    directory: Path
    source: Source
    problems: Problems

    def read(self, declared: Mapping[str, Any]) -> Settings:
        for table in declared:
            if table not in _TABLES:
                self.wrong(f"{table} is none of the tables {', '.join(_TABLES)}", table)
        campaigns = self._resources(declared, "campaign")
        return Settings(
            campaigns if "campaigns" in declared else None,
            self._resources(declared, "recommender"),
            self._filters(self._texts(declared, "filters")),
            self._trackers(self._texts(declared, "event_trackers")),
            self._aliases(self._texts(declared, "aliases")),
            self._schemas(self._texts(declared, "schemas")),
            **self._options(self._texts(declared, "options")),
            source=self.source,
        )

    def wrong(self, message: str, *path: str) -> None:
        _add(self.problems, self.source, message, *path)

    def _entries(self, declared: Mapping[str, Any], table: str) -> dict[str, Any]:
        entries: Any = declared.get(table, {})
        if isinstance(entries, dict):
            return cast("dict[str, Any]", entries)
        self.wrong(f"expected a table: [{table}]", table)
        return {}

    def _texts(self, declared: Mapping[str, Any], table: str) -> dict[str, str]:
        """The entries of a table, each of which must be a string."""
        texts: dict[str, str] = {}
        for key, value in self._entries(declared, table).items():
            if isinstance(value, str):
                texts[key] = value
            else:
                self.wrong(f'{table}.{key}: expected a string in quotes, as {key} = "…"', table, key)
        return texts

    def _named(self, table: str, name: str) -> bool:
        if is_resource_name(name):
            return True
        self.wrong(f"{table}.{name}: expected a name of letters, digits, - and _, at most 63", table, name)
        return False

    def _resources(self, declared: Mapping[str, Any], kind: Kind) -> dict[str, Declared]:
        table = f"{kind}s"
        read: dict[str, Declared] = {}
        for name, entry in self._entries(declared, table).items():
            members: dict[str, Any] = {"recipe": entry} if isinstance(entry, str) else entry
            recipe, metadata = self._members(table, name, members)
            if self._named(table, name) and recipe is not None:
                found = self._recipe(table, name, recipe, kind)
                if found is not None:
                    read[name] = Declared(found, metadata)
        domains = sorted({declared.recipe.domain or "" for declared in read.values()})
        if len(domains) > 1:
            expected = f"expected use cases of one domain, as a dataset group has one: {' or '.join(domains)}"
            self.wrong(f"{table}: {expected}", table)
        return read

    def _members(self, table: str, name: str, entry: Any) -> tuple[str | None, bool]:
        """The recipe's name, and whether metadata is returned."""
        form = f'{{ recipe = "…", {_METADATA} = true }}'
        if not isinstance(entry, dict):
            self.wrong(f'{table}.{name}: expected a string in quotes, as {name} = "…", or {form}', table, name)
            return None, False
        members = cast("dict[str, Any]", entry)
        for key in members:
            if key not in ("recipe", _METADATA):
                self.wrong(f"{table}.{name}.{key}: expected recipe or {_METADATA}", table, name, key)
        recipe, metadata = members.get("recipe"), members.get(_METADATA, False)
        if not isinstance(recipe, str):
            self.wrong(f"{table}.{name}: expected a recipe, as {form}", table, name, "recipe")
            recipe = None
        if not isinstance(metadata, bool):
            self.wrong(f"{table}.{name}.{_METADATA}: expected true or false", table, name, _METADATA)
        return recipe, metadata is True

    def _recipe(self, table: str, name: str, value: str, kind: Kind) -> Recipe | None:
        recipe = RECIPES.get(value.removeprefix(_RECIPE_ARN))
        if recipe is not None and recipe.resource == kind:
            return recipe
        what = "recipes" if kind == "campaign" else "use cases"
        if value.removeprefix(_RECIPE_ARN) in BATCH_ONLY:
            expected = f"{value.removeprefix(_RECIPE_ARN)} makes user segments, in batch jobs only: it has no {kind}s"
        elif recipe is not None:
            expected = f"{recipe.name} is for {recipe.resource}s: expected it in the table [{recipe.resource}s]"
        else:
            known = (one.name for one in RECIPES.values() if one.resource == kind)
            expected = f"expected one of the {what} {', '.join(known)}"
        self.wrong(f"{table}.{name}: {expected}", table, name, "recipe")
        return None

    def _filters(self, filters: Mapping[str, str]) -> dict[str, str]:
        return {name: text for name, text in filters.items() if self._named("filters", name)}

    def _trackers(self, trackers: Mapping[str, str]) -> dict[str, str]:
        if len(trackers) > 1:
            self.wrong("event_trackers: expected one: a dataset group has one event tracker at most", "event_trackers")
        for name, tracking_id in trackers.items():
            if len(tracking_id) > _TRACKING_ID_LENGTH:
                expected = f"expected a tracking id of at most {_TRACKING_ID_LENGTH} characters"
                self.wrong(f"event_trackers.{name}: {expected}", "event_trackers", name)
        return {name: id for name, id in trackers.items() if self._named("event_trackers", name)}

    def _aliases(self, aliases: Mapping[str, str]) -> dict[str, str]:
        for arn in aliases:
            if not _ALIAS.fullmatch(arn):
                self.wrong(f"aliases.{arn}: {_EXPECTED_ALIAS}, in quotes", "aliases", arn)
        return {arn: name for arn, name in aliases.items() if _ALIAS.fullmatch(arn)}

    def _schemas(self, schemas: Mapping[str, str]) -> dict[str, Schema]:
        read: dict[str, Schema] = {}
        for name, value in schemas.items():
            dataset = DATASETS.get(name)
            if dataset is None:
                self.wrong(f"schemas.{name}: expected one of the datasets {', '.join(DATASETS)}", "schemas", name)
                continue
            source = self._schema(name, value)
            if isinstance(source, str):
                expected = (
                    "expected the JSON of a schema, or the name of a UTF-8 file in the data directory that holds it"
                )
                self.wrong(f"schemas.{name}: {expected} ({source})", "schemas", name)
                continue
            schema = read_schema(source, dataset, self.problems)
            if schema is not None:
                read[name] = schema
        return read

    def _schema(self, name: str, value: str) -> Source | str:
        """The JSON of a schema, or why there is none."""
        if value.lstrip().startswith(("{", '"')):
            start = _place(self.source, value, "schemas", name)
            # A string with escapes cannot be found in the file as it is.
            around = "" if start is None else self.source.text[:start]
            return Source(f"{FILE} (schemas.{name})", value, around)
        path = PurePath(value)
        if path.anchor or ".." in path.parts:
            return "this one is outside of it"
        try:
            return Source(value, _read(self.directory / path))
        except OSError as error:
            return error.strerror or "it cannot be read"
        except UnicodeDecodeError:
            return "this one is not UTF-8"
        except ValueError:
            return "that is no name of a file"

    def _options(self, options: Mapping[str, str]) -> dict[str, str]:
        for key, value in options.items():
            if key not in _OPTIONS:
                self.wrong(f"options.{key}: expected one of the options {', '.join(_OPTIONS)}", "options", key)
            elif not _OPTIONS[key][0].fullmatch(value):
                self.wrong(f"options.{key}: expected {_OPTIONS[key][1]}", "options", key)
        return {key: value for key, value in options.items() if key in _OPTIONS}


# Resources and filters of the settings.


def resources(settings: Settings, datasets: Datasets, problems: Problems) -> list[Resource]:
    """Make the campaigns and recommenders.

    Args:
        settings: The settings.
        datasets: The datasets.
        problems: Collects resources whose recipe lacks its data.
    """
    campaigns = settings.campaigns
    if campaigns is None:
        campaigns = {
            recipe.name.removeprefix("aws-"): Declared(recipe)
            for recipe in RECIPES.values()
            if recipe.resource == "campaign" and not _missing(recipe, datasets)
        }
    types = set(map(str.casefold, () if datasets.interactions is None else datasets.interactions.types))
    found: list[Resource] = []
    for kind, declared in zip(_KINDS, (campaigns, settings.recommenders), strict=True):
        for name, one in declared.items():
            recipe = one.recipe
            for file in _missing(recipe, datasets):
                problems.add(file, f"expected this file: the {kind} {name} ({recipe.name}) learns from it")
            if recipe.event_type is not None and types and recipe.event_type.casefold() not in types:
                expected = f"expected events of the type {recipe.event_type}"
                problems.add("interactions.csv", f"{expected}: the {kind} {name} ({recipe.name}) learns from them")
            metadata = one.with_metadata or recipe.with_metadata
            found.append(Resource(name, settings.arn(kind, name), recipe, metadata))
    return found


def aliases(
    settings: Settings, found: Sequence[Resource], problems: Problems, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The ARN that each alias stands for.

    Args:
        settings: The settings.
        found: The campaigns and recommenders.
        problems: Collects aliases of the settings for resources that are not there.
        given: Aliases of the caller, which count instead of those of the settings for the same ARN.

    Raises:
        ValidationError: An alias of the caller is none.
    """
    arns = {resource.arn for resource in found} | {settings.arn("filter", name) for name in settings.filters}
    resolved: dict[str, str] = {}
    for alias, name in settings.aliases.items():
        arn = _stands_for(alias, name, settings, arns)
        if arn in arns:
            resolved[alias] = arn
        else:
            _add(problems, settings.source, f"aliases.{alias}: {arn}", "aliases", alias)
    for alias, name in _texts_by_arn(given).items():
        arn = _stands_for(alias, name, settings, arns)
        if arn not in arns:
            raise ValidationError(f"aliases[{alias!r}]: {arn}", parameter="aliases")
        resolved[alias] = arn
    return resolved


_EXPECTED_ALIAS = "expected the ARN of a campaign, a recommender or a filter"


def _stands_for(alias: str, name: str, settings: Settings, arns: Collection[str]) -> str:
    """The ARN that an alias stands for, or if it is none of *arns*, the problem."""
    kind = cast("Literal['campaign', 'recommender', 'filter']", alias.split(":", 5)[5].partition("/")[0])
    prefix = settings.arn(kind)
    if alias in arns:
        return f"this {kind} is here, under this ARN"
    if prefix + name in arns:
        return prefix + name
    known = ", ".join(sorted(one.removeprefix(prefix) for one in arns if one.startswith(prefix))) or "none"
    return f"there is no {kind} {name!r}; the {kind}s are: {known}"


def _texts_by_arn(given: Any) -> dict[str, str]:
    """Aliases of the caller, checked but for what they stand for."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValidationError(f"aliases is {describe(given)}, not a mapping of ARNs to names", parameter="aliases")
    for alias, name in cast("Mapping[object, object]", given).items():
        if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
            shown = repr(alias) if isinstance(alias, str) else describe(alias)
            raise ValidationError(f"aliases has the key {shown}; {_EXPECTED_ALIAS}", parameter="aliases")
        if not isinstance(name, str):
            raise ValidationError(f"aliases[{alias!r}] is {describe(name)}, not a name", parameter="aliases")
    return dict(cast("Mapping[str, str]", given))


def _missing(recipe: Recipe, datasets: Datasets) -> list[str]:
    return [DATASETS[name].file for name in recipe.learns_from if getattr(datasets, name) is None]


def add_filters(settings: Settings, engine: Engine, problems: Problems, created: float = 0.0) -> None:
    """Create the declared filters.

    Args:
        settings: The settings.
        engine: The engine to add the filters to.
        problems: Collects problems of an expression: its syntax error, or else each field that the data do not have.
        created: Unix time of their creation, in seconds.
    """
    for name, text in settings.filters.items():
        if problems.full(FILE):
            break
        try:
            expression = Filter.parse(text)
            errors = check_fields(expression, text, engine.datasets)
            if not errors:
                engine.filters.add(name, expression, text, Life(created))
        except FilterSyntaxError as error:
            errors = [error]
        except ValidationError as error:
            _add(problems, settings.source, f"filters.{name}: {error.message}", "filters", name)
            continue
        for wrong in errors:
            _add_filter_problem(settings.source, name, text, wrong, problems)


def _add_filter_problem(source: Source, name: str, text: str, error: FilterSyntaxError, problems: Problems) -> None:
    """Add a problem at its place in the expression if the file has it without escapes, else at its key."""
    start = _place(source, text, "filters", name)
    if start is None:
        _add(problems, source, f"filters.{name}: {error.message}", "filters", name)
        return
    before = text.split("\n")[: error.line - 1]
    line, column = source.at(start + sum(len(line) + 1 for line in before) + error.column - 1)
    problems.add(FILE, f"filters.{name}: {error.message.partition(': ')[2]}", line=line, column=column)


def _place(source: Source, text: str, *path: str) -> int | None:
    """The offset of a text within a value of the file; ``None`` if it is written with escapes."""
    start, end = source.span(*path) or (0, 0)
    found = source.text.find(text, start, end)
    return None if found < 0 else found
