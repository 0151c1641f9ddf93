"""A module that few processes need is imported when something in it is first used."""

from __future__ import annotations

import importlib
from typing import Any


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
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


compute: Any = Lazily("pyarrow.compute")
"""Making its functions takes pyarrow a tenth of all that a small job takes to start."""
