"""The table of cases, by suite and name."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.drawdown import AGGREGATOR
from benchmarks.fifo import FIFO
from benchmarks.pricing import PRICING
from benchmarks.sessions import SESSIONS
from benchmarks.start import COLD, START
from benchmarks.volatility import ROWS

CASES: dict[tuple[str, str], Case] = {
    (c.suite, c.name): c for c in (PRICING, SESSIONS, FIFO, ROWS, AGGREGATOR, START, COLD)
}
