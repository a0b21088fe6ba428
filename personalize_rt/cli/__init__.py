"""The command ``personalize-rt``. Optional packages are imported only when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit status: 0; 1 if the service could not answer; 2 for a wrong argument or setting.
    """
    try:
        from personalize_rt.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("personalize_rt"):
            raise
    except KeyboardInterrupt:
        return 130
    else:
        return run(sys.argv[1:] if argv is None else argv)
    print('personalize-rt: the command needs typer and rich: pip install "personalize-rt[cli]"', file=sys.stderr)
    return 2
