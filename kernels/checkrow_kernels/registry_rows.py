"""Rows of the table of kernels: scattering, sorting, taking, converting."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels import bits, bounds, scatter, sort, take
from checkrow_kernels import reference_rows as reference
from checkrow_kernels.examples import COLUMNS, INTEGERS, SIGNED, gids, ints, texts, valid
from checkrow_kernels.kernel_info import Arguments, KernelInfo


def _taken(rng: np.random.Generator, rows: int) -> Arguments:
    offsets, data = texts(rng, rows + 1)
    chosen = rng.integers(0, rows + 1, rows)
    out_offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(np.diff(offsets)[chosen], out=out_offsets[1:])
    return offsets, data, chosen, out_offsets, np.zeros(out_offsets[-1], np.uint8)


def _starts(ids: Any) -> Any:
    counts = np.bincount(ids, minlength=7)
    return np.cumsum(counts) - counts


def _placed(rng: np.random.Generator, rows: int) -> Arguments:
    offsets, data = texts(rng, rows)
    at = rng.permutation(rows)
    lengths = np.zeros(rows, np.int64)
    lengths[at] = np.diff(offsets)
    out_offsets = np.concatenate([[0], np.cumsum(lengths)])
    return offsets, data, at, out_offsets, np.zeros(len(data), np.uint8)


def _unsorted(rng: np.random.Generator, rows: int) -> Arguments:
    """Groups on both sides of the insertion limit, words with ties and with differences in few bytes."""
    starts = np.array([0, rows // 8, rows // 8, rows // 4, rows])
    words = rng.integers(0, 50, rows).astype(np.uint64) << rng.integers(0, 56, rows).astype(np.uint64)
    return words, rng.permutation(rows), starts, np.zeros(rows, np.uint64), np.zeros(rows, np.int64)


_NARROW = ("u1", "u2", "u4")


ROWS = (
    KernelInfo(
        name="partition_of", function=scatter.partition_of, reference=reference.partition_of, cost="O(rows)",
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), 9, np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="count_partitions", function=scatter.count_partitions, reference=reference.count_partitions,
        cost="O(rows)",
        example=lambda r, n: (gids(r, n, 300), np.zeros(300, np.int64)),
    ),
    KernelInfo(
        name="take", function=take.take, reference=reference.take, cost="O(rows)",
        dtypes=COLUMNS, typed=(0, 2),
        example=lambda r, n: (ints(r, n + 1), r.integers(0, n + 1, n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="take_pairs", function=take.take_pairs, reference=reference.take_pairs, cost="O(rows)",
        example=lambda r, n: (ints(r, 2 * n + 2), r.integers(0, n + 1, n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="take_lengths", function=take.take_lengths, reference=reference.take_lengths, cost="O(rows)",
        example=lambda r, n: (texts(r, n + 1)[0], r.integers(0, n + 1, n), np.empty(n + 1, np.int64)),
    ),
    KernelInfo(
        name="unpack_bits", function=bits.unpack_bits, reference=reference.unpack_bits, cost="O(rows)",
        example=lambda r, n: (r.integers(0, 256, n // 8 + 2).astype(np.uint8), 5, n, np.empty(n, np.uint8)),
    ),
    KernelInfo(
        name="pack_bits", function=bits.pack_bits, reference=reference.pack_bits, cost="O(rows)",
        example=lambda r, n: (valid(r, n), n, np.zeros((n + 7) // 8, np.uint8)),
    ),
    KernelInfo(
        name="low_words", function=bits.low_words, reference=reference.low_words, cost="O(rows)",
        example=lambda r, n: (r.integers(-5, 5, 2 * n), n, np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="widen", function=bits.widen, reference=reference.widen, cost="O(rows)",
        example=lambda r, n: (ints(r, n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="minmax_int", function=bounds.minmax_int, reference=reference.minmax_int, cost="O(rows)",
        dtypes=INTEGERS, typed=(0,),
        example=lambda r, n: (ints(r, n + 1), n + 1),
    ),
    KernelInfo(
        name="positions", function=scatter.positions, reference=reference.positions, cost="O(rows)",
        source="Polychroniou & Ross, SIGMOD 2014, section 4",
        example=lambda r, n: ((i := gids(r, n)), _starts(i), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place", function=scatter.place, reference=reference.place, cost="O(rows)",
        dtypes=COLUMNS, typed=(0, 2),
        example=lambda r, n: (ints(r, n), r.permutation(n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place_above", function=scatter.place_above, reference=reference.place_above, cost="O(rows)",
        dtypes=_NARROW, typed=(3,),
        example=lambda r, n: (
            r.integers(-(2**63), -(2**63) + 255, n), r.permutation(n), -(2**63), np.empty(n, np.uint64),
        ),
    ),
    KernelInfo(
        name="widen_above", function=scatter.widen_above, reference=reference.widen_above, cost="O(rows)",
        dtypes=_NARROW, typed=(0,),
        example=lambda r, n: (r.integers(0, 255, n), 2**63 - 256, np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place_pairs", function=scatter.place_pairs, reference=reference.place_pairs, cost="O(rows)",
        example=lambda r, n: (ints(r, 2 * n), r.permutation(n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="place_lengths", function=scatter.place_lengths, reference=reference.place_lengths, cost="O(rows)",
        example=lambda r, n: (texts(r, n)[0], r.permutation(n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place_bytes", function=scatter.place_bytes, reference=reference.place_bytes, cost="O(bytes)",
        example=_placed,
    ),
    KernelInfo(
        name="sortable_ints", function=sort.sortable_ints, reference=reference.sortable_ints, cost="O(rows)",
        dtypes=SIGNED, typed=(0,),
        example=lambda r, n: (ints(r, n), np.empty(n, np.uint64)),
    ),
    KernelInfo(
        name="sortable_unsigned", function=sort.sortable_unsigned, reference=reference.sortable_unsigned,
        cost="O(rows)",
        dtypes=("uint8", "uint64"), typed=(0,),
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), np.empty(n, np.uint64)),
    ),
    KernelInfo(
        name="sortable_floats", function=sort.sortable_floats, reference=reference.sortable_floats, cost="O(rows)",
        example=lambda r, n: (
            r.choice([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, -1.5, 2.0], n), np.empty(n, np.uint64),
        ),
    ),
    KernelInfo(
        name="group_starts", function=sort.group_starts, reference=reference.group_starts, cost="O(rows + groups)",
        example=lambda r, n: (gids(r, n), np.zeros(8, np.int64)),
    ),
    KernelInfo(
        name="group_rows", function=sort.group_rows, reference=reference.group_rows, cost="O(rows)",
        source="counting sort, Knuth TAOCP 3, section 5.2",
        example=lambda r, n: (
            (i := gids(r, n)), r.integers(0, 2**64, n, dtype=np.uint64), r.permutation(n), _starts(i),
            np.empty(n, np.uint64), np.empty(n, np.int64),
        ),
    ),
    KernelInfo(
        name="sort_groups", function=sort.sort_groups, reference=reference.sort_groups,
        cost="O(rows * differing bytes)", source="Knuth TAOCP 3, sections 5.2.1 and 5.2.5", example=_unsorted,
        scratch=(3, 4),
    ),
    KernelInfo(
        name="out_of_order", function=sort.out_of_order, reference=reference.out_of_order, cost="O(rows)",
        example=lambda r, n: (
            r.integers(0, 50, n).astype(np.uint64), gids(r, n), np.zeros(7, np.uint64), n // 4,
        ),
    ),
    KernelInfo(
        name="pack_rows", function=sort.pack_rows, reference=reference.pack_rows, cost="O(rows)",
        example=lambda r, n: (
            r.integers(7, 2**40, n).astype(np.uint64), np.uint64(7), 17,
        ),
    ),
    KernelInfo(
        name="sort_packed", function=sort.sort_packed, reference=reference.sort_packed,
        cost="O(rows * bits / 11)", source="Knuth TAOCP 3, section 5.2.5",
        example=lambda r, n: (
            r.integers(0, 2**64, n, dtype=np.uint64), np.zeros(n, np.uint64), 17, (n * 7) % 48,
        ),
    ),
    KernelInfo(
        name="group_packed", function=sort.group_packed, reference=reference.group_packed, cost="O(rows)",
        source="counting sort, Knuth TAOCP 3, section 5.2",
        example=lambda r, n: (
            r.permutation(n).astype(np.uint64) | np.uint64(5 << 20), 20, (i := gids(r, n)), _starts(i),
            np.empty(n, np.int64),
        ),
    ),
    KernelInfo(
        name="take_bytes", function=take.take_bytes, reference=reference.take_bytes, cost="O(bytes)",
        example=_taken,
    ),
)  # fmt: skip
