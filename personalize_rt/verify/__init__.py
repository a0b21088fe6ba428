"""Questions to a live service: what this project believes of Amazon Personalize, and whether it is so.

``questions`` is the table: each question with the belief, its source, the requests that ask it and the judge of the
answers. ``requests`` has the requests, ``judges`` the pure functions that judge, ``report`` what can be handed on, and
``running`` asks.
"""

from __future__ import annotations

from personalize_rt.verify.questions import QUESTIONS, Question
from personalize_rt.verify.report import Finding, Report
from personalize_rt.verify.running import PlannedRequest, plan, verify

__all__ = ["QUESTIONS", "Finding", "PlannedRequest", "Question", "Report", "plan", "verify"]
