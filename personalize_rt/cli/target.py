"""The destination of requests: AWS, another endpoint, or the embedded service."""

from __future__ import annotations

import os
import warnings
from collections.abc import MutableMapping
from typing import Any

import attrs

from personalize_rt.cli.output import write_error
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalDataWarning, LocalPersonalize
from personalize_rt.resilience.retry import RetryPolicy

__all__ = ["SAMPLE", "Target", "choose_target", "load", "use_profile"]

SAMPLE = "sample"


@attrs.frozen
class Target:
    """A runtime and its resources. Those of the embedded service may also be given by name.

    Attributes:
        runtime: The client.
        local: The embedded service behind it, or ``None``.
    """

    runtime: PersonalizeRuntime
    local: LocalPersonalize | None = None

    def campaign(self, name: str) -> str:
        """The ARN of a campaign."""
        return name if self.local is None or _is_arn(name) else self.local.campaign_arn(name)

    def recommender(self, name: str) -> str:
        """The ARN of a recommender."""
        return name if self.local is None or _is_arn(name) else self.local.recommender_arn(name)

    def filter(self, name: str) -> str:
        """The ARN of a filter."""
        return name if self.local is None or _is_arn(name) else self.local.filter_arn(name)

    def filter_or_none(self, name: str | None) -> str | None:
        """The ARN of a filter, if there is one."""
        return None if name is None else self.filter(name)


def _is_arn(name: str) -> bool:
    return name.startswith("arn:")


def choose_target(
    *,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    local: str | None,
    deadline: float | None,
    attempts: int | None,
) -> Target:
    """Build the runtime that the options describe. Options that are ``None`` have the library's defaults.

    Raises:
        ValidationError: The options do not go together.
        LocalDataError: The data directory cannot be loaded.
    """
    options: dict[str, Any] = {}
    if deadline is not None:
        options["deadline"] = deadline
    if attempts is not None:
        options["retry"] = RetryPolicy(attempts=attempts)
    if local is None:
        if profile is not None:
            use_profile(profile, os.environ)
        return Target(PersonalizeRuntime(region_name=region, endpoint_url=endpoint_url, **options))
    for option, value in {"--region": region, "--profile": profile, "--endpoint-url": endpoint_url}.items():
        if value is not None:
            raise ValidationError(f"--local answers by itself: leave out {option}", parameter="local")
    service = load(local)
    return Target(service.runtime(**options), service)


def load(
    directory: str,
    *,
    pace: float = 0.0,
    quotas: bool = False,
    minimums: bool = False,
    s3_root: str | None = None,
    s3_endpoint: str | None = None,
) -> LocalPersonalize:
    """Load the embedded service of a data directory, or the sample; tells its warnings on standard error.

    Args:
        directory: The directory, or ``"sample"``.
        pace: See :meth:`LocalPersonalize.from_directory`.
        quotas: See there.
        minimums: See there.
        s3_root: See there.
        s3_endpoint: See there.

    Raises:
        ValidationError: See there.
        LocalDataError: The directory cannot be loaded.
    """
    if directory == SAMPLE:
        return LocalPersonalize.sample(
            pace=pace, quotas=quotas, minimums=minimums, s3_root=s3_root, s3_endpoint=s3_endpoint
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LocalDataWarning)
        service = LocalPersonalize.from_directory(
            directory, pace=pace, quotas=quotas, minimums=minimums, s3_root=s3_root, s3_endpoint=s3_endpoint
        )
    for warning in caught:
        write_error(f"warning: {warning.message}")
    return service


def use_profile(profile: str, environ: MutableMapping[str, str]) -> None:
    """Set a profile in the environment, where it takes precedence over everything else.

    boto3 prefers ``AWS_DEFAULT_PROFILE`` to ``AWS_PROFILE``, and credentials in the environment to both. With the AWS
    command line, a profile named by option comes first, and so it does here.
    """
    environ["AWS_DEFAULT_PROFILE"] = environ["AWS_PROFILE"] = profile
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        environ.pop(name, None)
