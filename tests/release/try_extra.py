"""Tries what an extra is for, in an environment that has the package with this extra alone.

::

    python tests/release/try_extra.py EXTRA
    python tests/release/try_extra.py none      # no extra: everything says what to install
    python tests/release/try_extra.py --list    # the extras that there are

Each trial fails without its packages in the way that the message of the error promises.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import metadata
from typing import Any

from personalize_rt import Interaction, PopularityScorer, ValidationError
from personalize_rt.local import LocalPersonalize

# Extras for people who work on this package.
OF_DEVELOPERS = {"bench", "dev", "docs", "docs-examples", "test"}
FILMS = ["tt0120338", "tt0133093", "tt0000000"]


def ranking() -> Any:
    local = LocalPersonalize.sample()
    return local.runtime().campaign(local.campaign_arn("movies-ranking")).rank("13974", FILMS)


def try_aio() -> None:
    from aiobotocore.session import get_session

    from personalize_rt.aio import AsyncPersonalizeRuntime

    async def connect() -> None:
        async with AsyncPersonalizeRuntime(session=get_session(), region_name="eu-west-1") as runtime:
            await runtime._transport.client()

    asyncio.run(connect())


def try_arrow() -> None:
    assert ranking().to_arrow().num_rows == len(FILMS)


def try_cli() -> None:
    from personalize_rt.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["rank", "--local", "sample", "--campaign-arn", "movies-ranking", "--user-id", "13974", *FILMS])
    if status != 0:
        raise RuntimeError(said.getvalue())
    assert FILMS[1] in said.getvalue()


def try_frames() -> None:
    import narwhals

    assert narwhals.__version__
    PopularityScorer().fit([Interaction("u", "i", 0)])


def try_notebook() -> None:
    from personalize_rt.metrics import evaluate

    events = [Interaction("u", f"i{n}", n) for n in range(20)]
    assert evaluate(lambda user_id: ["i19"], events, progress=True).users == 1


def try_otel() -> None:
    from personalize_rt.telemetry import OpenTelemetryHook

    OpenTelemetryHook()


def try_pandas() -> None:
    assert list(ranking().to_pandas()["item_id"])[-1] == FILMS[-1]


def try_plot() -> None:
    os.environ["MPLBACKEND"] = "agg"
    from personalize_rt.notebook import plots

    assert plots.score_curve(ranking()).has_data()


def try_polars() -> None:
    assert ranking().to_polars().height == len(FILMS)


def try_server() -> None:
    local = LocalPersonalize.sample()
    with local.serve() as url:
        asked = json.dumps({"campaignArn": local.campaign_arn("popular-movies"), "numResults": 2}).encode()
        with urllib.request.urlopen(f"{url}/recommendations", asked, timeout=10) as answer:
            assert len(json.load(answer)["itemList"]) == 2
        page = urllib.request.Request(url, headers={"accept": "text/html"})
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert b"popular-movies" in answer.read()


def try_spark() -> None:
    from personalize_rt.bulk import spark

    with contextlib.suppress(ValidationError):  # there is no session yet
        spark.rerank_udf({})
    if shutil.which("java") is None:
        return  # Spark itself runs on Java
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    lists = session.createDataFrame([("u", FILMS)], "user_id string, input_list array<string>")
    (row,) = spark.rerank(lists, {FILMS[1]: 1.0}).collect()
    session.stop()
    assert row["items"][0].item_id == FILMS[1]


TRIALS: dict[str, Callable[[], None]] = {
    name.removeprefix("try_"): trial for name, trial in sorted(globals().items()) if name.startswith("try_")
}


def known_extras() -> list[str]:
    """The extras of the installed package that are for its users."""
    return sorted(set(metadata("personalize-rt").get_all("Provides-Extra", [])) - OF_DEVELOPERS)


def try_one(extra: str) -> str:
    """Try an extra; what it says of it."""
    if extra in TRIALS:
        TRIALS[extra]()
        return f"[{extra}] does what it is for"
    if extra in known_extras():
        raise SystemExit(f"[{extra}] has no trial: write try_{extra} in {__file__}")
    raise SystemExit(f"there is no extra [{extra}]; there are {', '.join(known_extras())}")


def try_none() -> str:
    """Without an extra, each trial fails with the command that installs it."""
    for extra in known_extras():
        wanted = f'pip install "personalize-rt[{extra}]"'
        try:
            try_one(extra)
        except Exception as error:
            said = str(error)
            # The trials of these import their packages themselves.
            if extra not in ("aio", "frames") and wanted not in said:
                raise SystemExit(f"[{extra}] is missing, and the error does not say {wanted}: {said}") from error
        else:
            raise SystemExit(f"[{extra}] is not installed, and its trial passes: what is it for?")
    ranking()
    return f"without extras, {', '.join(known_extras())} say what to install"


def main(arguments: list[str]) -> int:
    """Try what is asked for."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    (extra,) = arguments
    if extra == "--list":
        print(*known_extras())
    else:
        print(try_none() if extra == "none" else try_one(extra))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
