"""Where machine code is kept: a private directory of this user on this host. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cache_directory() -> Path:
    """Returns the directory for compiled code.

    `CHECKROW_CACHE_DIR`, else `checkrow` in the user's cache directory; below it one directory per host, because homes
    are often shared between hosts and machine code is not.
    """
    chosen = os.environ.get("CHECKROW_CACHE_DIR")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "checkrow"
    return Path(chosen or shared) / (platform.node() or "host")
