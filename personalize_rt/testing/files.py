"""The file names of the cassettes of tests."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

__all__ = ["cassette_path"]

# Bytes of a name that every file system allows, without suffix.
_LONGEST = 200
# Characters that some file system forbids or that are special to shells.
_STRANGE = re.compile(r"[^\w.\[\]=,+-]", re.ASCII)


def cassette_path(module: Path, test: str) -> Path:
    """The path of a test's cassette: ``cassettes/MODULE/TEST.json`` beside its module.

    Args:
        module: The file of the test.
        test: Its name, with those of its classes: ``"TestShelf.test_a_page[two words]"``. Unsuitable characters are
            replaced, and long names are cut off; a digest keeps such names distinct.
    """
    safe = _STRANGE.sub("-", test)[:_LONGEST]
    if safe != test:
        safe = f"{safe}-{blake2b(test.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    return module.parent / "cassettes" / module.stem / f"{safe}.json"
