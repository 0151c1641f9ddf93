"""The files of the compile cache: how much they hold, and emptying it beside running processes.

Nothing else bounds the cache: a driver takes some 100 KB, and what other versions compiled stays until it is emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

import msgspec

from checkrow.errors import PermissionRefused
from checkrow_kernels.place import cache_directory

_PARTS = ("drivers", "kernels")
_LOCK, _MARK = ".lock", ".ready"


class CacheContents(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the compile cache of this user on this host, of all versions."""

    directory: Path
    drivers: int
    size_bytes: int


def cache_contents() -> CacheContents:
    """Returns what the compile cache holds."""
    files = _files()
    drivers = sum(f.name.startswith("d_") and f.suffix == ".py" for f in files)
    return CacheContents(directory=cache_directory(), drivers=drivers, size_bytes=sum(_size(f) for f in files))


def clear_cache() -> None:
    """Removes all compiled code; processes that run keep what they have loaded.

    It waits for those that compile, and keeps the files they lock. A mark that a set of files is complete goes first.

    Raises
    ------
    PermissionRefused
        If a file cannot be removed.
    """
    with contextlib.ExitStack() as stack:
        try:
            for path in (f for f in _files() if f.suffix == _LOCK):
                fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
            for path in sorted(_files(), key=lambda f: f.suffix != _MARK):
                if path.suffix != _LOCK:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise PermissionRefused(f"the cache cannot be emptied: {error.filename}: {error.strerror}") from None


def _files() -> list[Path]:
    return [f for part in _PARTS for f in (cache_directory() / part).rglob("*") if f.is_file()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process removed it meanwhile
        return 0
