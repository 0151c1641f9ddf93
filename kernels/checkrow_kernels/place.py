"""Where machine code is kept: a private directory of this user on this host. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import stat
from pathlib import Path


def cache_directory() -> Path:
    """Returns the directory for compiled code.

    `CHECKROW_CACHE_DIR`, else `checkrow` in the user's cache directory; below it one directory per host, because homes
    are often shared between hosts and machine code is not.
    """
    chosen = os.environ.get("CHECKROW_CACHE_DIR")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "checkrow"
    return Path(chosen or shared) / (platform.node() or "host")


def private_directory(directory: Path) -> Path:
    """Returns a directory, made if it is missing.

    Raises
    ------
    PermissionError
        If it cannot be made, or others may put files there: what it holds is run.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"the cache directory {directory} cannot be made: {error.strerror}; set CHECKROW_CACHE_DIR to a place that "
            "this user may write"
        ) from None
    found = directory.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(
            f"the cache directory {directory} is not private to this user; it holds code that is run. "
            "Fix its owner and mode (0700) or set CHECKROW_CACHE_DIR"
        )
    return directory
