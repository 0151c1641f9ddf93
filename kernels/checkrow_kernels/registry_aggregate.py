"""Rows of the table of kernels: group states."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels import aggregate
from checkrow_kernels import reference_aggregate as reference
from checkrow_kernels.examples import FLOATS, INTEGERS, SIGNED, gids, ints, valid
from checkrow_kernels.kernel_info import KernelInfo


def _reals(rng: np.random.Generator, rows: int) -> Any:
    return np.where(rng.random(rows) < 0.02, np.nan, rng.normal(0, 1e3, rows))


def _zeros(*dtypes: str, groups: int = 7) -> tuple[Any, ...]:
    return tuple(np.zeros(groups, d) for d in dtypes)


def _halves(rng: np.random.Generator, groups: int = 7) -> tuple[Any, Any]:
    return rng.integers(0, 2**32, groups), rng.integers(-(2**31), 2**31, groups)


def _moments(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    n = rng.integers(0, 3, 7).astype(np.float64)
    return n, rng.normal(5, 2, 7) * (n > 0), rng.random(7) * (n > 0)


AGGREGATES = (
    KernelInfo(
        name="count_valid", function=aggregate.count_valid, reference=reference.count_valid, cost="O(rows)",
        example=lambda r, n: (gids(r, n), valid(r, n), *_zeros("i8")),
    ),
    KernelInfo(
        name="add_int64", function=aggregate.add_int64, reference=reference.add_int64, cost="O(rows)",
        example=lambda r, n: (gids(r, n), r.integers(0, 1000, n), *_zeros("i8")),
    ),
    KernelInfo(
        name="sum_float", function=aggregate.sum_float, reference=reference.sum_float, cost="O(rows)",
        dtypes=FLOATS, typed=(1,),
        example=lambda r, n: (gids(r, n), r.normal(size=n), valid(r, n), True, *_zeros("f8")),
    ),
    KernelInfo(
        name="min_state", function=aggregate.min_state, reference=reference.min_state, cost="O(rows)",
        dtypes=INTEGERS, typed=(1, 4),
        example=lambda r, n: (gids(r, n), ints(r, n), valid(r, n), True, np.full(7, 2**63 - 1)),
    ),
    KernelInfo(
        name="min_state", function=aggregate.min_state, reference=reference.min_state, cost="O(rows)",
        dtypes=FLOATS, typed=(1, 4),
        example=lambda r, n: (gids(r, n), _reals(r, n), valid(r, n), True, np.full(7, np.nan)),
    ),
    KernelInfo(
        name="max_state", function=aggregate.max_state, reference=reference.max_state, cost="O(rows)",
        dtypes=INTEGERS, typed=(1, 4),
        example=lambda r, n: (gids(r, n), ints(r, n), valid(r, n), True, np.full(7, -(2**63))),
    ),
    KernelInfo(
        name="max_state", function=aggregate.max_state, reference=reference.max_state, cost="O(rows)",
        dtypes=FLOATS, typed=(1, 4),
        example=lambda r, n: (gids(r, n), _reals(r, n), valid(r, n), True, np.full(7, -np.inf)),
    ),
    KernelInfo(
        name="count_rows", function=aggregate.count_rows, reference=reference.count_rows, cost="O(rows)",
        example=lambda r, n: (gids(r, n), n, *_zeros("i8")),
    ),
    KernelInfo(
        name="sum_int", function=aggregate.sum_int, reference=reference.sum_int, cost="O(rows)",
        dtypes=SIGNED, typed=(1,),
        example=lambda r, n: (gids(r, n), ints(r, n), valid(r, n), True, *_zeros("i8", "i8")),
    ),
    KernelInfo(
        name="normalise_split", function=aggregate.normalise_split, reference=reference.normalise_split,
        cost="O(groups)",
        example=lambda r, _: (r.integers(0, 2**62, 7), r.integers(-(2**50), 2**50, 7), 7),
    ),
    KernelInfo(
        name="merge_split", function=aggregate.merge_split, reference=reference.merge_split, cost="O(rows)",
        example=lambda r, n: (gids(r, n), *_halves(r, n), *_zeros("i8", "i8")),
    ),
    KernelInfo(
        name="split_fits_int64", function=aggregate.split_fits_int64, reference=reference.split_fits_int64,
        cost="O(groups)",
        example=lambda r, n: (r.integers(-(2**31) - n * 10**6, 2**31 + n * 10**6, 7), 7),
    ),
    KernelInfo(
        name="split_to_int64", function=aggregate.split_to_int64, reference=reference.split_to_int64, cost="O(groups)",
        example=lambda r, _: (*_halves(r), 7, np.empty(7, np.int64)),
    ),
    KernelInfo(
        name="split_to_pairs", function=aggregate.split_to_pairs, reference=reference.split_to_pairs, cost="O(groups)",
        example=lambda r, _: (_halves(r)[0], r.integers(-(2**62), 2**62, 7), 7, np.empty(14, np.int64)),
    ),
    KernelInfo(
        name="sum_pairs", function=aggregate.sum_pairs, reference=reference.sum_pairs, cost="O(rows)",
        example=lambda r, n: (gids(r, n), ints(r, 2 * n), valid(r, n), True, *_zeros("i8", "i8", "i8")),
    ),
    KernelInfo(
        name="merge_triple", function=aggregate.merge_triple, reference=reference.merge_triple, cost="O(rows)",
        example=lambda r, n: (gids(r, n), ints(r, n), ints(r, n), r.integers(-9, 9, n), *_zeros("i8", "i8", "i8")),
    ),
    KernelInfo(
        name="triple_to_pairs", function=aggregate.triple_to_pairs, reference=reference.triple_to_pairs,
        cost="O(groups)",
        example=lambda r, n: (
            ints(r, 7), (high := ints(r, 7)), (high >> 63) + (np.arange(7) == n), 7, np.zeros(14, np.int64),
        ),
    ),
    KernelInfo(
        name="triple_to_float", function=aggregate.triple_to_float, reference=reference.triple_to_float,
        cost="O(groups)",
        tolerance=1e-15,
        example=lambda r, n: (
            ints(r, 7), *(-r.integers(0, 2, 7) if n else ints(r, 7) for _ in range(2)), 7, np.empty(7),
        ),
    ),
    KernelInfo(
        name="add_moments", function=aggregate.add_moments, reference=reference.add_moments, cost="O(rows)",
        source="Welford, 1962", tolerance=1e-12,
        example=lambda r, n: (gids(r, n), r.normal(5, 2, n), valid(r, n), True, *_moments(r)),
    ),
    KernelInfo(
        name="merge_moments", function=aggregate.merge_moments, reference=reference.merge_moments, cost="O(rows)",
        source="Chan, Golub, LeVeque, 1979", tolerance=1e-12,
        example=lambda r, n: (
            gids(r, n), r.integers(0, 3, n).astype(np.float64), r.normal(5, 2, n), r.random(n), *_moments(r),
        ),
    ),
)  # fmt: skip
