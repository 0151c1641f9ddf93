"""Quoted European options, as `kernels.rows` reads them, and the formula that prices them.

Quotes are the price at some volatility rounded to a cent. One in 32 is zero and has no implied volatility, and so have
a few whose price beyond the intrinsic value is lost in rounding. The formula is that of Black and Scholes, The Pricing
of Options and Corporate Liabilities, 1973.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.compiled import compiled
from benchmarks.generated import generated

SEED = 13
BROKEN_EVERY = 32
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("spot", pa.float64()),
        ("strike", pa.float64()),
        ("years", pa.float64()),
        ("rate", pa.float64()),
        ("price", pa.float64()),
        ("is_call", pa.bool_()),
    ]
)


@compiled
def normal_cdf(x: float) -> float:
    """Returns the probability that a standard normal value is at most `x`."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@compiled
def call_price(spot: float, strike: float, years: float, rate: float, vol: float) -> float:
    """Returns the price of a call; `rate` and `vol` are per year."""
    spread = vol * math.sqrt(years)
    d1 = (math.log(spot / strike) + rate * years) / spread + 0.5 * spread
    return spot * normal_cdf(d1) - strike * math.exp(-rate * years) * normal_cdf(d1 - spread)


def prepare(directory: Path, scale: float) -> Path:
    """Writes `scale` quotes below a directory, once."""
    rows = int(scale)
    return generated(directory / f"options-{rows}", "options", rows, Options)


class Options:
    """Makes row groups of quotes with running ids."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(SEED)
        self._made = 0

    def __call__(self, rows: int) -> pa.Table:
        """Returns the next quotes."""
        rng = self._rng
        spot = np.round(rng.uniform(20, 400, rows), 2)
        strike = np.round(spot * np.exp(rng.normal(0, 0.25, rows)), 1)
        years = rng.integers(7, 3 * 365, rows) / 365
        rate = np.round(rng.uniform(-0.005, 0.06, rows), 4)
        is_call = rng.random(rows) < 0.5
        price = np.empty(rows)
        _quote(spot, strike, years, rate, rng.lognormal(-1.2, 0.5, rows), is_call, price)
        ids = np.arange(self._made, self._made + rows)
        self._made += rows
        price[ids % BROKEN_EVERY == 0] = 0.0
        columns = (ids, spot, strike, years, rate, price, is_call)
        return pa.table([pa.array(c) for c in columns], schema=SCHEMA)


@compiled
def _quote(spot: Any, strike: Any, years: Any, rate: Any, vol: Any, is_call: Any, price: Any) -> None:
    for i in range(len(spot)):
        value = call_price(spot[i], strike[i], years[i], rate[i], vol[i])
        if not is_call[i]:
            value += strike[i] * math.exp(-rate[i] * years[i]) - spot[i]
        price[i] = round(100.0 * value) / 100.0
