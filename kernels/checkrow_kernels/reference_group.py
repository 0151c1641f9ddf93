"""Slow references of the hash tables of keys and texts: Python's own dict."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels.reference_hashing import hash_text, hash_words

Array = Any


def pack_values(values: Array, valid: Array, has_valid: bool, base: int, shift: int, out: Array) -> None:
    """Computes in Python's integers, modulo 2**64."""
    for i, value in enumerate(values.tolist()):
        if valid[i] or not has_valid:
            out[i] = int(out[i]) | ((value - int(base)) % 2**64 << int(shift)) % 2**64


def pack_nulls(valid: Array, shift: int, out: Array) -> None:
    """Sets the bit of every null."""
    out[:] = [int(word) | (0 if there else 1 << int(shift)) for word, there in zip(out, valid, strict=True)]


def remap(codes: Array, mapping: Array, out: Array) -> None:
    """Translates codes."""
    out[:] = [mapping[c] if c >= 0 else -1 for c in codes]


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


def choose_rows(gids: Array, words: Array, latest: bool, chosen: Array) -> None:
    """Chooses rows by comparing tuples."""
    for i, g in enumerate(gids.tolist()):
        mine, best = tuple(words[i]), tuple(words[chosen[g]]) if chosen[g] >= 0 else None
        if best is None or mine < best or (mine == best and latest):
            chosen[g] = i


def _probe(slots: Array, h: int, number: int) -> None:
    slot = h % len(slots)
    while slots[slot] >= 0:
        slot = (slot + 1) % len(slots)
    slots[slot] = number
