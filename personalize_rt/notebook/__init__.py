"""Showing, comparing and plotting results in notebooks, and converting them to frames."""

from __future__ import annotations

from personalize_rt.notebook.compare import Comparison, Move, compare
from personalize_rt.notebook.html import Shown, show

__all__ = ["Comparison", "Move", "Shown", "compare", "show"]
