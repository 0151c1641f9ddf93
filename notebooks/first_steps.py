# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First steps
#
# A dataset, your own function compiled over it, a grouping, a commit. Every cell runs on a laptop without network.

# %%
import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import checkrow as cr
from checkrow import col

# %% [markdown]
# ## Some data
#
# Orders of a year, in four files. Prices are exact decimals; some discounts are missing.

# %%
home = Path(tempfile.mkdtemp())
(home / "orders").mkdir()
rng = np.random.default_rng(1)
for quarter in range(4):
    rows = 25_000
    days = [dt.date(2025, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(90 * quarter, 90 * quarter + 90, rows)]
    cents = rng.integers(100, 100_000, rows)
    discount = [None if d == 0 else Decimal(int(d)).scaleb(-2) for d in rng.integers(0, 20, rows)]
    table = pa.table(
        {
            "day": pa.array(days, pa.date32()),
            "city": pa.array(rng.choice(["Oslo", "Turin", "Porto", "Ghent"], rows)),
            "price": pa.array([Decimal(int(c)).scaleb(-2) for c in cents], pa.decimal128(12, 2)),
            "discount": pa.array(discount, pa.decimal128(4, 2)),
        }
    )
    pq.write_table(table, home / "orders" / f"q{quarter + 1}.parquet")

# %% [markdown]
# ## Scan: nothing is read but a listing and one footer

# %%
orders = cr.scan(str(home / "orders"))
orders


# %% [markdown]
# ## Your own function
#
# Arguments are columns by name. `decimals="scaled"` hands over exact integers: cents and hundredths. A null argument
# makes a null result. Called with plain values, it is plain Python.


# %%
@cr.row_kernel(returns={"paid": pa.decimal128(18, 4)}, decimals="scaled")
def paid(price, discount):
    return price * (100 - discount)


paid(1000, 25)

# %%
monthly = (
    orders.with_columns(discount=col("discount").fill_null(Decimal("0.00")))
    .map(paid)
    .with_columns(month=col("day").dt.truncate("month"))
    .group_by("city", "month")
    .agg(paid=cr.sum("paid"), orders=cr.count(), dearest=cr.max("price"))
)
print(monthly.explain())

# %%
monthly.head(5)

# %% [markdown]
# ## Write: all or nothing, once
#
# With a `key`, the write is an instance: running it again does nothing and says so; a killed one would continue.

# %%
target = str(home / "monthly")
run = monthly.write_parquet(target, partition_by="month", key="2025")
run

# %%
monthly.write_parquet(target, partition_by="month", key="2025")

# %% [markdown]
# The directory holds nothing but committed Parquet files. Any engine reads it.

# %%
cr.scan(target).group_by("city").agg(paid=cr.sum("paid"), orders=cr.sum("orders")).collect()
