"""LensKit: item-kNN, implicit-feedback ALS, and EASE.

Needs ``pip install torch==2.13.0``, then ``pip install lenskit attrs``. All of them score from the history at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer
from lenskit.training import TrainingOptions

from benchmarks.quality.peers.common import Models, OneByOne, grid, run
from benchmarks.quality.task import Event

SEED = 1


class _LensKit(OneByOne):
    scorer: type[Any]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def fit(self, events: Sequence[Event]) -> None:
        frame = pd.DataFrame({"user_id": [event[0] for event in events], "item_id": [event[1] for event in events]})
        self.known = {event[1] for event in events}
        self.model = self.scorer(**self.settings)
        self.model.train(from_interactions_df(frame.drop_duplicates()), TrainingOptions(rng=SEED))

    def scores(self, user: str, history: Sequence[Event], candidates: Sequence[str]) -> Sequence[float | None]:
        # The item-kNN of LensKit 2025.8 panics at an item that it does not know.
        had = [item for item in dict.fromkeys(event[1] for event in history) if item in self.known]
        if not had:
            return [0.0] * len(candidates)
        query = RecQuery(user_id=user, user_items=ItemList(item_ids=np.array(had)))
        found = self.model(query=query, items=ItemList(item_ids=np.array(candidates))).scores("numpy")
        return [None if np.isnan(score) else float(score) for score in found]


class ItemKNN(_LensKit):
    scorer = ItemKNNScorer


class ALS(_LensKit):
    scorer = ImplicitMFScorer


class EASE(_LensKit):
    scorer = EASEScorer


MODELS: Models = {
    "LensKit item-kNN": (grid(feedback=["implicit"], max_nbrs=[5, 20, 100], save_nbrs=[None, 500]), ItemKNN),
    "LensKit implicit ALS": (
        grid(embedding_size=[16, 64], regularization=[0.1, 1.0], weight=[10.0, 40.0]),
        ALS,
    ),
    "LensKit EASE": (grid(regularization=[100.0, 500.0]), EASE),
}

if __name__ == "__main__":
    run(MODELS)
