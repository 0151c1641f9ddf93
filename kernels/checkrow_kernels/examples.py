"""Random arguments from which the table of kernels makes its examples."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = (*SIGNED, "uint64")
COLUMNS = ("uint8", "int16", "int32", "int64", "float32", "float64")
"""Types in which columns stand in arrays, one of each width and kind."""


def ints(rng: np.random.Generator, rows: int) -> Any:
    """Returns integers of almost the whole range of int64."""
    return rng.integers(-(2**62), 2**62, rows)


def gids(rng: np.random.Generator, rows: int, groups: int = 7) -> Any:
    """Returns group numbers."""
    return rng.integers(0, groups, rows).astype(np.int32)


def valid(rng: np.random.Generator, rows: int) -> Any:
    """Returns validity bytes, one in five 0."""
    return (rng.random(rows) < 0.8).astype(np.uint8)


def texts(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Returns the offsets and bytes of short texts."""
    lengths = rng.integers(0, 20, rows)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets, rng.integers(97, 100, int(offsets[-1])).astype(np.uint8)


def floats(rng: np.random.Generator, rows: int) -> Any:
    """Returns the extremes, numbers that round to the next power of two, and floats of every size."""
    edges = [0.0, -0.0, np.nan, 4095.5, -np.inf, 5e-324, -1.7976931348623157e308, 2.2e-308, np.inf, 5.0]
    return np.concatenate([edges, rng.normal(size=rows) * 10.0 ** rng.integers(-300, 300, rows)])[:rows]


def slots(rows: int) -> Any:
    """Returns an empty hash table with room for so many entries."""
    return np.full(1 << (2 * rows + 4).bit_length(), -1, np.int32)
