"""The demo's job: what a user would write.

Reads TPC-H line items as the public generator makes them, computes the discounted and taxed price with an own kernel,
exactly, and sums it by supplier, month and status.
"""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

import checkrow as cr


@cr.row_kernel(returns={"charge": pa.decimal128(18, 6)}, decimals="scaled")
def charge(l_extendedprice, l_discount, l_tax):
    """Computes price * (1 - discount) * (1 + tax) in exact integers: cents times hundredths times hundredths."""
    return l_extendedprice * (100 - l_discount) * (100 + l_tax)


@cr.job(name="demo-revenue")
def revenue(*, source: str, target: str, until: dt.date = dt.date(1998, 9, 2)) -> cr.Plan:
    """Sums charges by supplier, month, return flag and line status, partitioned by month."""
    return (
        cr.scan(source)
        .filter(cr.col("l_shipdate") <= until)
        .map(charge)
        .with_columns(month=cr.col("l_shipdate").dt.truncate("month"))
        .group_by("l_suppkey", "month", "l_returnflag", "l_linestatus")
        .agg(revenue=cr.sum("charge"), quantity=cr.sum("l_quantity"), items=cr.count())
        .plan_parquet(target, partition_by="month", mode="error")
    )
