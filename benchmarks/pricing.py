"""relational.pricing: the TPC-H Q1 shape, with built-in expressions, each peer as its documentation recommends."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

import checkrow as cr
from benchmarks.bound import count_rows, decode_columns
from benchmarks.case import CORES, Case
from checkrow import col

UNTIL = dt.date(1998, 9, 2)
COLUMNS = [
    "l_quantity", "l_extendedprice", "l_discount", "l_tax", "l_returnflag", "l_linestatus", "l_shipdate",
]  # fmt: skip
QUERY = """
select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price,
       sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
       sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge,
       avg(l_quantity) as avg_qty, avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc,
       count(*) as count_order
from read_parquet(?) where l_shipdate <= date '1998-09-02' group by l_returnflag, l_linestatus
"""


def prepare(directory: Path, scale: float) -> Path:
    """Generates line items with the public TPC-H generator, once."""
    target = directory / f"tpch-{scale:g}"
    if not (target / "complete").is_file():
        shutil.rmtree(target, ignore_errors=True)
        program = Path(sys.executable).with_name("tpchgen-cli")
        command = [program, "parquet", "-s", f"{scale:g}", "--tables=lineitem", "--parts=6", f"--output-dir={target}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (target / "complete").touch()
    return target / "lineitem"


def run_checkrow(data: Path, _out: Path) -> pa.Table:
    """Runs the query with checkrow's expressions."""
    discounted = col("l_extendedprice") * (1 - col("l_discount"))
    return (
        cr.scan(str(data))
        .filter(col("l_shipdate") <= UNTIL)
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            sum_qty=cr.sum("l_quantity"),
            sum_base_price=cr.sum("l_extendedprice"),
            sum_disc_price=cr.sum(discounted),
            sum_charge=cr.sum(discounted * (1 + col("l_tax"))),
            avg_qty=cr.mean("l_quantity"),
            avg_price=cr.mean("l_extendedprice"),
            avg_disc=cr.mean("l_discount"),
            count_order=cr.count(),
        )
        .collect()
    )


def run_duckdb(data: Path, _out: Path) -> pa.Table:
    """Runs the query in SQL."""
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {CORES}")
        return connection.sql(QUERY, params=[f"{data}/*.parquet"]).to_arrow_table()


def run_polars(data: Path, _out: Path) -> pa.Table:
    """Runs the query lazily on the default (streaming) engine."""
    # Polars rounds a product to its operands' scale; six places make the answer exact, as the query asks.
    price, discount = pl.col("l_extendedprice").cast(pl.Decimal(38, 6)), pl.col("l_discount")
    return (
        pl.scan_parquet(f"{data}/*.parquet")
        .filter(pl.col("l_shipdate") <= UNTIL)
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            sum_qty=pl.sum("l_quantity"),
            sum_base_price=pl.sum("l_extendedprice"),
            sum_disc_price=(price * (1 - discount)).sum(),
            sum_charge=(price * (1 - discount) * (1 + pl.col("l_tax"))).sum(),
            avg_qty=pl.mean("l_quantity"),
            avg_price=pl.mean("l_extendedprice"),
            avg_disc=pl.mean("l_discount"),
            count_order=pl.len(),
        )
        .collect()
        .to_arrow()
    )


def decode(data: Path) -> None:
    """Decodes the same columns, flags as codes."""
    decode_columns(data, COLUMNS, read_dictionary=["l_returnflag", "l_linestatus"])


PRICING = Case(
    suite="relational",
    name="pricing",
    engines={"checkrow": run_checkrow, "duckdb": run_duckdb, "polars": run_polars},
    oracle="duckdb",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 0.1, "full": 5.0},
)
