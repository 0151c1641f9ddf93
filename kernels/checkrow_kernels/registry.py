"""The table of kernels: each with its slow reference, its cost and where it comes from.

Tests run every entry against its reference; a new kernel is tested by being listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from checkrow_kernels import aggregate, bits, bounds, calendar, hashing, reference, scatter, strings, take

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelInfo:
    """A kernel, its reference with the same arguments, example arguments, complexity and source.

    Both functions work on their own copy of the arguments; what they write and return must be equal.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    example: Callable[[np.random.Generator, int], Arguments]
    cost: str
    source: str = "elementary"


def _ints(rng: np.random.Generator, rows: int) -> Any:
    return rng.integers(-(2**62), 2**62, rows)


def _gids(rng: np.random.Generator, rows: int, groups: int = 7) -> Any:
    return rng.integers(0, groups, rows).astype(np.int32)


def _valid(rng: np.random.Generator, rows: int) -> Any:
    return (rng.random(rows) < 0.8).astype(np.uint8)


def _texts(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    lengths = rng.integers(0, 20, rows)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets, rng.integers(97, 100, int(offsets[-1])).astype(np.uint8)


def _zeros(*dtypes: str, groups: int = 7) -> tuple[Any, ...]:
    return tuple(np.zeros(groups, d) for d in dtypes)


KERNELS: tuple[KernelInfo, ...] = (
    KernelInfo(
        name="hash_int64", function=hashing.hash_int64, reference=reference.hash_int64, cost="O(rows)",
        source="MurmurHash3 finaliser, A. Appleby",
        example=lambda r, n: (_ints(r, n), _valid(r, n), True, np.arange(n, dtype=np.uint64), False),
    ),
    KernelInfo(
        name="hash_strings", function=hashing.hash_strings, reference=reference.hash_strings, cost="O(bytes)",
        source="FNV-1a over 8-byte words with the MurmurHash3 finaliser",
        example=lambda r, n: (*_texts(r, n), _valid(r, n), True, np.zeros(n, np.uint64), True),
    ),
    KernelInfo(
        name="partition_of", function=scatter.partition_of, reference=reference.partition_of, cost="O(rows)",
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), 9, np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="count_partitions", function=scatter.count_partitions, reference=reference.count_partitions,
        cost="O(rows)",
        example=lambda r, n: (_gids(r, n, 300), np.zeros(300, np.int64)),
    ),
    KernelInfo(
        name="take", function=take.take, reference=reference.take, cost="O(rows)",
        example=lambda r, n: (_ints(r, n + 1), r.integers(0, n + 1, n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="take_pairs", function=take.take_pairs, reference=reference.take_pairs, cost="O(rows)",
        example=lambda r, n: (_ints(r, 2 * n + 2), r.integers(0, n + 1, n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="take_lengths", function=take.take_lengths, reference=reference.take_lengths, cost="O(rows)",
        example=lambda r, n: (_texts(r, n + 1)[0], r.integers(0, n + 1, n), np.empty(n + 1, np.int64)),
    ),
    KernelInfo(
        name="count_valid", function=aggregate.count_valid, reference=reference.count_valid, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), _valid(r, n), *_zeros("i8")),
    ),
    KernelInfo(
        name="add_int64", function=aggregate.add_int64, reference=reference.add_int64, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), r.integers(0, 1000, n), *_zeros("i8")),
    ),
    KernelInfo(
        name="sum_float", function=aggregate.sum_float, reference=reference.sum_float, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), r.normal(size=n), _valid(r, n), True, *_zeros("f8")),
    ),
    KernelInfo(
        name="min_state", function=aggregate.min_state, reference=reference.min_state, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), _ints(r, n), _valid(r, n), True, np.full(7, 2**63 - 1)),
    ),
    KernelInfo(
        name="max_state", function=aggregate.max_state, reference=reference.max_state, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), _ints(r, n), _valid(r, n), True, np.full(7, -(2**63))),
    ),
    KernelInfo(
        name="remap", function=strings.remap, reference=reference.remap, cost="O(rows)",
        example=lambda r, n: (
            r.integers(-1, 5, n).astype(np.int32), np.arange(10, 15, dtype=np.int32), np.empty(n, np.int32),
        ),
    ),
    KernelInfo(
        name="unpack_bits", function=bits.unpack_bits, reference=reference.unpack_bits, cost="O(rows)",
        example=lambda r, n: (r.integers(0, 256, n // 8 + 2).astype(np.uint8), 5, n, np.empty(n, np.uint8)),
    ),
    KernelInfo(
        name="pack_bits", function=bits.pack_bits, reference=reference.pack_bits, cost="O(rows)",
        example=lambda r, n: (_valid(r, n), n, np.zeros((n + 7) // 8, np.uint8)),
    ),
    KernelInfo(
        name="low_words", function=bits.low_words, reference=reference.low_words, cost="O(rows)",
        example=lambda r, n: (r.integers(-5, 5, 2 * n), n, np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="widen", function=bits.widen, reference=reference.widen, cost="O(rows)",
        example=lambda r, n: (_ints(r, n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="minmax_int", function=bounds.minmax_int, reference=reference.minmax_int, cost="O(rows)",
        example=lambda r, n: (_ints(r, n + 1), n + 1),
    ),
    KernelInfo(
        name="truncate_month_days", function=calendar.truncate_month_days, reference=reference.truncate_month_days,
        cost="O(rows)", source="H. Hinnant, chrono-compatible low-level date algorithms",
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="truncate_year_days", function=calendar.truncate_year_days, reference=reference.truncate_year_days,
        cost="O(rows)", source="H. Hinnant, chrono-compatible low-level date algorithms",
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
)  # fmt: skip
