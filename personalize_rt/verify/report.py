"""Reports that can be handed on: no ids, no users, no values, no ARNs, no account numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import attrs

from personalize_rt._version import __version__

__all__ = ["Finding", "Report"]

Outcome = Literal["agrees", "disagrees", "unclear", "not asked"]


@attrs.frozen
class Finding:
    """The outcome of a question.

    Attributes:
        question: Its name.
        belief: What this project takes for right.
        source: The reason for the belief.
        outcome: ``"agrees"``; ``"disagrees"``; ``"unclear"`` when the answers settle nothing; ``"not asked"``.
        seen: What was seen, or what is needed to ask.
    """

    question: str
    belief: str
    source: str
    outcome: Outcome
    seen: str

    def __str__(self) -> str:
        return f"{self.outcome:<9}  {self.question}: {self.belief} [{self.source}] – {self.seen}"


@attrs.frozen
class Report:
    """The findings, in the order of the questions.

    Attributes:
        findings: One for each question.
        requests: How many requests were sent.
    """

    findings: Sequence[Finding]
    requests: int

    @property
    def disagreements(self) -> tuple[Finding, ...]:
        """The findings in which the service is not as believed."""
        return tuple(finding for finding in self.findings if finding.outcome == "disagrees")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "personalize-rt": __version__,
            "requests": self.requests,
            "findings": [attrs.asdict(finding) for finding in self.findings],
        }

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        counts = Counter(finding.outcome for finding in self.findings)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        head = f"personalize-rt {__version__}: {self.requests} requests, {told}"
        return "\n".join([head, *map(str, self.findings)])
