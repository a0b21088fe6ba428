"""`implicit`: ALS, BPR, and item-kNN with BM25 and cosine weights.

Needs ``pip install implicit attrs``. ALS solves for the user's factors from the history at hand, the neighbourhood
models score with it, BPR has the factors that it learned of the user (of a new user, the items' biases alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

from benchmarks.quality.peers.common import Models, OneByOne, grid, run
from benchmarks.quality.task import Event

SEED = 1


class _Implicit(OneByOne):
    def fit(self, events: Sequence[Event]) -> None:
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        rows = [self.users.setdefault(user, len(self.users)) for user, *_ in events]
        columns = [self.items.setdefault(event[1], len(self.items)) for event in events]
        matrix = sp.csr_matrix((np.ones(len(events), dtype=np.float32), (rows, columns)))
        self.model: Any = self.made()
        self.model.fit(matrix, show_progress=False)

    def made(self) -> Any:
        raise NotImplementedError

    def row(self, history: Sequence[Event]) -> Any:
        known = [self.items[event[1]] for event in history if event[1] in self.items]
        ones = np.ones(len(known), dtype=np.float32)
        return sp.csr_matrix((ones, (np.zeros(len(known), dtype=int), known)), shape=(1, len(self.items)))

    def picked(self, values: Any, candidates: Sequence[str]) -> list[float | None]:
        places = [self.items.get(item) for item in candidates]
        return [None if place is None else float(values[place]) for place in places]


class ALS(_Implicit):
    def __init__(self, factors: int, regularization: float, alpha: float) -> None:
        self.settings = {"factors": factors, "regularization": regularization, "alpha": alpha}

    def made(self) -> Any:
        return AlternatingLeastSquares(**self.settings, iterations=15, random_state=SEED, num_threads=1)

    def scores(self, user: str, history: Sequence[Event], candidates: Sequence[str]) -> Sequence[float | None]:
        row = self.row(history)
        if not row.nnz:
            return [0.0] * len(candidates)
        return self.picked(self.model.item_factors @ self.model.recalculate_user(0, row), candidates)


class BPR(_Implicit):
    def __init__(self, factors: int, learning_rate: float, regularization: float, iterations: int) -> None:
        self.settings = {
            "factors": factors,
            "learning_rate": learning_rate,
            "regularization": regularization,
            "iterations": iterations,
        }

    def made(self) -> Any:
        return BayesianPersonalizedRanking(**self.settings, random_state=SEED, num_threads=1)

    def scores(self, user: str, history: Sequence[Event], candidates: Sequence[str]) -> Sequence[float | None]:
        if user in self.users:
            factors = self.model.user_factors[self.users[user]]
        else:
            factors = np.zeros(self.model.item_factors.shape[1], dtype=np.float32)
            factors[-1] = 1.0  # implicit keeps the bias of items in the last column
        return self.picked(self.model.item_factors @ factors, candidates)


class _Neighbours(_Implicit):
    def scores(self, user: str, history: Sequence[Event], candidates: Sequence[str]) -> Sequence[float | None]:
        return self.picked((self.row(history) @ self.model.similarity).toarray()[0], candidates)


class BM25(_Neighbours):
    def __init__(self, K: int, K1: float, B: float) -> None:  # noqa: N803
        self.settings = {"K": K, "K1": K1, "B": B}

    def made(self) -> Any:
        return BM25Recommender(**self.settings, num_threads=1)


class Cosine(_Neighbours):
    def __init__(self, K: int) -> None:  # noqa: N803
        self.settings = {"K": K}

    def made(self) -> Any:
        return CosineRecommender(**self.settings, num_threads=1)


MODELS: Models = {
    "implicit ALS": (grid(factors=[16, 64], regularization=[0.1, 5.0], alpha=[1.0, 10.0]), ALS),
    "implicit BPR": (
        grid(factors=[16, 64], learning_rate=[0.02, 0.1], regularization=[0.01, 0.05], iterations=[50, 200]),
        BPR,
    ),
    "implicit BM25 item-kNN": (grid(K=[100, 500, 2000], K1=[0.5, 1.2], B=[0.2, 0.75]), BM25),
    "implicit cosine item-kNN": (grid(K=[20, 100, 500, 2000]), Cosine),
}

if __name__ == "__main__":
    run(MODELS)
