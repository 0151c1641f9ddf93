"""Rows of the table of kernels: hash tables of keys and texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels import group, packing, strings
from checkrow_kernels import reference_group as reference
from checkrow_kernels.examples import gids, ints, slots, texts, valid
from checkrow_kernels.kernel_info import Arguments, KernelInfo

_PROBING = "linear probing; group prefetching, Chen et al., ICDE 2004"


def _keys(rng: np.random.Generator, rows: int) -> Any:
    # Few keys, some of them extreme, in an order that meets each again.
    few = np.concatenate([rng.integers(-3, 3, 20), rng.integers(-(2**63), 2**63 - 1, 20)])
    return few[rng.integers(0, len(few), rows)]


def _distinct(rng: np.random.Generator, rows: int) -> Any:
    return rng.permutation(rows + 2)[:rows] * 2**33 - 2**40


def _interned(rng: np.random.Generator, rows: int) -> Arguments:
    words = (*texts(rng, rows), valid(rng, rows), True)
    table = (np.zeros(24 * rows, np.uint8), np.zeros(rows + 1, np.int64), np.zeros(rows, np.uint64), slots(rows))
    return *words, 0, *table, 0, rows, 24 * rows, np.zeros(rows, np.int32)


GROUPS = (
    KernelInfo(
        name="pack_values", function=packing.pack_values, reference=reference.pack_values, cost="O(rows)",
        example=lambda r, n: (
            r.integers(-(2**63), -(2**63) + 2**20, n), valid(r, n), bool(n % 2), np.uint64(2**63), np.uint64(40),
            r.integers(0, 2**40, n).astype(np.uint64),
        ),
    ),
    KernelInfo(
        name="pack_nulls", function=packing.pack_nulls, reference=reference.pack_nulls, cost="O(rows)",
        example=lambda r, n: (valid(r, n), np.uint64(63), r.integers(0, 2**40, n).astype(np.uint64)),
    ),
    KernelInfo(
        name="remap", function=strings.remap, reference=reference.remap, cost="O(rows)",
        example=lambda r, n: (
            r.integers(-1, 5, n).astype(np.int32), np.arange(10, 15, dtype=np.int32), np.empty(n, np.int32),
        ),
    ),
    KernelInfo(
        name="upsert_1", function=group.upsert_1, reference=reference.upsert_1, cost="O(rows)",
        source=_PROBING,
        example=lambda r, n: (_keys(r, n), 0, n, slots(n), np.zeros(n + 1, np.int64), 0, n + 1, np.zeros(n, np.int32)),
    ),
    KernelInfo(
        name="upsert_2", function=group.upsert_2, reference=reference.upsert_2, cost="O(rows)",
        source=_PROBING,
        example=lambda r, n: (
            _keys(r, n), _keys(r, n), 0, n, slots(n), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), 0, n + 1,
            np.zeros(n, np.int32),
        ),
    ),
    KernelInfo(
        name="upsert_n", function=group.upsert_n, reference=reference.upsert_n, cost="O(rows * words)",
        source=_PROBING,
        example=lambda r, n: (
            _keys(r, 3 * n).reshape(n, 3), 0, n, slots(n), np.zeros((n + 1, 3), np.int64), 0, n + 1,
            np.zeros(n, np.int32),
        ),
    ),
    KernelInfo(
        name="rebuild_1", function=group.rebuild_1, reference=reference.rebuild_1, cost="O(groups)",
        source=_PROBING,
        example=lambda r, n: (_distinct(r, n), n, slots(n)),
    ),
    KernelInfo(
        name="rebuild_2", function=group.rebuild_2, reference=reference.rebuild_2, cost="O(groups)",
        source=_PROBING,
        example=lambda r, n: (_distinct(r, n), ints(r, n), n, slots(n)),
    ),
    KernelInfo(
        name="rebuild_n", function=group.rebuild_n, reference=reference.rebuild_n, cost="O(groups * words)",
        source=_PROBING,
        example=lambda r, n: (ints(r, 3 * n).reshape(n, 3), n, slots(n)),
    ),
    KernelInfo(
        name="choose_rows", function=group.choose_rows, reference=reference.choose_rows, cost="O(rows)",
        example=lambda r, n: (
            gids(r, n), r.integers(0, 3, (n, 2)).astype(np.uint64), bool(n % 2), np.full(7, -1, np.int64),
        ),
    ),
    KernelInfo(
        name="intern", function=strings.intern, reference=reference.intern, cost="O(bytes)",
        example=_interned,
    ),
    KernelInfo(
        name="rebuild_strings", function=strings.rebuild_strings, reference=reference.rebuild_strings, cost="O(texts)",
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), n, slots(n)),
    ),
)  # fmt: skip
