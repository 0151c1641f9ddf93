"""kernels.rows: the implied volatility of every option by Newton's method, and the steps it took, to Parquet.

One function, compiled with the same options for everybody. `polars-udf` is the door Polars documents for own code:
`map_batches` on a struct of the columns, called once with all rows. `polars-best` is the best of four by hand: declared
elementwise, the function runs on morsels on all cores. Not faster were a frame function declared streamable, `prange`
over whole columns in a lazy query, and the same on an eager frame. `duckdb-udf` is a function registered as DuckDB does
by default, called row by row with Python's numbers (a NaN comes back as null); `duckdb-best` is one of its Arrow kind,
called on vectors of 2,048 rows. `expert` is what is left without any engine: row groups are decoded, run through and
written on all cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import checkrow as cr
from benchmarks.bound import count_rows, decode_columns
from benchmarks.case import CORES, Case
from benchmarks.compiled import compiled
from benchmarks.options import call_price, prepare

ARGUMENTS = ["spot", "strike", "years", "rate", "price", "is_call"]
ANSWER = pl.Struct({"vol": pl.Float64, "steps": pl.Int32})
MOST_STEPS = 100
QUERY = """
copy (
    select id, coalesce(answer.vol, 'nan'::double) as vol, answer.steps from (
        select id, volatility(spot, strike, years, rate, price, is_call) as answer from read_parquet($data)
    )
) to '{out}' (format parquet, compression zstd, compression_level 1, per_thread_output true, overwrite_or_ignore true)
"""
LOWEST, HIGHEST = 1e-4, 8.0
"""Volatilities per year between which the answer is looked for."""
PRICE_ERROR = 1e-9


@compiled
def implied_volatility(
    spot: float, strike: float, years: float, rate: float, price: float, is_call: bool
) -> tuple[float, int]:
    """Returns the volatility at which an option is worth its price, and the steps taken; NaN and 0 if there is none.

    Newton's method inside a bracket: a step that leaves the bracket halves it instead.
    """
    paid = strike * math.exp(-rate * years)
    wanted = price if is_call else price + spot - paid  # the call of the same strike, by put-call parity
    if not max(spot - paid, 0.0) < wanted < spot or price <= 0.0:
        return math.nan, 0
    low, high, root = LOWEST, HIGHEST, math.sqrt(years)
    vol = math.sqrt(2.0 * abs(math.log(spot / paid)) / years) + 0.05
    for step in range(1, MOST_STEPS + 1):
        error = call_price(spot, strike, years, rate, vol) - wanted
        if abs(error) < PRICE_ERROR * spot or high - low < 1e-12:
            return vol, step
        if error > 0.0:
            high = vol
        else:
            low = vol
        d1 = math.log(spot / paid) / (vol * root) + 0.5 * vol * root
        vega = spot * root * math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
        vol -= error / max(vega, 1e-300)
        if not low < vol < high:
            vol = 0.5 * (low + high)
    return math.nan, MOST_STEPS


@cr.row_kernel(returns={"vol": pa.float64(), "steps": pa.int32()})
def volatility(spot: float, strike: float, years: float, rate: float, price: float, is_call: bool) -> tuple[float, int]:
    """Returns the implied volatility of one option and the steps taken."""
    return implied_volatility(spot, strike, years, rate, price, is_call)


@compiled
def _every(arguments: tuple[Any, ...], vol: Any, steps: Any) -> None:
    spot, strike, years, rate, price, is_call = arguments
    for i in range(len(spot)):
        vol[i], steps[i] = implied_volatility(spot[i], strike[i], years[i], rate[i], price[i], is_call[i])


def run_checkrow(data: Path, out: Path) -> Path:
    """Runs the row kernel."""
    cr.scan(str(data)).map(volatility).select("id", "vol", "steps").write_parquet(str(out / "volatilities"))
    return out / "volatilities"


def _series(*arguments: pl.Series) -> pl.Series:
    vol, steps = np.empty(len(arguments[0])), np.empty(len(arguments[0]), np.int32)
    _every(tuple(a.to_numpy() for a in arguments), vol, steps)
    return pl.DataFrame({"vol": vol, "steps": steps}).to_struct("answer")


def _answered(data: Path, answer: pl.Expr, out: Path) -> Path:
    (
        pl.scan_parquet(f"{data}/*.parquet")
        .select("id", answer=answer)
        .unnest("answer")
        .sink_parquet(out / "out.parquet", compression="zstd", compression_level=1, maintain_order=False)
    )
    return out


def run_polars_udf(data: Path, out: Path) -> Path:
    """Calls the function on a struct of the columns, as the user guide does."""
    answer = pl.struct(ARGUMENTS).map_batches(
        lambda s: _series(*(s.struct.field(a) for a in ARGUMENTS)), return_dtype=ANSWER
    )
    return _answered(data, answer, out)


def run_polars_best(data: Path, out: Path) -> Path:
    """Declares the function elementwise, so that the streaming engine calls it on morsels, on all cores."""
    answer = pl.map_batches(ARGUMENTS, lambda s: _series(*s), return_dtype=ANSWER, is_elementwise=True)
    return _answered(data, answer, out)


def _arrow(spot: Any, strike: Any, years: Any, rate: Any, price: Any, is_call: Any) -> pa.StructArray:
    vol, steps = np.empty(len(spot)), np.empty(len(spot), np.int32)
    _every(tuple(c.to_numpy() for c in (spot, strike, years, rate, price, is_call)), vol, steps)
    return pa.StructArray.from_arrays([vol, steps], ["vol", "steps"])


def _row(spot: float, strike: float, years: float, rate: float, price: float, is_call: bool) -> dict[str, Any]:
    vol, steps = implied_volatility(spot, strike, years, rate, price, is_call)
    return {"vol": vol, "steps": steps}


def _in_sql(function: Callable[..., Any], kind: str, data: Path, out: Path) -> Path:
    answer = duckdb.struct_type({"vol": "DOUBLE", "steps": "INTEGER"})
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {CORES}; set preserve_insertion_order = false")
        connection.create_function("volatility", function, [*["DOUBLE"] * 5, "BOOLEAN"], answer, type=kind)
        connection.execute(QUERY.format(out=out), {"data": f"{data}/*.parquet"})
    return out


def run_duckdb_udf(data: Path, out: Path) -> Path:
    """Registers the function as one over Python's numbers, which is the default, and calls it in SQL."""
    return _in_sql(_row, "native", data, out)


def run_duckdb_best(data: Path, out: Path) -> Path:
    """Registers the function as one over Arrow arrays and calls it in SQL."""
    return _in_sql(_arrow, "arrow", data, out)


def run_expert(data: Path, out: Path) -> Path:
    """Does what an expert writes by hand: pyarrow decodes and encodes, one loop between them, a thread per core."""
    schema = pa.schema([("id", pa.int64()), ("vol", pa.float64()), ("steps", pa.int32())])

    def one(path: Path) -> None:
        options = {"compression": "zstd", "compression_level": 1, "use_dictionary": False}
        with pq.ParquetFile(path, pre_buffer=False) as file, pq.ParquetWriter(out / path.name, schema, **options) as to:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number, columns=["id", *ARGUMENTS], use_threads=False)
                vol, steps = np.empty(group.num_rows), np.empty(group.num_rows, np.int32)
                _every(tuple(group[a].combine_chunks().to_numpy(zero_copy_only=False) for a in ARGUMENTS), vol, steps)
                to.write_table(pa.table([group["id"], vol, steps], schema=schema))

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, sorted(data.glob("*.parquet"))))
    return out


def decode(data: Path) -> None:
    """Decodes the columns read."""
    decode_columns(data, ["id", *ARGUMENTS])


ROWS = Case(
    suite="kernels",
    name="rows",
    engines={
        "checkrow": run_checkrow,
        "polars-udf": run_polars_udf,
        "polars-best": run_polars_best,
        "duckdb-udf": run_duckdb_udf,
        "duckdb-best": run_duckdb_best,
        "expert": run_expert,
    },
    oracle="polars-udf",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 1e6, "full": 20e6},
    keys=("id",),
)
