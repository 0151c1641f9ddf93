"""Slow, plain references of the kernels: Python integers and NumPy, written to be read, not to be fast."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

Array = Any
_MASK = (1 << 64) - 1
_NULL = 0x9E3779B97F4A7C15
_EPOCH = dt.date(1970, 1, 1).toordinal()


def mix64(x: int) -> int:
    """Mixes 64 bits (the finaliser of MurmurHash3)."""
    x = int(x)
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & _MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & _MASK
    return x ^ x >> 33


def combine(h: int, word: int) -> int:
    """Returns the hash of a hash and one more word."""
    h = int(h)
    return mix64((h << 31 & _MASK | h >> 33) ^ mix64(word))


def hash_text(data: bytes) -> int:
    """Returns the hash of some bytes."""
    h = 0xCBF29CE484222325
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    for word in (*words, int.from_bytes(data[whole:], "little")):
        h = mix64((h ^ word) * 0x100000001B3 & _MASK)
    return mix64((h ^ len(data)) * 0x100000001B3 & _MASK)


def hash_int64(values: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes integers."""
    for i, v in enumerate(values.tolist()):
        word = _NULL if has_valid and not valid[i] else v & _MASK
        out[i] = mix64(word) if first else combine(int(out[i]), word)


def hash_strings(offsets: Array, data: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes texts."""
    for i in range(len(offsets) - 1):
        word = _NULL if has_valid and not valid[i] else hash_text(data[offsets[i] : offsets[i + 1]].tobytes())
        out[i] = mix64(word) if first else combine(int(out[i]), word)


def float_bits(x: float) -> int:
    """Returns the bits of a float, one zero and one NaN."""
    if x != x:
        return 0x7FF8000000000000
    return int(np.float64(x + 0.0).view(np.uint64))


def hash_bytes(data: Array, start: int, stop: int) -> int:
    """Hashes one text."""
    return hash_text(data[start:stop].tobytes())


def partition_of(hashes: Array, bits: int, out: Array) -> None:
    """Takes the top bits."""
    out[:] = [int(h) >> (64 - bits) for h in hashes]


def count_partitions(ids: Array, counts: Array) -> None:
    """Counts rows per partition."""
    counts += np.bincount(ids, minlength=len(counts))


def positions(ids: Array, cursor: Array, out: Array) -> None:
    """Ranks rows by partition."""
    out[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    cursor += np.bincount(ids, minlength=len(cursor))


def place(values: Array, at: Array, out: Array) -> None:
    """Scatters values."""
    out[at] = values


def place_pairs(words: Array, at: Array, out: Array) -> None:
    """Scatters two-word values."""
    out.reshape(-1, 2)[at] = words.reshape(-1, 2)


def place_lengths(offsets: Array, at: Array, out: Array) -> None:
    """Scatters text lengths."""
    out[at] = np.diff(offsets)


def place_bytes(offsets: Array, data: Array, at: Array, out_offsets: Array, out_data: Array) -> None:
    """Scatters texts."""
    for i, j in enumerate(at):
        out_data[out_offsets[j] : out_offsets[j + 1]] = data[offsets[i] : offsets[i + 1]]


def sortable_ints(values: Array, out: Array) -> None:
    """Shifts integers so that the smallest is 0."""
    out[:] = [int(v) + 2**63 for v in values]


def sortable_unsigned(values: Array, out: Array) -> None:
    """Copies."""
    out[:] = values


def sortable_floats(values: Array, out: Array) -> None:
    """Counts the floats below each one."""

    def word(x: float) -> int:
        if x != x:
            return 2**64 - 1
        bits = int(np.float64(abs(x)).view(np.uint64))
        return 2**63 + bits if x >= 0 else 2**63 - 1 - bits

    out[:] = [word(float(x)) for x in values]


def group_starts(gids: Array, starts: Array) -> None:
    """Counts rows of lower groups."""
    starts[1:] = np.cumsum(np.bincount(gids, minlength=len(starts) - 1))


def group_rows(gids: Array, words: Array, order: Array, cursor: Array, out_words: Array, out_rows: Array) -> None:
    """Sorts an order by group."""
    out_rows[:] = order[np.argsort(gids[order], kind="stable")]
    out_words[:] = words[out_rows]
    cursor += np.bincount(gids, minlength=len(cursor))


def sort_groups(words: Array, rows: Array, starts: Array, _spare_words: Array, _spare_rows: Array) -> None:
    """Sorts each group."""
    for first, last in itertools.pairwise(starts):
        order = first + np.argsort(words[first:last], kind="stable")
        words[first:last], rows[first:last] = words[order], rows[order]


def take(values: Array, rows: Array, out: Array) -> None:
    """Gathers values."""
    out[:] = values[rows]


def take_pairs(words: Array, rows: Array, out: Array) -> None:
    """Gathers two-word values."""
    out[:] = words.reshape(-1, 2)[rows].ravel()


def take_lengths(offsets: Array, rows: Array, out_offsets: Array) -> int:
    """Gathers text lengths."""
    out_offsets[0] = 0
    out_offsets[1:] = np.cumsum(np.diff(offsets)[rows])
    return int(out_offsets[-1])


def take_bytes(offsets: Array, data: Array, rows: Array, out_offsets: Array, out_data: Array) -> None:
    """Gathers texts."""
    for i, r in enumerate(rows):
        out_data[out_offsets[i] : out_offsets[i + 1]] = data[offsets[r] : offsets[r + 1]]


def count_rows(gids: Array, rows: int, counts: Array) -> None:
    """Counts rows."""
    counts += np.bincount(gids[:rows], minlength=len(counts))


def count_valid(gids: Array, valid: Array, counts: Array) -> None:
    """Counts what is not null."""
    for g, ok in zip(gids, valid, strict=True):
        counts[g] += bool(ok)


def add_int64(gids: Array, other: Array, states: Array) -> None:
    """Adds counts."""
    np.add.at(states, gids, other)


def sum_int(gids: Array, values: Array, valid: Array, has_valid: bool, low: Array, high: Array) -> None:
    """Adds the halves of integers."""
    for g, v, ok in zip(gids, values.tolist(), valid, strict=True):
        if ok or not has_valid:
            low[g] += v % 2**32
            high[g] += v // 2**32


def normalise_split(low: Array, high: Array, count: int) -> None:
    """Carries."""
    for g in range(count):
        high[g], low[g] = divmod(_split(low, high, g), 2**32)


def merge_split(gids: Array, other_low: Array, other_high: Array, low: Array, high: Array) -> None:
    """Adds halves."""
    np.add.at(low, gids, other_low)
    np.add.at(high, gids, other_high)


def split_fits_int64(high: Array, count: int) -> int:
    """Finds the first sum beyond 64 bits."""
    return next((g for g in range(count) if not -(2**63) <= int(high[g]) * 2**32 < 2**63), -1)


def split_to_int64(low: Array, high: Array, count: int, out: Array) -> None:
    """Joins halves."""
    out[:count] = [_split(low, high, g) for g in range(count)]


def split_to_pairs(low: Array, high: Array, count: int, out: Array) -> None:
    """Joins halves to two words."""
    for g in range(count):
        out[2 * g : 2 * g + 2] = words_of(_split(low, high, g), 2)


def sum_pairs(gids: Array, words: Array, valid: Array, has_valid: bool, w0: Array, w1: Array, w2: Array) -> None:
    """Adds two-word integers."""
    for i, g in enumerate(gids):
        if valid[i] or not has_valid:
            total = value_of(w0[g], w1[g], w2[g]) + value_of(*words[2 * i : 2 * i + 2])
            w0[g], w1[g], w2[g] = words_of(total, 3)


def merge_triple(gids: Array, o0: Array, o1: Array, o2: Array, w0: Array, w1: Array, w2: Array) -> None:
    """Adds three-word integers."""
    for i, g in enumerate(gids):
        total = value_of(w0[g], w1[g], w2[g]) + value_of(o0[i], o1[i], o2[i])
        w0[g], w1[g], w2[g] = words_of(total, 3)


def triple_to_pairs(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> int:
    """Drops the third word while it is a sign."""
    for g in range(count):
        total = value_of(w0[g], w1[g], w2[g])
        if not -(2**127) <= total < 2**127:
            return g
        out[2 * g : 2 * g + 2] = words_of(total, 2)
    return -1


def triple_to_float(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> None:
    """Rounds three-word integers once."""
    out[:count] = [float(value_of(w0[g], w1[g], w2[g])) for g in range(count)]


def sum_float(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Adds floats in row order."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] += v


def min_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the smallest."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = min(states[g], v)


def max_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the greatest."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = max(states[g], v)


def intern(
    offsets: Array, data: Array, valid: Array, has_valid: bool, start: int, arena: Array, arena_offsets: Array,
    hashes: Array, slots: Array, count: int, capacity: int, arena_capacity: int, out_codes: Array,
) -> tuple[int, int]:  # fmt: skip
    """Numbers texts by first appearance."""
    known = {arena[arena_offsets[c] : arena_offsets[c + 1]].tobytes(): c for c in range(count)}
    for i in range(start, len(offsets) - 1):
        text = data[offsets[i] : offsets[i + 1]]
        if has_valid and not valid[i]:
            out_codes[i] = -1
            continue
        if text.tobytes() not in known:
            if count >= capacity or arena_offsets[count] + len(text) > arena_capacity:
                return i, count
            known[text.tobytes()] = count
            arena_offsets[count + 1] = arena_offsets[count] + len(text)
            arena[arena_offsets[count] : arena_offsets[count + 1]] = text
            hashes[count] = hash_text(text.tobytes())
            _probe(slots, int(hashes[count]), count)
            count += 1
        out_codes[i] = known[text.tobytes()]
    return len(offsets) - 1, count


def rebuild_strings(hashes: Array, count: int, slots: Array) -> None:
    """Fills slots in code order."""
    for code in range(count):
        _probe(slots, int(hashes[code]), code)


def upsert_1(
    k0: Array, start: int, stop: int, slots: Array, t0: Array, count: int, capacity: int, gids: Array
) -> tuple[int, int]:
    """Numbers one-word keys by first appearance."""
    return upsert_n(k0[:, None], start, stop, slots, t0[:, None], count, capacity, gids)


def upsert_2(
    k0: Array, k1: Array, start: int, stop: int, slots: Array, t0: Array, t1: Array, count: int, capacity: int,
    gids: Array,
) -> tuple[int, int]:  # fmt: skip
    """Numbers two-word keys by first appearance."""
    table = np.stack([t0, t1], axis=1)
    done = upsert_n(np.stack([k0, k1], axis=1), start, stop, slots, table, count, capacity, gids)
    t0[:], t1[:] = table.T
    return done


def upsert_n(
    keys: Array, start: int, stop: int, slots: Array, table: Array, count: int, capacity: int, gids: Array
) -> tuple[int, int]:
    """Numbers keys by first appearance."""
    known = {tuple(table[g].tolist()): g for g in range(count)}
    for i in range(start, stop):
        key = tuple(keys[i].tolist())
        if key not in known:
            if count >= capacity:
                return i, count
            known[key] = count
            table[count] = key
            _probe(slots, hash_words(key), count)
            count += 1
        gids[i] = known[key]
    return stop, count


def rebuild_1(t0: Array, count: int, slots: Array) -> None:
    """Fills slots in group order."""
    rebuild_n(t0[:, None], count, slots)


def rebuild_2(t0: Array, t1: Array, count: int, slots: Array) -> None:
    """Fills slots in group order."""
    rebuild_n(np.stack([t0, t1], axis=1), count, slots)


def rebuild_n(table: Array, count: int, slots: Array) -> None:
    """Fills slots in group order."""
    for g in range(count):
        _probe(slots, hash_words(tuple(table[g].tolist())), g)


def hash_words(key: tuple[int, ...]) -> int:
    """Returns the hash of a key's words."""
    h = mix64(key[0] & _MASK)
    for word in key[1:]:
        h = combine(h, word & _MASK)
    return h


def remap(codes: Array, mapping: Array, out: Array) -> None:
    """Translates codes."""
    out[:] = [mapping[c] if c >= 0 else -1 for c in codes]


def unpack_bits(bitmap: Array, offset: int, rows: int, out: Array) -> None:
    """Reads a bitmap."""
    out[:] = np.unpackbits(bitmap, bitorder="little")[offset : offset + rows]


def pack_bits(mask: Array, rows: int, out: Array) -> None:
    """Writes a bitmap."""
    out[:] = np.packbits(mask[:rows] != 0, bitorder="little")


def low_words(words: Array, rows: int, out: Array) -> int:
    """Takes low words."""
    out[:] = words[::2]
    return int(
        all(int(h) == (-1 if int(v) < 0 else 0) for v, h in zip(words[::2], words[1::2], strict=True)) or not rows
    )


def widen(values: Array, out: Array) -> None:
    """Extends signs."""
    out[::2] = values
    out[1::2] = np.where(values < 0, -1, 0)


def minmax_int(values: Array, rows: int) -> tuple[int, int]:
    """Takes both ends."""
    return int(values[:rows].min()), int(values[:rows].max())


def truncate_month_days(values: Array, out: Array) -> None:
    """Takes the first of the month."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(day=1)) for v in values]


def truncate_year_days(values: Array, out: Array) -> None:
    """Takes the first of January."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(month=1, day=1)) for v in values]


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Reads the calendar."""
    date = dt.date.fromordinal(days + _EPOCH)
    return date.year, date.month, date.day


def days_from_civil(year: int, month: int, day_of_month: int) -> int:
    """Counts days."""
    return _days(dt.date(year, month, day_of_month))


def weekday(days: int) -> int:
    """Asks the calendar."""
    return dt.date.fromordinal(days + _EPOCH).weekday()


def _start(time: int, per_second: int, first: Callable[[dt.date], dt.date]) -> int:
    """Returns the start of a period as a time, given which of its dates is the first."""
    date = dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=_EPOCH - 1, seconds=time // per_second)
    return _days(first(date.date())) * 86_400 * per_second


def day_of(time: int, per_second: int) -> int:
    """Counts whole days."""
    return _start(time, per_second, lambda d: d) // (86_400 * per_second)


def floor_day(time: int, per_second: int) -> int:
    """Keeps the date."""
    return _start(time, per_second, lambda d: d)


def floor_week(time: int, per_second: int) -> int:
    """Goes back to Monday."""
    return _start(time, per_second, lambda d: d - dt.timedelta(d.weekday()))


def floor_month(time: int, per_second: int) -> int:
    """Replaces the day."""
    return _start(time, per_second, lambda d: d.replace(day=1))


def floor_quarter(time: int, per_second: int) -> int:
    """Replaces day and month."""
    return _start(time, per_second, lambda d: d.replace(month=(1, 4, 7, 10)[(d.month - 1) // 3], day=1))


def floor_year(time: int, per_second: int) -> int:
    """Replaces day and month by the first."""
    return _start(time, per_second, lambda d: d.replace(month=1, day=1))


def add_moments(
    gids: Array, values: Array, valid: Array, has_valid: bool, n: Array, mean: Array, square: Array
) -> None:
    """Collects the values of every group beside what its moments stand for, exactly."""
    for g in range(len(n)):
        some = [Fraction(v) for v in values[(gids == g) & ((valid != 0) if has_valid else True)].tolist()]
        merged = _moments(some)
        n[g], mean[g], square[g] = _joined((Fraction(n[g]), Fraction(mean[g]), Fraction(square[g])), merged)


def merge_moments(
    gids: Array, o_n: Array, o_mean: Array, o_square: Array, n: Array, mean: Array, square: Array
) -> None:
    """Merges moments exactly."""
    for i, g in enumerate(gids.tolist()):
        mine = Fraction(n[g]), Fraction(mean[g]), Fraction(square[g])
        n[g], mean[g], square[g] = _joined(mine, (Fraction(o_n[i]), Fraction(o_mean[i]), Fraction(o_square[i])))


def _moments(values: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    if not values:
        return Fraction(0), Fraction(0), Fraction(0)
    mean = sum(values, Fraction(0)) / len(values)
    return Fraction(len(values)), mean, sum(((v - mean) ** 2 for v in values), Fraction(0))


def _joined(a: tuple[Fraction, ...], b: tuple[Fraction, ...]) -> tuple[float, float, float]:
    if not a[0] or not b[0]:
        some = a if a[0] else b
        return float(some[0]), float(some[1]), float(some[2])
    total = a[0] + b[0]
    mean = (a[0] * a[1] + b[0] * b[1]) / total
    square = a[2] + b[2] + a[0] * (a[1] - mean) ** 2 + b[0] * (b[1] - mean) ** 2
    return float(total), float(mean), float(square)


def choose_rows(gids: Array, words: Array, latest: bool, chosen: Array) -> None:
    """Chooses rows by comparing tuples."""
    for i, g in enumerate(gids.tolist()):
        mine, best = tuple(words[i]), tuple(words[chosen[g]]) if chosen[g] >= 0 else None
        if best is None or mine < best or (mine == best and latest):
            chosen[g] = i


def registers(hashes: Array, out: Array) -> None:
    """Takes the first 12 of 64 bits."""
    out[:] = [int(f"{h:064b}"[:12], 2) for h in hashes.tolist()]


def ranks(hashes: Array, out: Array) -> None:
    """Finds the first 1 after the first 12 of 64 bits."""
    out[:] = [(f"{h:064b}1")[12:].index("1") + 1 for h in hashes.tolist()]


def coarse_values(values: Array, out: Array) -> None:
    """Rounds mantissas to 12 bits; halves away from zero, and never up to infinity."""
    for i, v in enumerate(values.tolist()):
        part, exponent = math.frexp(v)
        if not math.isfinite(v):
            out[i] = v
            continue
        whole = math.floor(abs(part) * 4096 + 0.5)
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


def words_of(value: int, count: int) -> list[int]:
    """Returns an integer as signed 64-bit words, the lowest first, wrapped to that many words."""
    words = [value >> 64 * j & _MASK for j in range(count)]
    return [w - 2**64 if w >> 63 else w for w in words]


def value_of(*words: int) -> int:
    """Returns the integer that signed 64-bit words stand for, the lowest first."""
    lower = sum((int(w) & _MASK) << 64 * j for j, w in enumerate(words[:-1]))
    return lower + (int(words[-1]) << 64 * (len(words) - 1))


def _split(low: Array, high: Array, g: int) -> int:
    return int(high[g]) * 2**32 + int(low[g])


def _probe(slots: Array, h: int, number: int) -> None:
    slot = h % len(slots)
    while slots[slot] >= 0:
        slot = (slot + 1) % len(slots)
    slots[slot] = number


def _days(date: dt.date) -> int:
    return date.toordinal() - _EPOCH
