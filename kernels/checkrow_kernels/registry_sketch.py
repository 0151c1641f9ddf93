"""Rows of the table of kernels: sketches."""

from __future__ import annotations

import numpy as np

from checkrow_kernels import reference_sketch as reference
from checkrow_kernels import sketch
from checkrow_kernels.examples import floats
from checkrow_kernels.kernel_info import KernelInfo

_HLL = "P. Flajolet et al., HyperLogLog, 2007"


SKETCHES = (
    KernelInfo(
        name="registers", function=sketch.registers, reference=reference.registers, cost="O(rows)", source=_HLL,
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), np.empty(n, np.int16)),
    ),
    KernelInfo(
        name="ranks", function=sketch.ranks, reference=reference.ranks, cost="O(rows)", source=_HLL,
        example=lambda r, n: (
            r.integers(0, 2**64, n, dtype=np.uint64) >> r.integers(0, 64, n, dtype=np.uint64), np.empty(n, np.int8),
        ),
    ),
    KernelInfo(
        name="coarse_values", function=sketch.coarse_values, reference=reference.coarse_values, cost="O(rows)",
        source="leading bits as buckets, as in HdrHistogram",
        example=lambda r, n: (floats(r, n), np.empty(n)),
    ),
    KernelInfo(
        name="estimate_distinct", function=sketch.estimate_distinct, reference=reference.estimate_distinct,
        cost="O(registers)", source="O. Ertl, arXiv:1702.01284, 2017", tolerance=1e-3,
        example=lambda r, n: (
            np.array([0, 0, n // 2, n, n + 4000]), np.minimum(r.geometric(0.5, n + 4000), 53).astype(np.int8),
            np.zeros(4, np.int64),
        ),
    ),
    KernelInfo(
        name="weighted_quantiles", function=sketch.weighted_quantiles, reference=reference.weighted_quantiles,
        cost="O(values)", tolerance=1e-9,
        example=lambda r, n: (
            np.array([0, n // 3, n // 3, n]),
            np.concatenate([np.sort(r.normal(0, 9, n // 3)), np.sort(r.normal(0, 9, n - n // 3))]),
            r.integers(1, 4, n), [0.0, 1.0, 0.25, 0.5][n % 4], np.empty(3),
        ),
    ),
)  # fmt: skip
