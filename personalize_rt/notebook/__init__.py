"""Showing, comparing and plotting results in notebooks, and converting them to frames."""

from __future__ import annotations

from personalize_rt.notebook.compare import Comparison, Move, compare
from personalize_rt.notebook.html import Shown, show
from personalize_rt.notebook.users import Answers, Comparisons, ask_users, compare_users

__all__ = ["Answers", "Comparison", "Comparisons", "Move", "Shown", "ask_users", "compare", "compare_users", "show"]
