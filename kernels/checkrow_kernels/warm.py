"""Compiling the page decoder ahead of its use: it takes some ten seconds cold, so no run waits for it.

`python -m checkrow_kernels.warm` does it once per user, host and version of this package, at the lowest priority.
"""

from __future__ import annotations

import fcntl
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from numba import types

from checkrow_kernels import abi
from checkrow_kernels.jit import ENABLED
from checkrow_kernels.page_fixed import read_fixed
from checkrow_kernels.page_opening import open_chunk
from checkrow_kernels.page_texts import read_texts
from checkrow_kernels.place import cache_directory

_MARK = "pages.ready"
_LOCK = "pages.lock"
_LOWEST_PRIORITY = 19

_BYTES, _TABLE = types.Array(types.uint8, 1, "C"), types.Array(types.int64, 2, "C")
_INTS, _SCRATCH, _INT = types.Array(types.int64, 1, "C"), types.Array(types.uint32, 1, "C"), types.int64

WARM = (
    (open_chunk, (_BYTES, _INT, _TABLE, _BYTES, _INTS, _BYTES, _INTS, _INT)),
    (read_fixed, (_BYTES, _TABLE, _BYTES, _BYTES, _SCRATCH, _INTS, _BYTES, _BYTES, _INT, _INT)),
    (
        read_texts,
        (_BYTES, _TABLE, _BYTES, _BYTES, _INTS, _SCRATCH, _INTS, _INTS, _BYTES, _BYTES, _INT, _INT),
    ),
)
"""All entry points and the types of their arguments; `dispatcher.compile(types)` compiles one ahead, or loads it."""


def _directory() -> Path:
    return cache_directory() / "kernels" / abi()


def is_ready() -> bool:
    """Tells whether the page decoder's machine code is in the cache; never where kernels run interpreted."""
    return ENABLED and (_directory() / _MARK).exists()


def compile_pages() -> bool:
    """Compiles the page decoder, waiting for another process that is at it; tells whether there was anything to do."""
    directory = _directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready() or not ENABLED:
            return False
        entry: Any  # a `Compiled`
        for entry, arguments in WARM:
            entry.dispatcher.compile(arguments)
        (directory / _MARK).touch(mode=0o600)
    return True


@cache
def compile_pages_later() -> int:
    """Starts a process of lowest priority that compiles the page decoder and outlives this one; returns its id.

    Called again, it starts no other.
    """
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    command = [sys.executable, "-m", "checkrow_kernels.warm"]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=null, setsid=True)


if __name__ == "__main__":
    os.nice(_LOWEST_PRIORITY)
    compile_pages()
