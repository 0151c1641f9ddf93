"""The cases of suite kernels: engines agree with each other and with plain Python; generated data is reproducible."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict, deque
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from benchmarks.case import Case
from benchmarks.compare import equal
from benchmarks.drawdown import AGGREGATOR
from benchmarks.fifo import FIFO, fifo
from benchmarks.options import call_price
from benchmarks.volatility import ROWS, implied_volatility, volatility

CASES = [FIFO, ROWS, AGGREGATOR]


def results(case: Case, data: Path) -> dict[str, Path]:
    """Returns the directory every engine wrote."""
    found = {}
    for engine, run in case.engines.items():
        out = case.output(data, engine)
        out.mkdir(parents=True)
        found[engine] = run(data, out)
    return found


@pytest.mark.parametrize(
    ("case", "rows", "least"),
    [(FIFO, 6_000, 3_000), (ROWS, 3_000, 3_000), (AGGREGATOR, 5_000, 200)],
    ids=lambda v: getattr(v, "name", None),
)
def test_engines_agree(tmp_path, case, rows, least) -> None:
    data = case.prepare(tmp_path, rows)
    assert case.rows(data) == rows
    found = results(case, data)
    assert {e: equal(found[e], found[case.oracle], case.keys) for e in found} == dict.fromkeys(case.engines, True)
    assert pq.read_table(found["checkrow"]).num_rows >= least


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_generated_data_has_the_same_bytes_every_time(tmp_path, case) -> None:
    def digest(directory: str) -> list[str]:
        files = sorted(case.prepare(tmp_path / directory, 2_000).glob("*.parquet"))
        return [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]

    assert len(digest("a")) == 8
    assert digest("a") == digest("b")


def test_fifo_equals_queues_in_plain_python(tmp_path) -> None:
    data = FIFO.prepare(tmp_path, 3_000)
    found = pq.read_table(FIFO.engines["checkrow"](data, tmp_path)).sort_by([("sell_ts", "ascending")])
    open_lots: dict[int, deque[list[int]]] = defaultdict(deque)
    wanted = []
    for row in sorted(pq.read_table(data).to_pylist(), key=lambda r: r["ts"]):
        lots, need = open_lots[row["account"]], row["qty"]
        if row["side"] > 0:
            lots.append([row["ts"], need, row["price"]])
            continue
        while need:
            units = min(need, lots[0][1])
            pnl = units * (row["price"] - lots[0][2])
            wanted.append((row["account"], lots[0][0], row["ts"], units, pnl))
            lots[0][1] -= units
            need -= units
            if not lots[0][1]:
                lots.popleft()
    columns = [found.column(c).to_pylist() for c in ("account", "buy_ts", "sell_ts", "qty", "pnl")]
    assert sorted(zip(*columns, strict=True)) == sorted(wanted)


def test_fifo_drops_what_was_never_bought() -> None:
    out = cr.outputs_for(fifo, 4)
    ts, side, qty, price = (np.array(v) for v in ([1, 2, 3, 4], [-1, 1, -1, -1], [5, 3, 2, 9], [10, 20, 25, 30]))
    assert fifo(ts, side, qty, price, out) == 2
    assert [a[:2].tolist() for a in out] == [[2, 2], [3, 4], [2, 1], [10, 10]]


def test_no_account_sells_more_than_it_holds_and_instants_are_unique(tmp_path) -> None:
    trades = pq.read_table(FIFO.prepare(tmp_path, 4_000)).sort_by("ts").to_pydict()
    assert len(set(trades["ts"])) == 4_000
    held: dict[int, int] = defaultdict(int)
    for account, side, qty in zip(trades["account"], trades["side"], trades["qty"], strict=True):
        held[account] += side * qty
        assert held[account] >= 0
        assert 1 <= qty <= 100


def test_volatility_gives_the_price_back(tmp_path) -> None:
    quotes = pq.read_table(ROWS.prepare(tmp_path, 500)).to_pylist()
    without = 0
    for q in quotes:
        vol, steps = volatility(*(q[c] for c in ("spot", "strike", "years", "rate", "price", "is_call")))
        if math.isnan(vol):
            without += 1
            assert steps == 0
            continue
        parity = 0.0 if q["is_call"] else q["strike"] * math.exp(-q["rate"] * q["years"]) - q["spot"]
        price = call_price(q["spot"], q["strike"], q["years"], q["rate"], vol) + parity
        assert price == pytest.approx(q["price"], abs=2e-9 * q["spot"])
        assert 1 <= steps <= 100
    assert 500 // 32 <= without < 100


def test_volatility_needs_more_than_one_branch() -> None:
    assert math.isnan(implied_volatility(100.0, 100.0, 1.0, 0.02, 100.0, True)[0])
    assert math.isnan(implied_volatility(100.0, 50.0, 1.0, 0.02, 40.0, True)[0])
    steps = {implied_volatility(100.0, k, 0.1, 0.0, p, True)[1] for k, p in ((100.0, 2.0), (180.0, 0.01), (130.0, 0.5))}
    assert len(steps) > 1
