"""The decorators of kernels and drivers: compiled without the GIL, cached on disk, NumPy's error model.

`CHECKROW_JIT=0` leaves functions as plain Python, with the same results. Kernels inline each other across files, so
their machine code is kept in a directory named after `abi()`, which changes with any of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from checkrow_kernels import abi
from checkrow_kernels.machine_code import MachineCode
from checkrow_kernels.place import cache_directory, private_directory

Function = TypeVar("Function", bound=Callable[..., Any])
ENABLED = os.environ.get("CHECKROW_JIT", "1") != "0"


class Compiled:
    """A function that Numba gets to see when it is first called, or when compiled code that calls it is made.

    Most processes call few of the kernels; making a dispatcher takes a tenth of a millisecond, at the start and again
    at the end.
    """

    def __init__(self, function: Callable[..., Any], make: Callable[[Callable[..., Any]], Any]) -> None:
        update_wrapper(self, function)
        self.py_func = function
        self._make = make

    @cached_property
    def dispatcher(self) -> Any:
        """The function as Numba has it."""
        return self._make(self.py_func)

    @property
    def _numba_type_(self) -> Any:
        """What compiled code that calls the function takes it for."""
        return self.dispatcher._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        """Runs the machine code for arguments of these types."""
        return self.dispatcher(*arguments)


def kernel(function: Function) -> Function:
    """Compiles a loop over arrays at its first call, or loads what this very version of the package compiled."""
    return _compiled(function, lambda f: _cached(f, _kernel_directory()))


@cache
def _kernel_directory() -> Path:
    """Returns the directory of this version's kernels; raises PermissionError when it cannot be made or is not ours."""
    return private_directory(cache_directory() / "kernels" / abi())


def driver(function: Function) -> Function:
    """Compiles a generated driver; its machine code is kept beside its file, whose name says all it depends on."""
    return _cached(function, Path(function.__code__.co_filename).parent) if ENABLED else function


def inline_kernel(function: Function) -> Function:
    """Compiles a scalar function that drivers call per row; LLVM inlines it, so it is not cached on its own."""
    return _compiled(function, numba.njit(nogil=True, error_model="numpy"))


def checked_kernel(function: Function) -> Function:
    """As `inline_kernel`, and an index outside an array raises IndexError."""
    return _compiled(function, numba.njit(nogil=True, error_model="numpy", boundscheck=True))


def plain(function: Function) -> Function:
    """Leaves a function as it is: what stands for the others where generated code runs interpreted."""
    return function


def _compiled(function: Function, make: Callable[[Callable[..., Any]], Any]) -> Function:
    return cast("Function", Compiled(function, make)) if ENABLED else function


def _cached(function: Function, directory: Path) -> Function:
    """Compiles with a cache in a directory of our choice."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    compiled._cache = MachineCode(function, directory)  # noqa: SLF001  # what Numba's own cache=True assigns
    result: Function = compiled
    return result
