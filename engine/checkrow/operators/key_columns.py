"""Key columns of a partition as words of a group table, and back: text through tables of the partition's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.expressions import types
from checkrow.expressions.nodes import Node
from checkrow.operators.column import Column, Columns
from checkrow.operators.keys import Key, KeyLayout, key_bits, key_values, layout, observed, unpack
from checkrow.operators.strings import StringTable

Array = NDArray[Any]
Encoded = tuple[tuple[Array, ...], tuple[Array | None, ...]]


class KeyColumns:
    """Encodes the keys of one partition.

    Parameters
    ----------
    keys : tuple of (name, typed node)
        What the partition's columns are called and of which type they are.
    """

    def __init__(self, keys: tuple[tuple[str, Node], ...]) -> None:
        self._keys = keys
        self._tables = {n: StringTable() for n, (_, k) in enumerate(keys) if types.is_text(k.dtype)}

    def encode(self, rows: Columns) -> Encoded:
        """Returns (bit patterns, validity) of every key."""
        bits, valid = [], []
        for number, (name, _) in enumerate(self._keys):
            column = rows[name]
            if number in self._tables and column.offsets is not None:
                codes = self._tables[number].encode(column.offsets, column.values, column.valid)
                column = Column(column.dtype, codes, column.valid)
            bits.append(key_bits(column.dtype, column.values))
            valid.append(column.valid)
        return tuple(bits), tuple(valid)

    def layout(self, encoded: Sequence[Encoded]) -> KeyLayout:
        """Returns the layout that holds everything that was encoded."""
        keys = tuple(Key(k.dtype, k.nullable) for _, k in self._keys)
        ranges = []
        for number in range(len(keys)):
            seen = [observed(bits[number], valid[number]) for bits, valid in encoded]
            known = [s for s in seen if s is not None]
            ranges.append((min(s[0] for s in known), max(s[1] for s in known)) if known else (0, 0))
        return layout(keys, tuple(ranges))

    def columns(self, plan: KeyLayout, words: tuple[Array, ...]) -> tuple[Column, ...]:
        """Returns the key columns of groups given as words, text spelled out."""
        if not self._keys:
            return ()
        bits, valid = unpack(plan, words)
        out = []
        for number, (_, node) in enumerate(self._keys):
            values = key_values(node.dtype, bits[number])
            ok = valid[number]
            if number in self._tables and ok is not None:
                values = np.where(ok != 0, values, np.int32(-1))
            out.append(Column(node.dtype, values, some(ok), table=self._tables.get(number)).spelled())
        return tuple(out)


def some(valid: Array | None) -> Array | None:
    """Returns a validity, or None when nothing is null."""
    return None if valid is None or valid.all() else valid
