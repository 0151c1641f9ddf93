"""What a benchmark case is: engines that compute one result, and the physical bound of doing so."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

CORES = len(os.sched_getaffinity(0))
BOUND = "bound"

Result = pa.Table | Path
"""A small result as a table, a large one as the directory of the Parquet files an engine wrote."""
Engine = Callable[[Path, Path], Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison.

    Attributes
    ----------
    engines : dict of str to callable
        Each computes the result from the data directory; a large one it writes below its empty output directory, the
        second argument. "checkrow" is the first of them.
    oracle : str
        The engine whose result the others must equal.
    decode : callable
        Decodes the columns that are read; with writing the result it is the physical bound.
    prepare : callable
        Makes the data of a scale below a directory, unless it is there.
    rows : callable
        Counts the input rows.
    scales : dict of str to float
        What `prepare` takes for "small" and "full".
    keys : tuple of str
        Columns that identify a row of a large result.
    """

    suite: str
    name: str
    engines: dict[str, Engine]
    oracle: str
    decode: Callable[[Path], None]
    prepare: Callable[[Path, float], Path]
    rows: Callable[[Path], int]
    scales: dict[str, float]
    keys: tuple[str, ...] = ()

    def output(self, data: Path, engine: str) -> Path:
        """Returns the directory an engine may write below, beside the data."""
        return data.parent / "results" / self.name / engine
