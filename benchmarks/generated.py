"""Generated data on disk: eight snappy Parquet files in row groups of at most a million rows, made once.

Row groups are made in order by one function from one seed, so equal versions of NumPy and pyarrow give equal files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FILES = 8
ROW_GROUP_ROWS = 1_000_000
ZIPF = 1.3
ZIPF_SHARE = 0.4

MakeRows = Callable[[int], pa.Table]
"""Returns the next so many rows; called once per row group, in order."""


def generated(target: Path, folder: str, rows: int, start: Callable[[], MakeRows]) -> Path:
    """Writes a dataset of generated rows below a directory, unless it is complete there, and returns its directory.

    Parameters
    ----------
    target : Path
        Directory of this data at this scale; a marker in it tells that the files are complete.
    folder : str
        Name of the dataset's directory below `target`.
    rows : int
        Rows in all, spread over the files as evenly as possible.
    start : callable
        Begins a generation and returns what makes the rows.
    """
    data = target / folder
    if not (target / "complete").is_file():
        shutil.rmtree(target, ignore_errors=True)
        data.mkdir(parents=True)
        make = start()
        for number, file_rows in enumerate(shares(rows, FILES)):
            _write(data / f"part-{number}.parquet", file_rows, make)
        (target / "complete").touch()
    return data


def shares(rows: int, parts: int) -> list[int]:
    """Splits rows into parts that differ by one at most."""
    return [rows // parts + (number < rows % parts) for number in range(parts)]


def _write(path: Path, rows: int, make: MakeRows) -> None:
    groups = shares(rows, -(-rows // ROW_GROUP_ROWS))
    first = make(groups[0])
    with pq.ParquetWriter(path, first.schema, compression="snappy") as writer:
        writer.write_table(first, row_group_size=groups[0])
        for group_rows in groups[1:]:
            writer.write_table(make(group_rows), row_group_size=group_rows)


def skewed_keys(rng: np.random.Generator, ids: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Returns keys of which 40 % follow Zipf's law with exponent 1.3 and the rest are uniform, in random order.

    Parameters
    ----------
    ids : ndarray, shape (keys,), int64
        The keys by rank; ranks beyond their number are folded into it.
    rows : int

    Returns
    -------
    ndarray, shape (rows,), int64
    """
    ranks = (rng.zipf(ZIPF, round(rows * ZIPF_SHARE)) - 1) % len(ids)
    keys = np.concatenate([ids[ranks], rng.integers(0, len(ids), rows - len(ranks))])
    rng.shuffle(keys)
    return keys
