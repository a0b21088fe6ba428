"""What ``personalize.toml`` declares: campaigns, options, and the schemas of the CSV files.

::

    [campaigns]                     # name = recipe; without this table, one campaign for each recipe that has its data
    movies-ranking = "aws-personalized-ranking"

    [schemas]                       # dataset = a file with the Avro schema JSON of CreateSchema, or the JSON itself
    items = "items.schema.json"     # a dataset without one is inferred, by the rule in personalize_rt.local.schemas

    [options]
    region = "eu-west-1"            # of the ARNs
    account = "000000000000"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from personalize_rt.local.datasets import Datasets
from personalize_rt.local.problems import Problems
from personalize_rt.local.recipes import RECIPES, Recipe
from personalize_rt.local.schemas import DATASETS, Schema, read_schema

__all__ = ["FILE", "Settings", "campaign_recipes", "read_settings"]

FILE = "personalize.toml"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}")
_RECIPE_ARN = "arn:aws:personalize:::recipe/"
_OPTIONS = {
    "region": (re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+"), 'a region, as "eu-west-1"'),
    "account": (re.compile(r"\d{12}"), 'the 12 digits of an account, as "000000000000"'),
}


@attrs.frozen
class Settings:
    """The checked content of ``personalize.toml``.

    Attributes:
        campaigns: The recipe name of each campaign; ``None`` when the file declares none.
        schemas: The schema of each dataset (``"interactions"``, …) that has one.
        region: The region of the ARNs.
        account: The account of the ARNs.
    """

    campaigns: Mapping[str, str] | None = None
    schemas: Mapping[str, Schema] = attrs.field(factory=dict[str, Schema])
    region: str = "eu-west-1"
    account: str = "000000000000"


def read_settings(directory: Path, problems: Problems) -> Settings:
    """Read ``personalize.toml``; a directory without one has the defaults.

    Args:
        directory: Where the file is.
        problems: Takes what is wrong.
    """
    path = directory / FILE
    if not path.exists():
        return Settings()
    try:
        text = path.read_text(encoding="utf-8-sig")
        declared = tomllib.loads(text)
    except OSError as error:
        problems.add(FILE, f"expected a file that can be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.add(FILE, "expected UTF-8")
    except tomllib.TOMLDecodeError as error:
        _add_syntax_error(str(error), problems)
    else:
        return _Reader(directory, text, problems).read(declared)
    return Settings()


def campaign_recipes(settings: Settings, datasets: Datasets, problems: Problems) -> dict[str, Recipe]:
    """The recipe of each campaign.

    Args:
        settings: What is declared.
        datasets: What there is to learn from.
        problems: Takes the campaigns whose recipe lacks its data.
    """
    if settings.campaigns is None:
        found = (recipe for recipe in RECIPES.values() if not _missing(recipe, datasets))
        return {recipe.name.removeprefix("aws-"): recipe for recipe in found}
    for name, recipe in settings.campaigns.items():
        for file in _missing(RECIPES[recipe], datasets):
            problems.add(file, f"expected this file: the campaign {name} ({recipe}) learns from it")
    return {name: RECIPES[recipe] for name, recipe in settings.campaigns.items()}


def _missing(recipe: Recipe, datasets: Datasets) -> list[str]:
    return [DATASETS[name].file for name in recipe.learns_from if getattr(datasets, name) is None]


def _add_syntax_error(message: str, problems: Problems) -> None:
    place = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line, column = (int(place[1]), int(place[2])) if place else (None, None)
    problems.add(FILE, f"expected TOML: {message.partition(' (at ')[0]}", line=line, column=column)


@attrs.frozen
class _Reader:
    directory: Path
    text: str
    problems: Problems

    def read(self, declared: Mapping[str, Any]) -> Settings:
        for table in declared:
            if table in ("recommenders", "filters"):
                self.wrong(f"{table} are not supported yet by the embedded service", table)
            elif table not in ("campaigns", "schemas", "options"):
                self.wrong(f"{table} is none of the tables campaigns, schemas, options", table)
        campaigns = self._texts(declared, "campaigns")
        return Settings(
            None if "campaigns" not in declared else self._campaigns(campaigns),
            self._schemas(self._texts(declared, "schemas")),
            **self._options(self._texts(declared, "options")),
        )

    def wrong(self, message: str, table: str, key: str | None = None) -> None:
        self.problems.add(FILE, message, line=_line_of(self.text, table, key))

    def _texts(self, declared: Mapping[str, Any], table: str) -> dict[str, str]:
        """The entries of a table, each of which must be a string."""
        entries: Any = declared.get(table, {})
        if not isinstance(entries, dict):
            self.wrong(f"expected a table: [{table}]", table)
            return {}
        texts: dict[str, str] = {}
        for key, value in cast("dict[str, Any]", entries).items():
            if isinstance(value, str):
                texts[key] = value
            else:
                self.wrong(f'{table}.{key}: expected a string in quotes, as {key} = "…"', table, key)
        return texts

    def _campaigns(self, campaigns: Mapping[str, str]) -> dict[str, str]:
        recipes: dict[str, str] = {}
        for name, value in campaigns.items():
            recipe = value.removeprefix(_RECIPE_ARN)
            if not _NAME.fullmatch(name):
                self.wrong(
                    f"campaigns.{name}: expected a name of letters, digits, - and _, at most 63", "campaigns", name
                )
            elif recipe not in RECIPES:
                expected = f"expected one of the recipes {', '.join(RECIPES)}"
                self.wrong(f"campaigns.{name}: {expected}", "campaigns", name)
            else:
                recipes[name] = recipe
        return recipes

    def _schemas(self, schemas: Mapping[str, str]) -> dict[str, Schema]:
        read: dict[str, Schema] = {}
        for name, value in schemas.items():
            dataset = DATASETS.get(name)
            if dataset is None:
                self.wrong(f"schemas.{name}: expected one of the datasets {', '.join(DATASETS)}", "schemas", name)
                continue
            text, file = (value, f"{FILE} (schemas.{name})") if value.lstrip().startswith("{") else ("", value)
            if not text:
                try:
                    text = (self.directory / value).read_text(encoding="utf-8-sig")
                except (OSError, ValueError):
                    expected = "expected the JSON of a schema, or the name of a UTF-8 file that holds it"
                    self.wrong(f"schemas.{name}: {expected}", "schemas", name)
                    continue
            schema = read_schema(text, dataset, file, self.problems)
            if schema is not None:
                read[name] = schema
        return read

    def _options(self, options: Mapping[str, str]) -> dict[str, str]:
        for key, value in options.items():
            if key not in _OPTIONS:
                self.wrong(f"options.{key}: expected one of the options {', '.join(_OPTIONS)}", "options", key)
            elif not _OPTIONS[key][0].fullmatch(value):
                self.wrong(f"options.{key}: expected {_OPTIONS[key][1]}", "options", key)
        return {key: value for key, value in options.items() if key in _OPTIONS}


def _line_of(text: str, table: str, key: str | None) -> int | None:
    """Where a table or a key stands; tomllib does not say. ``None`` when it is written in an unusual way."""
    current: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([\w-]+)\s*\]", line)
        entry = re.match(r"""\s*(["']?)(?P<key>[^"'=]+?)\1\s*=""", line)
        if header:
            current = header[1]
            if key is None and current == table:
                return number
        elif entry and ((current == table and entry["key"] == key) or (current is None and entry["key"] == table)):
            return number
    return None
