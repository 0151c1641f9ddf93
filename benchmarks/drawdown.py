"""kernels.aggregator: the largest fall from a peak per instrument, over ticks in the order of time, by a million keys.

Falls of two stretches of time merge, but not by sums: the peak of the first counts against the low of the second.
`polars` keeps a running maximum per group, `polars-udf` calls the compiled loop once per group, DuckDB needs a window.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

import checkrow as cr
from benchmarks.bound import count_rows, decode_columns
from benchmarks.case import CORES, Case
from benchmarks.compiled import compiled
from benchmarks.generated import MakeRows, generated, skewed_keys

SEED = 17
ROWS_PER_KEY = 20
QUERY = """
copy (
    select instrument, max(peak - price) as drawdown from (
        select instrument, price,
               max(price) over (partition by instrument order by ts rows unbounded preceding) as peak
        from read_parquet($data)
    ) group by instrument
) to '{out}' (format parquet, compression zstd, compression_level 1, per_thread_output true, overwrite_or_ignore true)
"""


def prepare(directory: Path, scale: float) -> Path:
    """Writes `scale` ticks in the order of time, once: a key for 20 rows, 40 % of rows in Zipf(1.3) keys."""
    rows = int(scale)
    return generated(directory / f"ticks-{rows}", "ticks", rows, lambda: _maker(max(1, rows // ROWS_PER_KEY)))


def _maker(keys: int) -> MakeRows:
    rng = np.random.default_rng(SEED)
    instruments, made = rng.permutation(keys).astype(np.int64), 0

    def make(rows: int) -> pa.Table:
        nonlocal made
        ts = 1_700_000_000_000_000 + 1_000 * np.arange(made, made + rows)
        made += rows
        columns = {
            "instrument": skewed_keys(rng, instruments, rows),
            "ts": pa.array(ts, pa.timestamp("us")),
            "price": np.round(rng.lognormal(4.0, 0.1, rows), 2),
        }
        return pa.table(columns)

    return make


@cr.aggregator(returns=pa.float64())
class Drawdown:
    """The largest fall from an earlier peak; 0 where the price never falls."""

    def init():
        return -np.inf, np.inf, 0.0

    def update(state, price):
        peak, low, fall = state
        peak = max(peak, price)
        return peak, min(low, price), max(fall, peak - price)

    def merge(a, b):
        return max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2], a[0] - b[1])

    def finish(state):
        return state[2]


def run_checkrow(data: Path, out: Path) -> Path:
    """Runs the aggregator."""
    cr.scan(str(data)).group_by("instrument").agg(drawdown=Drawdown("price")).write_parquet(str(out / "drawdowns"))
    return out / "drawdowns"


def run_duckdb(data: Path, out: Path) -> Path:
    """Finds every running peak with a window function."""
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {CORES}; set preserve_insertion_order = false")
        connection.execute(f"set temp_directory = '{out}.spill'")
        connection.execute(QUERY.format(out=out), {"data": f"{data}/*.parquet"})
    return out


def run_polars(data: Path, out: Path) -> Path:
    """Finds every running peak with an expression; the rows of a group stay in order."""
    price = pl.col("price")
    return _aggregated(data, (price.cum_max() - price).max(), out)


@compiled
def _drawdown(price: Any) -> float:
    peak, fall = -np.inf, 0.0
    for i in range(len(price)):
        peak = max(peak, price[i])
        fall = max(fall, peak - price[i])
    return fall


def run_polars_udf(data: Path, out: Path) -> Path:
    """Calls the compiled loop for every group."""
    drawdown = pl.col("price").map_batches(
        lambda s: _drawdown(s.to_numpy()), return_dtype=pl.Float64, returns_scalar=True
    )
    return _aggregated(data, drawdown, out)


def _aggregated(data: Path, drawdown: pl.Expr, out: Path) -> Path:
    (
        pl.scan_parquet(f"{data}/*.parquet")
        .group_by("instrument")
        .agg(drawdown=drawdown)
        .sink_parquet(out / "out.parquet", compression="zstd", compression_level=1, maintain_order=False)
    )
    return out


@compiled
def _drawdowns(instrument: Any, price: Any) -> tuple[Any, Any]:
    peak, fall = np.full(instrument.max() + 1, -np.inf), np.full(instrument.max() + 1, -1.0)
    for i in range(len(price)):
        k = instrument[i]
        peak[k] = max(peak[k], price[i])
        fall[k] = max(fall[k], peak[k] - price[i])
    found = np.flatnonzero(fall >= 0.0)
    return found, fall[found]


def run_expert(data: Path, out: Path) -> Path:
    """Does what an expert writes by hand who knows that keys are small integers: one loop over arrays by key."""
    ticks = pl.scan_parquet(f"{data}/*.parquet").select("instrument", "price").collect()
    found, fall = _drawdowns(ticks["instrument"].to_numpy(), ticks["price"].to_numpy())
    frame = pl.DataFrame({"instrument": found, "drawdown": fall})
    frame.write_parquet(out / "out.parquet", compression="zstd", compression_level=1)
    return out


def decode(data: Path) -> None:
    """Decodes the columns read."""
    decode_columns(data, ["instrument", "price"])


AGGREGATOR = Case(
    suite="kernels",
    name="aggregator",
    engines={
        "checkrow": run_checkrow,
        "polars": run_polars,
        "polars-udf": run_polars_udf,
        "duckdb": run_duckdb,
        "expert": run_expert,
    },
    oracle="duckdb",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 1e6, "full": 20e6},
    keys=("instrument",),
)
