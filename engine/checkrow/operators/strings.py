"""A task's string table: every distinct text of a key column once, known by a small code.

Codes are private to a task; across tasks only strings travel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.strings import intern, rebuild_strings, remap
from checkrow_kernels.take import take_bytes, take_lengths

Array = NDArray[Any]
_NO_VALID = np.empty(0, np.uint8)


class StringTable:
    """Distinct strings in order of first appearance."""

    def __init__(self) -> None:
        self._capacity = 64
        self._arena = np.empty(1024, np.uint8)
        self._offsets = np.zeros(self._capacity + 1, np.int64)
        self._hashes = np.empty(self._capacity, np.uint64)
        self._slots = np.full(4 * self._capacity, -1, np.int32)
        self.count = 0

    def encode(self, offsets: Array, data: Array, valid: Array | None) -> Array:
        """Returns the code of every string, adding those not seen before; null has code -1.

        Parameters
        ----------
        offsets : ndarray, shape (rows + 1,), int64
        data : ndarray, uint8
        valid : ndarray, shape (rows,), uint8, or None
        """
        rows = len(offsets) - 1
        codes = np.empty(rows, np.int32)
        start = 0
        while True:
            start, self.count = intern(
                offsets, data, _NO_VALID if valid is None else valid, valid is not None, start, self._arena,
                self._offsets, self._hashes, self._slots, self.count, self._capacity, len(self._arena), codes,
            )  # fmt: skip
            if start >= rows:
                return codes
            self._grow(int(offsets[start + 1] - offsets[start]))

    def recode(self, codes: Array, offsets: Array, data: Array) -> Array:
        """Returns this table's codes for codes into another dictionary, given that dictionary's strings."""
        mapping = self.encode(offsets, data, None)
        out = np.empty(len(codes), np.int32)
        remap(codes, mapping, out)
        return out

    def spell(self, codes: Array) -> tuple[Array, Array]:
        """Returns (offsets, bytes) of the strings behind codes; null is empty."""
        rows = codes.astype(np.int64)
        known, _ = self.with_empty()
        rows[rows < 0] = self.count
        offsets = np.empty(len(rows) + 1, np.int64)
        data = np.empty(take_lengths(known, rows, offsets), np.uint8)
        take_bytes(known, self._arena, rows, offsets, data)
        return offsets, data

    def with_empty(self) -> tuple[Array, Array]:
        """Returns (offsets, bytes) of all strings in code order and, behind the last one, an empty string for nulls."""
        return np.append(self._offsets[: self.count + 1], self._offsets[self.count]), self._arena

    def strings(self) -> tuple[Array, Array]:
        """Returns (offsets, bytes) of all strings in code order."""
        return self._offsets[: self.count + 1], self._arena[: self._offsets[self.count]]

    def _grow(self, needed_bytes: int) -> None:
        if self.count >= self._capacity:
            self._capacity *= 4
            self._offsets = _grown(self._offsets, self._capacity + 1)
            self._hashes = _grown(self._hashes, self._capacity)
            self._slots = np.full(4 * self._capacity, -1, np.int32)
            rebuild_strings(self._hashes, self.count, self._slots)
        used = int(self._offsets[self.count])
        if used + needed_bytes > len(self._arena):
            self._arena = _grown(self._arena, 2 * (used + needed_bytes))


def _grown(array: Array, size: int) -> Array:
    out = np.zeros(size, array.dtype)
    out[: len(array)] = array
    return out
