"""Where :mod:`personalize_rt.extras` was."""

from __future__ import annotations

from personalize_rt.extras import installed, need

__all__ = ["installed", "need"]
