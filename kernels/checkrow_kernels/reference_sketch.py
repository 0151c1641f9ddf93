"""Slow references of the sketches: term by term, value by value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
_LEAST_EXPONENT = -1021


def registers(hashes: Array, out: Array) -> None:
    """Takes the first 12 of 64 bits."""
    out[:] = [int(f"{h:064b}"[:12], 2) for h in hashes.tolist()]


def ranks(hashes: Array, out: Array) -> None:
    """Finds the first 1 after the first 12 of 64 bits."""
    out[:] = [(f"{h:064b}1")[12:].index("1") + 1 for h in hashes.tolist()]


def coarse_values(values: Array, out: Array) -> None:
    """Rounds to 12 significant bits; halves away from zero, never up to infinity, subnormals as the least normals."""
    for i, v in enumerate(values.tolist()):
        if not math.isfinite(v):
            out[i] = v
            continue
        exponent = max(math.frexp(v)[1], _LEAST_EXPONENT)
        whole = math.floor(math.ldexp(abs(v), 12 - exponent) + 0.5)
        near = math.inf if whole == 4096 and exponent == 1024 else math.ldexp(whole, exponent - 12)
        kept = near if near < math.inf else math.ldexp(4095, exponent - 12)
        out[i] = math.copysign(kept, v)


def estimate_distinct(starts: Array, largest: Array, out: Array) -> None:
    """Sums the series of the estimator term by term."""
    m = 4096
    for g in range(len(out)):
        counts = np.bincount(largest[starts[g] : starts[g + 1]], minlength=54)
        empty = (m - counts.sum()) / m
        if empty == 1.0:
            out[g] = 0
            continue
        full = 1 - counts[53] / m
        sigma = empty + sum(empty ** (2.0**k) * 2.0 ** (k - 1) for k in range(1, 60) if 2.0**k < 2.0**50)
        tau = (1 - full - sum((1 - full ** (2.0**-k)) ** 2 * 2.0**-k for k in range(1, 60))) / 3 if counts[53] else 0.0
        z = m * sigma + m * tau * 2.0**-52 + sum(int(counts[k]) * 2.0**-k for k in range(1, 53))
        out[g] = round(m * m / (2 * math.log(2)) / z)


def weighted_quantiles(starts: Array, values: Array, weights: Array, share: float, out: Array) -> None:
    """Spells out every value and asks NumPy."""
    for g in range(len(out)):
        here = slice(int(starts[g]), int(starts[g + 1]))
        every = np.repeat(values[here], weights[here])
        out[g] = np.quantile(every, share) if len(every) else 0.0
