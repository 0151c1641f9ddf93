"""What the table of kernels says of each: its slow reference, its types, its cost, where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelInfo:
    """A kernel, its reference with the same arguments, example arguments, complexity and source.

    Both functions work on their own copy of the arguments; what they write and return must be equal, floats within
    `tolerance` (relative), except in the arguments numbered in `scratch`, whose content is lost. A kernel used for
    columns of several types names them in `dtypes`, and in `typed` the arguments that have the column's type; other
    arguments have the types of the example.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    example: Callable[[np.random.Generator, int], Arguments]
    cost: str
    source: str = "elementary"
    tolerance: float = 0.0
    scratch: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ("",)
    typed: tuple[int, ...] = ()

    def arguments(self, seed: int, rows: int, dtype: str = "") -> Arguments:
        """Returns example arguments for so many rows, those in `typed` converted to one of `dtypes`."""
        made = self.example(np.random.default_rng(seed), rows)
        return tuple(a.astype(dtype) if dtype and number in self.typed else a for number, a in enumerate(made))
