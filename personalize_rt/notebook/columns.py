"""Where :mod:`personalize_rt.columns` was."""

from __future__ import annotations

from personalize_rt.columns import column_names, find_column, is_frame, read_frame, values_of

__all__ = ["column_names", "find_column", "is_frame", "read_frame", "values_of"]
