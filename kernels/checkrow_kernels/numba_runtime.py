"""Numba's own runtime functions from the cache: compiling them takes longer than loading all else of a small job.

They count references to arrays. Numba makes them anew in every process that runs machine code.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import nrtdynmod, rtsys
from numba.core.serialize import dumps


def initialize(target: Any, read: Callable[[], bytes | None], write: Callable[[bytes], None]) -> None:
    """Sets up the runtime, once per process.

    Parameters
    ----------
    target : target context
        Numba's, for which code is loaded.
    read : callable
        Returns what `write` was given in an earlier process of the same kind, None when there is nothing.
    write : callable
        Keeps the compiled functions.
    """

    def kept(context: Any) -> Any:
        codegen, data = context.codegen(), read()
        if data is not None:
            return codegen.unserialize_library(pickle.loads(data))  # noqa: S301  # sealed
        module, library = nrtdynmod.create_nrt_module(context)
        library.add_ir_module(module)
        library.enable_object_caching()
        library.finalize()
        write(dumps(library.serialize_using_object_code()))
        return library

    if rtsys._init:  # noqa: SLF001  # what `initialize` itself asks
        return
    with global_compiler_lock:
        made = nrtdynmod.compile_nrt_functions
        nrtdynmod.compile_nrt_functions = kept
        try:
            rtsys.initialize(target)
        finally:
            nrtdynmod.compile_nrt_functions = made
