"""An Amazon Personalize inside this process, answering from a directory of CSV files."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from personalize_rt.errors import ValidationError
from personalize_rt.local.datasets import Datasets, EventLog, Table, load
from personalize_rt.local.engine import Engine
from personalize_rt.local.models import Models
from personalize_rt.local.problems import Problems
from personalize_rt.local.recipes import Recipe
from personalize_rt.local.settings import Settings, campaign_recipes, read_settings
from personalize_rt.local.wire import HttpRequest, HttpResponse, Wire

if TYPE_CHECKING:
    from personalize_rt.client import PersonalizeRuntime

__all__ = ["LocalPersonalize"]

_SAMPLE = Path(__file__).parent / "sample"
_SEED = 0


class LocalPersonalize:
    """An embedded Personalize; :meth:`sample` and :meth:`from_directory` make one.

    It answers the three operations of the runtime API as the service would, for the campaigns that its directory
    declares (see :mod:`personalize_rt.local.settings`). Where it differs from the service, ``docs/divergences.md``
    says so. It never writes to the directory. Threads may share it.
    """

    def __init__(
        self,
        settings: Settings,
        datasets: Datasets,
        recipes: Mapping[str, Recipe],
        *,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        arns = {name: f"arn:aws:personalize:{settings.region}:{settings.account}:campaign/{name}" for name in recipes}
        engine = Engine({arns[name]: recipe for name, recipe in recipes.items()}, Models(datasets), clock)
        self._region = settings.region
        self._campaigns = MappingProxyType(arns)
        self._datasets = datasets
        self._wire = Wire(engine, rng, clock)

    @classmethod
    def sample(cls, *, clock: Callable[[], float] = time.time, rng: random.Random | None = None) -> Self:
        """The bundled sample: real ratings of real films, and made-up offers.

        Its campaigns are ``movies-for-you``, ``movies-ranking``, ``similar-movies``, ``popular-movies`` and ``offers``.

        Args:
            clock: As in :meth:`from_directory`.
            rng: As in :meth:`from_directory`.
        """
        return cls.from_directory(_SAMPLE, clock=clock, rng=rng)

    @classmethod
    def from_directory(
        cls,
        directory: str | PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> Self:
        """Load a directory.

        Args:
            directory: Where the files are: ``interactions.csv`` or ``actions.csv`` at the least, ``items.csv``,
                ``users.csv``, ``action_interactions.csv`` and ``personalize.toml`` if wanted. The CSV headers are
                those of the Personalize schemas; all files are UTF-8.
            clock: Unix time in seconds: for the ``date`` of answers, and for actions that expire or repeat.
            rng: Makes the ids of requests and recommendations; by default one with a fixed seed, so that a program
                sees the same ids in each run.

        Raises:
            LocalDataError: Everything that is wrong with the directory, each with file, line and column.
        """
        path = Path(directory)
        problems = Problems()
        if not path.is_dir():
            problems.add(path.name or str(path), "expected a directory")
            problems.raise_if_any(str(path))
        settings = read_settings(path, problems)
        datasets = load(path, settings.schemas, problems)
        recipes = campaign_recipes(settings, datasets, problems)
        problems.raise_if_any(str(path))
        return cls(settings, datasets, recipes, clock=clock, rng=rng or random.Random(_SEED))

    # The doors.

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request: what every door does in the end."""
        return self._wire.handle(request)

    def boto3_client(self, *, config: Any = None) -> Any:
        """A real boto3 ``personalize-runtime`` client that this service answers, without a socket.

        It needs no credentials, serialises, signs and parses as always, and raises boto3's typed exceptions.

        Args:
            config: A ``botocore.config.Config`` to merge over the defaults.
        """
        from personalize_rt.transport.in_process import in_process_client

        return in_process_client(self._respond, region_name=self._region, config=config)

    def runtime(self, **options: Any) -> PersonalizeRuntime:
        """A :class:`~personalize_rt.PersonalizeRuntime` that this service answers, without a socket.

        Args:
            options: What the runtime takes beside a client: ``retry``, ``deadline``, ``limits``, …
        """
        from personalize_rt.client import PersonalizeRuntime

        return PersonalizeRuntime(client=self.boto3_client(), **options)

    def _respond(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        response = self.handle(HttpRequest(method, path, headers, body))
        return response.status, response.headers, response.body

    # The resources.

    @property
    def campaigns(self) -> Mapping[str, str]:
        """The ARN of each campaign, by name."""
        return self._campaigns

    @property
    def recommenders(self) -> Mapping[str, str]:
        """The ARN of each recommender, by name: none yet."""
        return MappingProxyType({})

    @property
    def filters(self) -> Mapping[str, str]:
        """The ARN of each filter, by name: none yet."""
        return MappingProxyType({})

    def campaign_arn(self, name: str) -> str:
        """The ARN of a campaign.

        Raises:
            ValidationError: There is no such campaign; the message names those that there are.
        """
        return _named(self.campaigns, name, "campaign")

    def recommender_arn(self, name: str) -> str:
        """The ARN of a recommender.

        Raises:
            ValidationError: There is no such recommender; the message names those that there are.
        """
        return _named(self.recommenders, name, "recommender")

    def filter_arn(self, name: str) -> str:
        """The ARN of a filter.

        Raises:
            ValidationError: There is no such filter; the message names those that there are.
        """
        return _named(self.filters, name, "filter")

    # The data.

    @property
    def interactions(self) -> EventLog:
        """The item interactions; iterating gives :class:`~personalize_rt.Interaction` values, in the file's order."""
        return self._datasets.interactions or EventLog()

    @property
    def items(self) -> Table:
        """Item id to metadata row (column to value), in the file's order."""
        return self._datasets.items or Table()

    @property
    def users(self) -> Table:
        """User id to metadata row, in the file's order."""
        return self._datasets.users or Table()

    @property
    def actions(self) -> Table:
        """Action id to metadata row, in the file's order."""
        return self._datasets.actions or Table()

    @property
    def action_interactions(self) -> EventLog:
        """The action interactions; in each :class:`~personalize_rt.Interaction`, ``item_id`` is the action."""
        return self._datasets.action_interactions or EventLog()

    def __repr__(self) -> str:
        return f"LocalPersonalize(campaigns=[{', '.join(self._campaigns)}], {len(self.interactions):,} interactions)"


def _named(arns: Mapping[str, str], name: str, kind: str) -> str:
    arn = arns.get(name)
    if arn is None:
        known = ", ".join(arns) or "none"
        raise ValidationError(f"there is no {kind} {name!r}; the {kind}s are: {known}", parameter="name")
    return arn
