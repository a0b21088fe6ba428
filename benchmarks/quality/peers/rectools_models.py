"""RecTools: SASRec, a transformer that reads the history as a sequence.

Needs ``pip install torch==2.13.0``, then ``pip install "rectools[torch]" attrs``. It is asked with the history at hand.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.quality.peers.common import Models, Question, grid, run
from benchmarks.quality.task import Event

SEED = 1
AT_ONCE = 100


class SASRec:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.epochs = settings.pop("epochs")

    def fit(self, events: Sequence[Event]) -> None:
        seed_everything(SEED)
        self.model = SASRecModel(
            **self.settings,
            session_max_len=30,
            loss="sampled_softmax",
            n_negatives=100,
            get_trainer_func=self.trainer,
            deterministic=True,
            recommend_torch_device="cpu",
        )
        self.known = {event[1] for event in events}
        self.model.fit(_dataset([(event[0], event) for event in events]))

    def trainer(self, **_: Any) -> Any:
        return Trainer(
            max_epochs=self.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def answers(self, questions: Sequence[Question]) -> Iterable[Sequence[float | None]]:
        for first in range(0, len(questions), AT_ONCE):
            yield from self._some(questions[first : first + AT_ONCE])

    def _some(self, questions: Sequence[Question]) -> list[Sequence[float | None]]:
        # Each question is a user of its own, with the history of that moment.
        able = {
            n: [event for event in history if event[1] in self.known] for n, (_, history, _) in enumerate(questions)
        }
        able = {n: history for n, history in able.items() if history}
        targets = sorted({item for _, _, candidates in questions for item in candidates if item in self.known})
        found: dict[int, dict[str, float]] = {}
        if able:
            rows = self.model.recommend(
                users=[str(n) for n in able],
                dataset=_dataset([(str(n), event) for n, history in able.items() for event in history]),
                k=len(targets),
                filter_viewed=False,
                items_to_recommend=targets,
                on_unsupported_targets="ignore",
            )
            for user, part in rows.groupby(Columns.User):
                found[int(user)] = dict(zip(part[Columns.Item], part[Columns.Score], strict=True))
        return [
            [found[n].get(item) for item in candidates] if n in found else [0.0] * len(candidates)
            for n, (_, _, candidates) in enumerate(questions)
        ]


def _dataset(rows: Sequence[tuple[str, Event]]) -> Dataset:
    frame = pd.DataFrame(
        {
            Columns.User: [user for user, _ in rows],
            Columns.Item: [event[1] for _, event in rows],
            Columns.Weight: 1.0,
            # Events of one moment keep their order.
            Columns.Datetime: pd.to_datetime(range(len(rows)), unit="s"),
        }
    )
    return Dataset.construct(frame)


MODELS: Models = {
    "RecTools SASRec": (grid(n_factors=[64], n_blocks=[2], n_heads=[2], lr=[0.001], epochs=[10]), SASRec),
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    run(MODELS)
