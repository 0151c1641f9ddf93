"""Modules are imported when something in them is first used."""

from __future__ import annotations

import gc
import importlib
from typing import Any


def imported(name: str) -> Any:
    """Imports a module while Python's collector waits: it would look through all of Numba several times for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if enabled:
            gc.enable()


class Lazily:
    """Stands for a module of another package.

    Parameters
    ----------
    name : str
        Its full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Returns an attribute of the module, which is imported for the first."""
        value = getattr(imported(self._name), attribute)
        setattr(self, attribute, value)
        return value


compute: Any = Lazily("pyarrow.compute")
"""Making its functions takes pyarrow a tenth of all that a small job takes to start."""
