"""The table of kernels: each with its slow reference, its cost and where it comes from.

Tests run every entry against its reference; a new kernel is tested by being listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from checkrow_kernels import (
    aggregate,
    bits,
    bounds,
    calendar,
    group,
    hashing,
    reference,
    scatter,
    sketch,
    sort,
    strings,
    take,
)
from checkrow_kernels.text_reference import TEXT_KERNELS

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelInfo:
    """A kernel, its reference with the same arguments, example arguments, complexity and source.

    Both functions work on their own copy of the arguments; what they write and return must be equal, floats within
    `tolerance` (relative), except in the arguments numbered in `scratch`, whose content is lost.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    example: Callable[[np.random.Generator, int], Arguments]
    cost: str
    source: str = "elementary"
    tolerance: float = 0.0
    scratch: tuple[int, ...] = ()


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


def _word(rng: np.random.Generator) -> Any:
    return rng.integers(0, 2**64, dtype=np.uint64)


def _halves(rng: np.random.Generator, groups: int = 7) -> tuple[Any, Any]:
    return rng.integers(0, 2**32, groups), rng.integers(-(2**31), 2**31, groups)


def _taken(rng: np.random.Generator, rows: int) -> Arguments:
    offsets, data = _texts(rng, rows + 1)
    chosen = rng.integers(0, rows + 1, rows)
    out_offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(np.diff(offsets)[chosen], out=out_offsets[1:])
    return offsets, data, chosen, out_offsets, np.zeros(out_offsets[-1], np.uint8)


def _starts(ids: Any) -> Any:
    counts = np.bincount(ids, minlength=7)
    return np.cumsum(counts) - counts


def _placed(rng: np.random.Generator, rows: int) -> Arguments:
    offsets, data = _texts(rng, rows)
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


def _slots(rows: int) -> Any:
    return np.full(1 << (2 * rows + 4).bit_length(), -1, np.int32)


def _keys(rng: np.random.Generator, rows: int) -> Any:
    # Few keys, some of them extreme, in an order that meets each again.
    few = np.concatenate([rng.integers(-3, 3, 20), rng.integers(-(2**63), 2**63 - 1, 20)])
    return few[rng.integers(0, len(few), rows)]


def _distinct(rng: np.random.Generator, rows: int) -> Any:
    return rng.permutation(rows + 2)[:rows] * 2**33 - 2**40


def _interned(rng: np.random.Generator, rows: int) -> Arguments:
    texts = (*_texts(rng, rows), _valid(rng, rows), True)
    table = (np.zeros(24 * rows, np.uint8), np.zeros(rows + 1, np.int64), np.zeros(rows, np.uint64), _slots(rows))
    return *texts, 0, *table, 0, rows, 24 * rows, np.zeros(rows, np.int32)


def _moments(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    n = rng.integers(0, 3, 7).astype(np.float64)
    return n, rng.normal(5, 2, 7) * (n > 0), rng.random(7) * (n > 0)


def _time(rng: np.random.Generator, _: int) -> Arguments:
    """A time between the years 1 and 9999, and how many of its units make a second."""
    per_second = int(10 ** rng.choice([0, 3, 6]))
    return int(rng.integers(-719_162 * 86_400, 2_932_896 * 86_400)) * per_second + int(
        rng.integers(per_second)
    ), per_second


def _floats(rng: np.random.Generator, rows: int) -> Any:
    """Floats of every size, the extremes, and numbers that round to the next power of two."""
    edges = [0.0, -0.0, 5.0, 4095.5, -1.7976931348623157e308, 5e-324, 2.2e-308, np.inf, -np.inf, np.nan]
    return np.concatenate([rng.normal(size=rows) * 10.0 ** rng.integers(-300, 300, rows), edges])[:rows]


_HLL = "P. Flajolet et al., HyperLogLog, 2007"
_CALENDAR = "H. Hinnant, chrono-compatible low-level date algorithms"
_PROBING = "linear probing; group prefetching, Chen et al., ICDE 2004"


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
        cost="O(rows)", source=_CALENDAR,
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="truncate_year_days", function=calendar.truncate_year_days, reference=reference.truncate_year_days,
        cost="O(rows)", source=_CALENDAR,
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="mix64", function=hashing.mix64, reference=reference.mix64, cost="O(1)",
        source="MurmurHash3 finaliser, A. Appleby",
        example=lambda r, _: (_word(r),),
    ),
    KernelInfo(
        name="combine", function=hashing.combine, reference=reference.combine, cost="O(1)",
        example=lambda r, _: (_word(r), _word(r)),
    ),
    KernelInfo(
        name="float_bits", function=hashing.float_bits, reference=reference.float_bits, cost="O(1)",
        example=lambda r, n: (r.choice([0.0, -0.0, np.nan, -np.inf, 1.5, -n]),),
    ),
    KernelInfo(
        name="hash_bytes", function=hashing.hash_bytes, reference=reference.hash_bytes, cost="O(bytes)",
        source="FNV-1a over 8-byte words with the MurmurHash3 finaliser",
        example=lambda r, n: (r.integers(0, 256, n + 3).astype(np.uint8), 2, n + 3),
    ),
    KernelInfo(
        name="positions", function=scatter.positions, reference=reference.positions, cost="O(rows)",
        source="Polychroniou & Ross, SIGMOD 2014, section 4",
        example=lambda r, n: ((i := _gids(r, n)), _starts(i), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place", function=scatter.place, reference=reference.place, cost="O(rows)",
        example=lambda r, n: (_ints(r, n), r.permutation(n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place_pairs", function=scatter.place_pairs, reference=reference.place_pairs, cost="O(rows)",
        example=lambda r, n: (_ints(r, 2 * n), r.permutation(n), np.empty(2 * n, np.int64)),
    ),
    KernelInfo(
        name="place_lengths", function=scatter.place_lengths, reference=reference.place_lengths, cost="O(rows)",
        example=lambda r, n: (_texts(r, n)[0], r.permutation(n), np.empty(n, np.int64)),
    ),
    KernelInfo(
        name="place_bytes", function=scatter.place_bytes, reference=reference.place_bytes, cost="O(bytes)",
        example=_placed,
    ),
    KernelInfo(
        name="sortable_ints", function=sort.sortable_ints, reference=reference.sortable_ints, cost="O(rows)",
        example=lambda r, n: (_ints(r, n), np.empty(n, np.uint64)),
    ),
    KernelInfo(
        name="sortable_unsigned", function=sort.sortable_unsigned, reference=reference.sortable_unsigned,
        cost="O(rows)",
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
        example=lambda r, n: (_gids(r, n), np.zeros(8, np.int64)),
    ),
    KernelInfo(
        name="group_rows", function=sort.group_rows, reference=reference.group_rows, cost="O(rows)",
        source="counting sort, Knuth TAOCP 3, section 5.2",
        example=lambda r, n: (
            (i := _gids(r, n)), r.integers(0, 2**64, n, dtype=np.uint64), r.permutation(n), _starts(i),
            np.empty(n, np.uint64), np.empty(n, np.int64),
        ),
    ),
    KernelInfo(
        name="sort_groups", function=sort.sort_groups, reference=reference.sort_groups,
        cost="O(rows * differing bytes)", source="Knuth TAOCP 3, sections 5.2.1 and 5.2.5", example=_unsorted,
        scratch=(3, 4),
    ),
    KernelInfo(
        name="take_bytes", function=take.take_bytes, reference=reference.take_bytes, cost="O(bytes)",
        example=_taken,
    ),
    KernelInfo(
        name="upsert_1", function=group.upsert_1, reference=reference.upsert_1, cost="O(rows)",
        source=_PROBING,
        example=lambda r, n: (_keys(r, n), 0, n, _slots(n), np.zeros(n + 1, np.int64), 0, n + 1, np.zeros(n, np.int32)),
    ),
    KernelInfo(
        name="upsert_2", function=group.upsert_2, reference=reference.upsert_2, cost="O(rows)",
        source=_PROBING,
        example=lambda r, n: (
            _keys(r, n), _keys(r, n), 0, n, _slots(n), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), 0, n + 1,
            np.zeros(n, np.int32),
        ),
    ),
    KernelInfo(
        name="upsert_n", function=group.upsert_n, reference=reference.upsert_n, cost="O(rows * words)",
        source=_PROBING,
        example=lambda r, n: (
            _keys(r, 3 * n).reshape(n, 3), 0, n, _slots(n), np.zeros((n + 1, 3), np.int64), 0, n + 1,
            np.zeros(n, np.int32),
        ),
    ),
    KernelInfo(
        name="rebuild_1", function=group.rebuild_1, reference=reference.rebuild_1, cost="O(groups)",
        source=_PROBING,
        example=lambda r, n: (_distinct(r, n), n, _slots(n)),
    ),
    KernelInfo(
        name="rebuild_2", function=group.rebuild_2, reference=reference.rebuild_2, cost="O(groups)",
        source=_PROBING,
        example=lambda r, n: (_distinct(r, n), _ints(r, n), n, _slots(n)),
    ),
    KernelInfo(
        name="rebuild_n", function=group.rebuild_n, reference=reference.rebuild_n, cost="O(groups * words)",
        source=_PROBING,
        example=lambda r, n: (_ints(r, 3 * n).reshape(n, 3), n, _slots(n)),
    ),
    KernelInfo(
        name="count_rows", function=aggregate.count_rows, reference=reference.count_rows, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), n, *_zeros("i8")),
    ),
    KernelInfo(
        name="sum_int", function=aggregate.sum_int, reference=reference.sum_int, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), _ints(r, n), _valid(r, n), True, *_zeros("i8", "i8")),
    ),
    KernelInfo(
        name="normalise_split", function=aggregate.normalise_split, reference=reference.normalise_split,
        cost="O(groups)",
        example=lambda r, _: (r.integers(0, 2**62, 7), r.integers(-(2**50), 2**50, 7), 7),
    ),
    KernelInfo(
        name="merge_split", function=aggregate.merge_split, reference=reference.merge_split, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), *_halves(r, n), *_zeros("i8", "i8")),
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
        example=lambda r, n: (_gids(r, n), _ints(r, 2 * n), _valid(r, n), True, *_zeros("i8", "i8", "i8")),
    ),
    KernelInfo(
        name="merge_triple", function=aggregate.merge_triple, reference=reference.merge_triple, cost="O(rows)",
        example=lambda r, n: (_gids(r, n), _ints(r, n), _ints(r, n), r.integers(-9, 9, n), *_zeros("i8", "i8", "i8")),
    ),
    KernelInfo(
        name="triple_to_pairs", function=aggregate.triple_to_pairs, reference=reference.triple_to_pairs,
        cost="O(groups)",
        example=lambda r, n: (
            _ints(r, 7), (high := _ints(r, 7)), (high >> 63) + (np.arange(7) == n), 7, np.zeros(14, np.int64),
        ),
    ),
    KernelInfo(
        name="triple_to_float", function=aggregate.triple_to_float, reference=reference.triple_to_float,
        cost="O(groups)",
        tolerance=1e-15,
        example=lambda r, n: (
            _ints(r, 7), *(-r.integers(0, 2, 7) if n else _ints(r, 7) for _ in range(2)), 7, np.empty(7),
        ),
    ),
    KernelInfo(
        name="add_moments", function=aggregate.add_moments, reference=reference.add_moments, cost="O(rows)",
        source="Welford, 1962", tolerance=1e-12,
        example=lambda r, n: (_gids(r, n), r.normal(5, 2, n), _valid(r, n), True, *_moments(r)),
    ),
    KernelInfo(
        name="merge_moments", function=aggregate.merge_moments, reference=reference.merge_moments, cost="O(rows)",
        source="Chan, Golub, LeVeque, 1979", tolerance=1e-12,
        example=lambda r, n: (
            _gids(r, n), r.integers(0, 3, n).astype(np.float64), r.normal(5, 2, n), r.random(n), *_moments(r),
        ),
    ),
    KernelInfo(
        name="choose_rows", function=group.choose_rows, reference=reference.choose_rows, cost="O(rows)",
        example=lambda r, n: (
            _gids(r, n), r.integers(0, 3, (n, 2)).astype(np.uint64), bool(n % 2), np.full(7, -1, np.int64),
        ),
    ),
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
        example=lambda r, n: (_floats(r, n), np.empty(n)),
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
    KernelInfo(
        name="intern", function=strings.intern, reference=reference.intern, cost="O(bytes)",
        example=_interned,
    ),
    KernelInfo(
        name="rebuild_strings", function=strings.rebuild_strings, reference=reference.rebuild_strings, cost="O(texts)",
        example=lambda r, n: (r.integers(0, 2**64, n, dtype=np.uint64), n, _slots(n)),
    ),
    KernelInfo(
        name="civil_from_days", function=calendar.civil_from_days, reference=reference.civil_from_days, cost="O(1)",
        source=_CALENDAR,
        example=lambda r, _: (int(r.integers(-719_162, 2_932_896)),),
    ),
    KernelInfo(
        name="days_from_civil", function=calendar.days_from_civil, reference=reference.days_from_civil, cost="O(1)",
        source=_CALENDAR,
        example=lambda r, _: tuple(int(v) for v in (r.integers(1, 9999), r.integers(1, 12), r.integers(1, 28))),
    ),
    KernelInfo(
        name="weekday", function=calendar.weekday, reference=reference.weekday, cost="O(1)", source=_CALENDAR,
        example=lambda r, _: (int(r.integers(-719_162, 2_932_896)),),
    ),
    KernelInfo(
        name="day_of", function=calendar.day_of, reference=reference.day_of, cost="O(1)", example=_time,
    ),
    *(
        KernelInfo(
            name=f"floor_{unit}", function=getattr(calendar, f"floor_{unit}"),
            reference=getattr(reference, f"floor_{unit}"), cost="O(1)", source=_CALENDAR, example=_time,
        )
        for unit in ("day", "week", "month", "quarter", "year")
    ),
    *(KernelInfo(**row) for row in TEXT_KERNELS),
)  # fmt: skip
