"""Names as the service writes and compares them: of columns, parameters and resources.

Sources: the patterns of the service models (``personalize-runtime`` 2018-05-22, ``personalize`` 2018-05-22).
"""

from __future__ import annotations

import re

__all__ = ["ARN", "PARAMETER_NAME", "RESOURCE_NAME", "camel_case", "canonical", "is_resource_name"]

ARN = re.compile(r"arn:([a-z0-9-]+):personalize:.*:.*:.+")
"""Model: Arn. Compiled, since every call is checked."""

# Texts, which `re` compiles when they are first used: most programs name no promotion and no context.
RESOURCE_NAME = r"[a-zA-Z0-9][a-zA-Z0-9\-_]*"
"""Model: Name, of campaigns, recommenders and filters, and PromotionName; their length is checked apart."""
PARAMETER_NAME = r"[A-Za-z0-9_]+"
"""Model: the keys of FilterValues and of Context."""


def canonical(name: str) -> str:
    """A name without what makes no difference, case and underscores: ``BRAND_NAME`` and ``brandName`` are one.

    The service answers a request for the one with the other (service.md section 3.8).
    """
    return name.replace("_", "").lower()


def camel_case(name: str) -> str:
    """A column's name as properties of events, items and users have it: ``NUM_RATINGS`` is ``numRatings``.

    The guide writes names so (service.md section 7). A name that is not all upper case is taken as it is.
    """
    if not name.isupper():
        return name
    first, *others = name.lower().split("_")
    return first + "".join(map(str.capitalize, others))


def is_resource_name(name: str) -> bool:
    """Tell whether a campaign, a recommender or a filter may have a name (model: Name, at most 63 characters)."""
    return len(name) <= 63 and re.fullmatch(RESOURCE_NAME, name) is not None
