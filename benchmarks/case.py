"""What a benchmark case is: engines that compute one result, and the physical bound of doing so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

Engine = Callable[[Path], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison.

    Attributes
    ----------
    engines : dict of str to callable
        Each computes the result from the data directory; "checkrow" is one of them.
    oracle : str
        The engine whose result the others must equal.
    bound : callable
        Does only what cannot be avoided (decoding the same columns); its time is the physical bound.
    prepare : callable
        Makes the data of a scale factor below a directory, unless it is there.
    rows : callable
        Counts the input rows.
    """

    suite: str
    name: str
    engines: dict[str, Engine]
    oracle: str
    bound: Callable[[Path], None]
    prepare: Callable[[Path, float], Path]
    rows: Callable[[Path], int]
    scales: dict[str, float]
