"""Versions of this package that go with packages which its users have too, newest and oldest, as uv finds them.

::

    python tests/release/resolve.py PACKAGE…

Needs uv and a package index. A resolution that leaves a package out, or takes one from before 2024, counts as none:
resolvers go back in time until something fits. The lines that it prints are the versions found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
WAYS = {"newest": "highest", "oldest": "lowest-direct"}
# Of the oldest, the first that goes with boto3 1.40: an older one is for an older boto3 and no fault of ours.
OLDEST = {
    "awscli": "1.42",
    "awswrangler": "3.12",
    "boto3-stubs": "1.40",
    "moto": "5.0",
    "sagemaker": "2.248",
}
TAKEN = ("boto3", "botocore", "attrs", "tenacity")


def resolved(package: str, way: str) -> tuple[bool, str]:
    """Resolve a package together with this one: whether it can be, and the versions or uv's words."""
    name = re.split(r"\W", package.replace("-", "_"))[0].replace("_", "-")
    wanted = f"{package}>={OLDEST[name]}" if way == "oldest" else package
    # The highest of both: uv gives up one package's newest version for another's, and says nothing.
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11"]
    command += ["--resolution", WAYS[way], "-"]
    done = subprocess.run(
        command, input=f"personalize-rt @ {CHECKOUT.as_uri()}\n{wanted}\n", capture_output=True, text=True, check=False
    )
    if done.returncode:
        return False, done.stderr.strip()
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)$", done.stdout, re.MULTILINE))
    found = " ".join(f"{each} {versions[each]}" for each in (name, *TAKEN) if each in versions)
    floor = tuple(map(int, OLDEST[name].split(".")))
    is_new = name in versions and tuple(map(int, re.findall(r"\d+", versions[name])[: len(floor)])) >= floor
    return is_new, found


def main(packages: list[str]) -> int:
    """Print a line for each; the exit status is 1 when one cannot be."""
    if not packages:
        print(__doc__)
        return 2
    failed = False
    for package in packages:
        for way in WAYS:
            fits, text = resolved(package, way)
            failed |= not fits
            print(f"{package}, {way}: {'' if fits else 'NO: '}{text}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
