"""The decorators of kernels and drivers: compiled without the GIL, cached on disk, NumPy's error model.

`CHECKROW_JIT=0` leaves functions as plain Python, with the same results. Numba's cache looks only at the file a
function stands in, but kernels inline each other across files: theirs is kept in a directory named after `abi()`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

from checkrow_kernels import abi
from checkrow_kernels.place import cache_directory

Function = TypeVar("Function", bound=Callable[..., Any])
ENABLED = os.environ.get("CHECKROW_JIT", "1") != "0"


def kernel(function: Function) -> Function:
    """Compiles a loop over arrays at its first call, or loads what this very version of the package compiled."""
    if not ENABLED:
        return function
    return _cached(function, str(_kernel_directory()))


@cache
def _kernel_directory() -> Path:
    """Returns the directory of this version's kernels; raises PermissionError when it cannot be made."""
    directory = cache_directory() / "kernels" / abi()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"the cache directory {directory} cannot be made ({error.strerror}); set CHECKROW_CACHE_DIR to a place "
            "that this user may write"
        ) from None
    return directory


def driver(function: Function) -> Function:
    """Compiles a generated driver; its machine code is kept beside its file, whose name says all it depends on."""
    return _cached(function, "") if ENABLED else function


def inline_kernel(function: Function) -> Function:
    """Compiles a scalar function that drivers call per row; LLVM inlines it, so it is not cached on its own."""
    if not ENABLED:
        return function
    compiled: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


def checked_kernel(function: Function) -> Function:
    """As `inline_kernel`, and an index outside an array raises IndexError."""
    if not ENABLED:
        return function
    compiled: Function = numba.njit(nogil=True, error_model="numpy", boundscheck=True)(function)
    return compiled


def _cached(function: Function, directory: str) -> Function:
    """Compiles with a cache in a directory of our choice; Numba reads the setting when the decorator is applied."""
    users = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = directory
    try:
        compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
        compiled._cache = _TolerantCache(function)  # noqa: SLF001  # what Numba's own cache=True assigns
    finally:
        numba.config.CACHE_DIR = users
    result: Function = compiled
    return result


class _TolerantCache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """Numba's cache, for which a damaged file counts as absent."""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Returns what was compiled, or None."""
        try:
            return super().load_overload(signature, target)
        except Exception:  # noqa: BLE001  # unpickling garbage may raise anything
            self.flush()
            return None
