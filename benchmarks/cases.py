"""The table of cases, by suite and name."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.pricing import PRICING

CASES: dict[tuple[str, str], Case] = {(c.suite, c.name): c for c in (PRICING,)}
