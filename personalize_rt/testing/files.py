"""The names of cassettes that belong to tests."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

__all__ = ["cassette_path"]

# Bytes that a name may have on every file system, less those of a suffix.
_LONGEST = 200
# What some file system does not take in a name, and what a shell reads as something else.
_STRANGE = re.compile(r"[^\w.\[\]=,+-]", re.ASCII)


def cassette_path(module: Path, test: str) -> Path:
    """The cassette of a test: ``cassettes/MODULE/TEST.json`` beside its module.

    Args:
        module: The file that the test is in.
        test: Its name, after those of its classes: ``"TestShelf.test_a_page[two words]"``. Characters that the name of
            a file should not have are replaced, and what is too long is cut off; a digest keeps such names apart.
    """
    safe = _STRANGE.sub("-", test)[:_LONGEST]
    if safe != test:
        safe = f"{safe}-{blake2b(test.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    return module.parent / "cassettes" / module.stem / f"{safe}.json"
