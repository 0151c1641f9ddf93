"""A tiny job with a kernel of its own, started as a whole process: what is measured is everything around the work."""

from __future__ import annotations

import sys

import pyarrow as pa

import checkrow as cr


@cr.row_kernel(returns={"net": pa.float64()})
def net(price: float, quantity: int) -> float:
    """Returns what a sale brings."""
    return price * quantity * 0.9 if quantity > 3 else price * quantity


@cr.job(name="tiny")
def tiny(*, source: str, target: str) -> cr.Plan:
    """Sums sales by shop."""
    sales = cr.scan(source).filter(cr.col("quantity") > 1).map(net)
    return sales.group_by("shop").agg(net=cr.sum("net")).plan_parquet(target)


if __name__ == "__main__":
    tiny.run(source=sys.argv[1], target=sys.argv[2])
