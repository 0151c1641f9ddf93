"""Trades of accounts that never sell more than they hold, as `kernels.fifo` reads them.

Accounts are skewed; a time stamp occurs once in all the data; within a row group rows are in random order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.compiled import compiled
from benchmarks.generated import generated, skewed_keys

ROWS_PER_ACCOUNT = 100
SEED = 11
START_US = 1_700_000_000_000_000
STEP_US = 1_000
SCHEMA = pa.schema(
    [
        ("account", pa.int64()),
        ("ts", pa.timestamp("us")),
        ("side", pa.int8()),
        ("qty", pa.int64()),
        ("price", pa.int64()),
    ]
)


def prepare(directory: Path, scale: float) -> Path:
    """Writes `scale` trades below a directory, once: 40 % of them in Zipf(1.3) accounts; prices in cents."""
    rows = int(scale)
    return generated(directory / f"trades-{rows}", "trades", rows, lambda: Trades(max(1, rows // ROWS_PER_ACCOUNT)))


class Trades:
    """Makes row groups of trades in the order of time; remembers what every account holds."""

    def __init__(self, accounts: int) -> None:
        self._rng = np.random.default_rng(SEED)
        self._accounts = self._rng.permutation(accounts)
        self._held = np.zeros(accounts, np.int64)
        self._made = 0

    def __call__(self, rows: int) -> pa.Table:
        """Returns the next trades."""
        rng = self._rng
        account = skewed_keys(rng, self._accounts, rows)
        qty = rng.integers(1, 101, rows)
        side = np.where(rng.random(rows) < 0.5, -1, 1).astype(np.int8)
        _sell_what_is_held(account, self._held, side, qty)
        ts = START_US + STEP_US * np.arange(self._made, self._made + rows)
        self._made += rows
        order = rng.permutation(rows)
        price = rng.integers(9_000, 11_001, rows)
        columns: tuple[Any, ...] = (account, ts, side, qty, price)
        return pa.table([pa.array(c[order]).cast(f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


@compiled
def _sell_what_is_held(account: Any, held: Any, side: Any, qty: Any) -> None:
    """Cuts every sale to what its account holds then; with nothing held it becomes a purchase."""
    for i in range(len(account)):
        a = account[i]
        if side[i] < 0 and held[a] == 0:
            side[i] = 1
        if side[i] < 0:
            qty[i] = min(qty[i], held[a])
            held[a] -= qty[i]
        else:
            held[a] += qty[i]
