"""Vectorised primitives in Numba: plain loops over flat arrays, one decorator, no objects.

Everything here depends on NumPy and Numba only and knows nothing of the engine. Columns arrive in the engine's column
form: fixed-width values, one validity byte per row, text as int64 offsets and bytes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def abi() -> str:
    """Returns a short hash of this package's own sources; compiled drivers that inline them are keyed by it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
