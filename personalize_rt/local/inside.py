"""The parts of an embedded Personalize that an address with several of them, and the page, need."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from personalize_rt.local.control import Account, DatasetGroup
    from personalize_rt.local.control.keeping import Keeper
    from personalize_rt.local.embedded import LocalPersonalize
    from personalize_rt.local.events import Intake

__all__ = ["SAMPLE", "Inside", "Shown", "inside"]

SAMPLE: Path = Path(__file__).parent / "sample"
"""The directory of the bundled sample."""


class Shown:
    """Base of the embedded services that the page can show: those with datasets."""


@attrs.frozen
class Inside:
    """The parts of an embedded Personalize that an address with several of them, and the page, need.

    Attributes:
        group: Its dataset group.
        account: The dataset groups and schemas that requests made.
        rng: Makes the ids of requests.
        load: Loads its directory again.
        take: Makes it answer with newly loaded data.
        intake: Takes in its events.
        keep_with: Makes it record what requests change elsewhere.
        directory: Its directory.
        is_sample: Whether that is the bundled sample.
    """

    group: DatasetGroup
    account: Account
    rng: random.Random
    load: Callable[[], LocalPersonalize]
    take: Callable[[LocalPersonalize], None]
    intake: Intake
    keep_with: Callable[[Keeper], None]
    directory: Path
    is_sample: bool


def inside(local: LocalPersonalize) -> Inside:
    """The parts of an embedded Personalize."""
    # Of this package, but a public attribute would be one more name for everybody.
    parts = (local._group, local._account, local._rng, local._anew, local._take)  # pyright: ignore[reportPrivateUsage]
    directory = local._directory  # pyright: ignore[reportPrivateUsage]
    kept = (local._intake, local._keep_with)  # pyright: ignore[reportPrivateUsage]  # likewise
    return Inside(*parts, *kept, directory, directory == SAMPLE)
