"""``python -m personalize_rt``: the command ``personalize-rt``."""

from __future__ import annotations

from personalize_rt.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
