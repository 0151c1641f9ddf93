"""The physical bound: decoding the same columns, then encoding and writing the same output, both with pyarrow.

Nothing is computed between the two, and they do not overlap: what an engine does at the same time as decoding counts
in its favour. Both halves use every core. The output is written with the options of checkrow's own writer (zstd of
level 1, no dictionaries for numbers), from the oracle's result, which is read back into memory before the time counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.case import CORES

ROW_GROUP_ROWS = 1 << 19


def decode_columns(data: Path, columns: Sequence[str], read_dictionary: Sequence[str] = ()) -> None:
    """Decodes columns of all files with pyarrow on all cores, row group by row group, and drops them."""

    def one(path: Path) -> None:
        with pq.ParquetFile(path, read_dictionary=list(read_dictionary), pre_buffer=False) as file:
            for number in range(file.num_row_groups):
                file.read_row_group(number, columns=list(columns), use_threads=False)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, sorted(data.glob("*.parquet"))))


def read_result(directory: Path) -> pa.Table:
    """Reads a large result into memory."""
    return pq.read_table(directory).combine_chunks()


def write_result(table: pa.Table, directory: Path) -> Path:
    """Writes a table as one zstd file per core, the files at the same time, and returns their directory."""
    share = -(-table.num_rows // CORES)

    def one(number: int) -> None:
        pq.write_table(
            table.slice(number * share, share), directory / f"part-{number}.parquet", compression="zstd",
            compression_level=1, use_dictionary=False, row_group_size=ROW_GROUP_ROWS,
        )  # fmt: skip

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, range(CORES)))
    return directory


def count_rows(data: Path) -> int:
    """Counts the rows of a data directory from the footers of its files."""
    return sum(pq.read_metadata(p).num_rows for p in data.glob("*.parquet"))
