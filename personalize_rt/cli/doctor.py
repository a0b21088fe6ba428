"""The content of a bug report: versions, extras, region, the source of credentials, whether the endpoint answers.

The report is fit to be published: it has no secret, no user name, no path, and only the names of variables.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import attrs

from personalize_rt._version import __version__
from personalize_rt.cli.failures import with_options
from personalize_rt.cli.target import use_profile
from personalize_rt.transport.diagnosis import Diagnosis, Reachability, diagnose

__all__ = ["Report", "examine", "page"]

DISTRIBUTION = "personalize-rt"
CORE = ("attrs", "boto3", "botocore", "tenacity", "urllib3")
# Extras for development of this package.
_OF_DEVELOPERS = frozenset({"bench", "dev", "docs", "docs-examples", "test", "types"})
_PROXIES = frozenset({"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"})


@attrs.frozen
class Report:
    """The report.

    Attributes:
        versions: Package to version, this one first; ``None`` for one that is not installed.
        python: Implementation and version.
        platform: Operating system and processor.
        extras: For each extra, its packages and their versions; ``None`` for one that is not installed.
        variables: The names, never the values, of the environment variables for AWS and for proxies.
        diagnosis: The client that botocore would make.
    """

    versions: Mapping[str, str | None]
    python: str
    platform: str
    extras: Mapping[str, Mapping[str, str | None]]
    variables: tuple[str, ...]
    diagnosis: Diagnosis

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain data, for ``--json``."""
        return {
            "versions": dict(self.versions),
            "python": self.python,
            "platform": self.platform,
            "extras": {name: dict(packages) for name, packages in self.extras.items()},
            "variables": list(self.variables),
            **attrs.asdict(self.diagnosis),
            "problems": self.problems,
        }

    @property
    def problems(self) -> list[str]:
        """Certain or possible problems; empty if there are none."""
        found = list(self.diagnosis.problems)
        if self.diagnosis.region is None and "AWS_REGION" in self.variables:
            found.append("AWS_REGION is set, which boto3 does not read: set AWS_DEFAULT_REGION")
        reachability = self.diagnosis.reachability
        if reachability is not None and reachability.problem is not None:
            found.append(reachability.problem)
        if reachability is not None and abs(reachability.clock_ahead or 0) > 60:
            found.append("the clock of this machine is wrong: AWS refuses signatures that are five minutes off")
        return list(map(with_options, found))


def examine(*, region_name: str | None, profile: str | None = None, endpoint_url: str | None, timeout: float) -> Report:
    """Make the report. Waits for the endpoint, and for services that provide credentials.

    Args:
        region_name: A region instead of the configured one.
        profile: A profile instead of the configured one; it is set in this process's environment.
        endpoint_url: An endpoint instead of the region's.
        timeout: Seconds after which the endpoint counts as unreachable.
    """
    variables = tuple(sorted(name for name in os.environ if _matters(name)))
    if profile is not None:
        use_profile(profile, os.environ)
    return Report(
        versions={DISTRIBUTION: __version__} | {name: _version(name) for name in CORE},
        python=f"{platform.python_implementation()} {platform.python_version()}"
        + (", in a virtual environment" if sys.prefix != sys.base_prefix else ""),
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        extras=_extras(),
        variables=variables,
        diagnosis=diagnose(region_name=region_name, endpoint_url=endpoint_url, timeout=timeout),
    )


def _matters(variable: str) -> bool:
    return variable.startswith("AWS_") or variable.upper() in _PROXIES


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _extras() -> dict[str, dict[str, str | None]]:
    """The requirements of each extra; empty if the package is not installed but found on the path."""
    try:
        needs = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    extras: dict[str, dict[str, str | None]] = {}
    for need in needs:
        name = re.match(r"[\w.-]+", need)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", need)
        if name is None or extra is None or extra[1] in _OF_DEVELOPERS or name[0] == DISTRIBUTION:
            continue
        extras.setdefault(extra[1], {})[name[0]] = _version(name[0])
    return dict(sorted(extras.items()))


# As text.


def page(report: Report) -> str:
    """Format the report as lines of ``name: value``, to be pasted into an issue."""
    diagnosis = report.diagnosis
    lines = [
        *(f"{name}: {number or 'not installed'}" for name, number in report.versions.items()),
        f"Python: {report.python}",
        f"platform: {report.platform}",
        *(f"[{name}]: {_extra(packages)}" for name, packages in report.extras.items()),
        f"variables: {', '.join(report.variables) or 'none'}",
        f"profile: {diagnosis.profile or 'default'}",
        f"region: {diagnosis.region or 'none'}",
        f"credentials: {_source(diagnosis.credentials)}",
        f"endpoint: {diagnosis.endpoint or 'none'}",
    ]
    if diagnosis.way is not None:
        lines.append(f"requests: sent {diagnosis.way} ({diagnosis.way_reason})")
    if diagnosis.reachability is not None:
        lines.append(f"reachable: {_reached(diagnosis.reachability)}")
    return "".join(f"{line}\n" for line in [*lines, *(f"problem: {problem}" for problem in report.problems)])


def _extra(packages: Mapping[str, str | None]) -> str:
    missing = [name for name, number in packages.items() if number is None]
    if missing:
        return f"no ({', '.join(missing)} not installed)"
    return f"yes ({', '.join(f'{name} {number}' for name, number in packages.items())})"


def _source(method: str | None) -> str:
    return "none" if method is None else f"from {method}, not shown"


def _reached(reachability: Reachability) -> str:
    if not reachability.answered:
        return f"no{f' (failed to {reachability.phase})' if reachability.phase else ''}"
    facts = [f"{reachability.elapsed * 1000:.0f} ms"]
    if reachability.status_code is not None:
        facts.append(f"HTTP {reachability.status_code} to a request without a signature")
    if reachability.clock_ahead is not None:
        facts.append(f"clocks differ by {abs(reachability.clock_ahead):.0f} s")
    return f"yes ({', '.join(facts)})"
