"""Swapping two directories in one step: `renameat2` with RENAME_EXCHANGE, which Python does not offer.

Source: rename(2). Both paths must be on one file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def swap(first: Path, second: Path) -> None:
    """Exchanges two paths atomically; raises OSError when the system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "renameat2", None)
    if function is None:
        raise OSError(38, "renameat2 is not available")
    if function(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(first))


def exchange_works(directory: Path) -> bool:
    """Tries a swap of two empty directories below an existing directory."""
    mark = secrets.token_hex(8)
    first, second = directory / f"probe.tmp-{mark}-a", directory / f"probe.tmp-{mark}-b"
    try:
        first.mkdir()
        second.mkdir()
        swap(first, second)
    except OSError:
        return False
    finally:
        for path in (first, second):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir()
    return True
