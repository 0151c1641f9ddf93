"""Group and string tables at scale and under attack, bytes in words, and sums whose sign a careless float would lose."""

from __future__ import annotations

import numpy as np
import pytest

from checkrow_kernels import (
    aggregate,
    calendar,
    group,
    hashing,
    reference_aggregate,
    reference_calendar,
    reference_hashing,
    words,
)
from checkrow_kernels.jit import kernel

load_rest, same_bytes = words.load_rest, words.same_bytes


@kernel
def copy(source, start, target, at, length):
    words.copy_bytes(source, start, target, at, length)


def grown(keys: np.ndarray, batch: int = 131_072) -> tuple[np.ndarray, np.ndarray]:
    """Runs all keys through one table as the engine does; returns group numbers and keys by group."""
    capacity, count = 16, 0
    slots, table = np.full(4 * capacity, -1, np.int32), np.empty(capacity, np.int64)
    gids = np.empty(len(keys), np.int32)
    for first in range(0, len(keys), batch):
        part, out = keys[first : first + batch], gids[first : first + batch]
        start, count = group.upsert_1(part, 0, len(part), slots, table, count, capacity, out)
        while start < len(part):
            assert count == capacity, "it stops only when full"
            capacity *= 4
            table = np.concatenate([table, np.empty(capacity - len(table), np.int64)])
            slots = np.full(4 * capacity, -1, np.int32)
            group.rebuild_1(table, count, slots)
            start, count = group.upsert_1(part, start, len(part), slots, table, count, capacity, out)
    return gids, table[:count]


def test_a_million_distinct_keys_are_a_million_groups_in_order() -> None:
    keys = np.random.default_rng(3).permutation(1_000_000) * 4_096 - 2**40
    gids, table = grown(keys)
    np.testing.assert_array_equal(gids, np.arange(len(keys)))
    np.testing.assert_array_equal(table, keys)


def test_one_key_many_times_is_one_group() -> None:
    gids, table = grown(np.full(400_000, -7))
    assert gids.max() == 0
    assert table.tolist() == [-7]


def test_keys_that_all_hash_to_one_slot_stay_apart() -> None:
    slots = 1 << 10
    candidates = np.arange(400_000)
    hashes = np.empty(len(candidates), np.uint64)
    hashing.hash_int64(candidates, np.empty(0, np.uint8), False, hashes, True)
    same = candidates[hashes % np.uint64(slots) == 5][:256]
    assert len(same) == 256
    keys = np.tile(same, 3)
    gids, table = np.empty(len(keys), np.int32), np.empty(slots // 2, np.int64)
    done = group.upsert_1(keys, 0, len(keys), np.full(slots, -1, np.int32), table, 0, slots // 2, gids)
    assert done == (len(keys), 256)
    np.testing.assert_array_equal(table[gids], keys)


@pytest.mark.parametrize("room", [0, 1, 255, 256, 257])
def test_a_full_table_still_knows_its_keys(room) -> None:
    # The stop may fall anywhere in a block; every row before it has its group, whatever was guessed for the rest.
    keys = np.repeat(np.arange(300), 3)
    gids, table = np.empty(len(keys), np.int32), np.empty(max(room, 1), np.int64)
    start, count = group.upsert_1(keys, 0, len(keys), np.full(1_024, -1, np.int32), table, 0, room, gids)
    assert (start, count) == (3 * room, room)
    np.testing.assert_array_equal(gids[:start], keys[:start])


@pytest.mark.parametrize("length", [*range(26), 64, 65])
def test_bytes_in_words_touch_their_stretch_only(length) -> None:
    rng = np.random.default_rng(length)
    source = rng.integers(0, 256, length + 9).astype(np.uint8)
    target = np.full(length + 12, 77, np.uint8)
    copy(source, 4, target, 5, length)
    np.testing.assert_array_equal(target[5 : 5 + length], source[4 : 4 + length])
    assert (target[:5] == 77).all()
    assert (target[5 + length :] == 77).all()
    assert same_bytes(source, 4, target, 5, length)
    for place in range(length):
        target[5 + place] ^= 1
        assert not same_bytes(source, 4, target, 5, length)
        target[5 + place] ^= 1
    if length < 8:
        assert int(load_rest(source, 4, length)) == int.from_bytes(source[4 : 4 + length].tobytes(), "little")


@pytest.mark.parametrize("total", [0, 5, -5, 2**63, -(2**63), 2**64, -(2**64) - 1, -(2**100), 2**127 - 1])
def test_a_wide_sum_keeps_its_sign_and_size_as_a_float(total) -> None:
    w0, w1, w2 = (np.array([w], np.int64) for w in reference_aggregate.words_of(total, 3))
    out = np.empty(1)
    aggregate.triple_to_float(w0, w1, w2, 1, out)
    assert out[0] == pytest.approx(float(total), rel=1e-15)


def test_the_hash_of_null_is_that_of_no_small_number() -> None:
    values = np.arange(-50_000, 50_000)
    hashes, null = np.empty(len(values), np.uint64), np.empty(1, np.uint64)
    hashing.hash_int64(values, np.empty(0, np.uint8), False, hashes, True)
    hashing.hash_int64(np.zeros(1, np.int64), np.zeros(1, np.uint8), True, null, True)
    assert len(np.unique(hashes)) == len(values)
    assert null[0] not in hashes


def test_hashes_are_the_same_for_ever() -> None:
    # Published vectors of MurmurHash3's finaliser; text against the definition in Python integers.
    assert int(hashing.mix64(np.uint64(1))) == 0xB456BCFC34C2CB2C
    assert int(hashing.mix64(np.uint64(0))) == 0
    text = np.frombuffer(b"partition me, please", np.uint8)
    assert int(hashing.hash_bytes(text, 0, len(text))) == reference_hashing.hash_text(text.tobytes())


@pytest.mark.parametrize("year", [-32_767, -400, -1, 0, 1, 1900, 2000, 9999, 32_767])
def test_calendar_goes_beyond_pythons_years(year) -> None:
    # 400 years repeat: the same date 400 years on, inside Python's range, is 146,097 days later.
    cycles = (2000 - year) // 400
    for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
        days = reference_calendar.days_from_civil(year + 400 * cycles, month, day) - 146_097 * cycles
        assert calendar.days_from_civil(year, month, day) == days
        assert tuple(calendar.civil_from_days(np.int32(days))) == (year, month, day)
