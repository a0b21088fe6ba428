"""What a new process pays: imports, and the way to the first answer."""

from __future__ import annotations

import os
import subprocess
import sys

_FIRST_ANSWER_BOTO3 = """
import boto3
client = boto3.client("personalize-runtime", endpoint_url={url!r})
reply = client.get_personalized_ranking(campaignArn={arn!r}, userId="u", inputList={items!r})
reply["personalizedRanking"][0]["score"]
"""
_FIRST_ANSWER_OURS = """
from personalize_rt import PersonalizeRuntime
runtime = PersonalizeRuntime(endpoint_url={url!r}, deadline=60)
runtime.get_personalized_ranking(campaign_arn={arn!r}, user_id="u", input_list={items!r})[0].score
"""
_CONSTRUCTION = {
    "boto3": 'import boto3; boto3.client("personalize-runtime", endpoint_url="http://127.0.0.1:9")',
    "personalize-rt": "from personalize_rt import PersonalizeRuntime;"
    'PersonalizeRuntime(endpoint_url="http://127.0.0.1:9").connect()',
}
_IMPORTS = {
    "boto3": "import boto3",
    "personalize_rt": "import personalize_rt",
    "three names": "from personalize_rt import PersonalizeRuntime, Ranking, ThrottlingError",
}


def _cpu(statements: dict[str, str], rounds: int) -> dict[str, float]:
    """The least CPU seconds of each program, each in a new process, taken in turn."""
    best = dict.fromkeys(statements, float("inf"))
    # Compiled files are kept, as an installed package has them; the first round only writes them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds + 1):
        for name, statement in statements.items():
            program = f"import time; start = time.process_time()\n{statement}\nprint(time.process_time() - start)"
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
            )
            best[name] = min(best[name], float(done.stdout))
    return best


def _with_ratio(best: dict[str, float], base: str) -> dict[str, dict[str, float]]:
    return {
        name: {"cpu_ms": round(seconds * 1e3, 2), "ratio": round(seconds / best[base], 3)}
        for name, seconds in best.items()
    }


def imports(rounds: int) -> dict[str, dict[str, float]]:
    """CPU time of imports, against ``import boto3``."""
    return _with_ratio(_cpu(_IMPORTS, rounds), "boto3")


def construction(rounds: int) -> dict[str, dict[str, float]]:
    """CPU time to import and build a client in a new process, credentials resolved."""
    return _with_ratio(_cpu(_CONSTRUCTION, rounds), "boto3")


def first_answer(url: str, arn: str, items: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """CPU time from a new process to the first answer."""
    return _with_ratio(_cpu(first_answer_programs(url, arn, items), rounds), "boto3")


def first_answer_programs(url: str, arn: str, items: list[str]) -> dict[str, str]:
    """Programs that build a client, ask once, and read a score."""
    programs = {"boto3": _FIRST_ANSWER_BOTO3, "personalize-rt": _FIRST_ANSWER_OURS}
    return {name: text.format(url=url, arn=arn, items=items) for name, text in programs.items()}
