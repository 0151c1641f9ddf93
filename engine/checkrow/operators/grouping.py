"""The group table: key words, slots and states of the groups of one slice or partition.

Drivers and vectorised updates work on the same arrays, so a batch may go either way. States are pre-filled with their
identity; a new group needs no initialisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import empty
from checkrow.compile.cache import DriverCache
from checkrow.errors import ArithmeticRangeError
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval
from checkrow.operators.aggregators import OwnState, update_own
from checkrow.operators.bad_rows import Survivor
from checkrow.operators.chosen import ChosenRows
from checkrow.operators.column import Column
from checkrow.operators.keys import KeyLayout, pack, unpack, widened
from checkrow.plan.aggregates import CHOSEN, State
from checkrow_kernels import aggregate as kernels
from checkrow_kernels.group import rebuild_1, rebuild_2, rebuild_n, upsert_1, upsert_2, upsert_n

Array = NDArray[Any]
_NO_VALID = np.empty(0, np.uint8)
_FIRST_CAPACITY = 1 << 12


def state_dtypes(state: State) -> tuple[np.dtype[Any], ...]:
    """Returns the dtypes of the arrays a state is kept in; chosen rows are kept elsewhere."""
    return () if state.kind in CHOSEN else tuple(types.numpy_dtype(d) for d in state.arrays)


def identity(state: State) -> tuple[int | float, ...]:
    """Returns what the arrays of an untouched state hold: the neutral element of its update."""
    if state.call is not None:
        return (*state.call.state, *((0,) if state.counted else ()))
    dtypes = state_dtypes(state)
    return tuple(_extreme(state.kind, d) for d in dtypes) if state.kind in {"min", "max"} else (0,) * len(dtypes)


def _extreme(kind: str, dtype: np.dtype[Any]) -> int | float:
    if dtype.kind == "f":
        # NaN is the greatest value: any number replaces it in a minimum, nothing but itself exceeds it in a maximum.
        return float("nan") if kind == "min" else float("-inf")
    info = np.iinfo(dtype)
    return int(info.max if kind == "min" else info.min)


class GroupTable:
    """Groups by packed key words, growing as needed."""

    def __init__(self, layout: KeyLayout, states: tuple[State, ...], cache: DriverCache) -> None:
        self.layout = layout
        self.states = states
        self._cache = cache
        self._own = {n: OwnState(s, s.call, cache) for n, s in enumerate(states) if s.call is not None}
        self._chosen = {n: ChosenRows(s) for n, s in enumerate(states) if s.kind in CHOSEN}
        # Groups so far, and rows that went into them: drivers update both in place.
        self.groups = np.zeros(2, np.int64)
        self.capacity = _FIRST_CAPACITY
        self.words = self._new_words(self.capacity)
        self.arrays = [self._new_states(s, self.capacity) for s in states]
        self.slots = self._new_slots()

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.groups[0])

    @property
    def rows(self) -> int:
        """Rows that went into the groups."""
        return int(self.groups[1])

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        own = [*self.words, self.slots, *(a for arrays in self.arrays for a in arrays)]
        return sum(a.nbytes for a in own)

    def _new_words(self, capacity: int) -> list[Array]:
        if self.layout.words > 2:
            return [empty(capacity * self.layout.words, np.int64).reshape(capacity, self.layout.words)]
        return [empty(capacity, np.int64) for _ in range(self.layout.words)]

    def _new_states(self, state: State, capacity: int) -> tuple[Array, ...]:
        return tuple(np.full(capacity, x, d) for x, d in zip(identity(state), state_dtypes(state), strict=True))

    def _new_slots(self) -> Array:
        return np.full(1 << self.layout.bits if self.layout.direct else 4 * self.capacity, -1, np.int32)

    def clear(self) -> None:
        """Forgets all groups but not how many rows went into them; the room stays."""
        self.groups[0] = 0
        self.slots.fill(-1)
        self.arrays = [self._new_states(s, self.capacity) for s in self.states]
        for chosen in self._chosen.values():
            chosen.clear()

    # -- growth -------------------------------------------------------------------------------------------------------

    def grow(self) -> None:
        """Makes room for four times the groups."""
        self.capacity *= 4
        self.words = [_resized(w, self.capacity) for w in self.words]
        for number, state in enumerate(self.states):
            fresh = self._new_states(state, self.capacity)
            for old, new in zip(self.arrays[number], fresh, strict=True):
                new[: len(old)] = old
            self.arrays[number] = fresh
        self._rebuild()

    def widen(self, seen: tuple[Interval | None, ...]) -> None:
        """Repacks all keys so that observed ranges fit; group numbers stay."""
        bits, valid = unpack(self.layout, self.key_words())
        self.layout = widened(self.layout, seen)
        packed = pack(self.layout, bits, valid)
        self.words = self._new_words(self.capacity)
        for j, word in enumerate(packed):
            target = self.words[0][:, j] if self.layout.words > 2 else self.words[j]
            target[: len(word)] = word
        for number, state in enumerate(self.states):
            fresh = self._new_states(state, self.capacity)
            for old, new in zip(self.arrays[number], fresh, strict=True):
                new[: self.count] = old[: self.count]
            self.arrays[number] = fresh
        self._rebuild()

    def _rebuild(self) -> None:
        self.slots = self._new_slots()
        if self.layout.direct:
            self.slots[self.words[0][: self.count]] = np.arange(self.count, dtype=np.int32)
        elif self.layout.words == 1:
            rebuild_1(self.words[0], self.count, self.slots)
        elif self.layout.words == 2:
            rebuild_2(self.words[0], self.words[1], self.count, self.slots)
        else:
            rebuild_n(self.words[0], self.count, self.slots)

    def key_words(self) -> tuple[Array, ...]:
        """Returns the words of all groups, one array per word."""
        if self.layout.words > 2:
            return tuple(np.ascontiguousarray(self.words[0][: self.count, j]) for j in range(self.layout.words))
        return tuple(w[: self.count] for w in self.words)

    # -- vectorised updates -------------------------------------------------------------------------------------------

    def upsert(self, words: tuple[Array, ...], rows: int) -> Array:
        """Returns the group number of every row (int32), adding groups not seen before."""
        gids = empty(rows, np.int32)
        self.groups[1] += rows
        start = 0
        while start < rows:
            start = self._upsert_from(words, start, rows, gids)
            if start < rows:
                self.grow()
        return gids

    def _upsert_from(self, words: tuple[Array, ...], start: int, rows: int, gids: Array) -> int:
        if self.layout.direct:
            return self._upsert_direct(words[0], gids)
        tail = (self.count, self.capacity, gids)
        if self.layout.words == 1:
            done, groups = upsert_1(words[0], start, rows, self.slots, self.words[0], *tail)
        elif self.layout.words == 2:
            done, groups = upsert_2(words[0], words[1], start, rows, self.slots, self.words[0], self.words[1], *tail)
        else:
            done, groups = upsert_n(np.stack(words, axis=1), start, rows, self.slots, self.words[0], *tail)
        self.groups[0] = groups
        return int(done)

    def _upsert_direct(self, word: Array, gids: Array) -> int:
        found = self.slots[word]
        missing = word[found < 0]
        if len(missing):
            _, first = np.unique(missing, return_index=True)
            new = missing[np.sort(first)]
            while self.count + len(new) > self.capacity:
                self.grow()
            numbers = np.arange(self.count, self.count + len(new), dtype=np.int32)
            self.slots[new] = numbers
            self.words[0][numbers] = new
            self.groups[0] += len(new)
            found = self.slots[word]
        gids[:] = found
        return len(word)

    def update(
        self, gids: Array, columns: Sequence[tuple[Column, ...]], known: int, survivor: Survivor | None = None
    ) -> None:
        """Updates all states with the values of their arguments, given state by state.

        Aggregators come first: a row on which one fails is left out of all states, and its group too if it is one of
        those from `known` on, which these rows made, and has no other row.
        """
        own = [n for n in range(len(self.states)) if n in self._own]
        if own:
            taken = [c for n in own for c in columns[n]]
            arrays = [a for n in own for a in self.arrays[n]]
            update_own(tuple(self.states[n] for n in own), gids, taken, arrays, self._cache, survivor)
            if survivor is not None and survivor.bad:
                good = np.delete(np.arange(len(gids)), survivor.bad)
                gids = self._without_empty(gids[good], known)
                columns = [tuple(c.take(good) for c in some) for some in columns]
                self.groups[1] -= len(survivor.bad)
        for number in range(len(self.states)):
            if number not in self._own:
                self._update(number, gids, columns[number])

    def _without_empty(self, gids: Array, known: int) -> Array:
        """Drops the groups from `known` on that no row is left of; returns the group numbers of the rows."""
        empty = np.setdiff1d(np.arange(known, self.count), gids)
        if not len(empty):
            return gids
        kept = np.delete(np.arange(self.count), empty)
        for word in self.words:
            word[: len(kept)] = word[kept]
        for number, state in enumerate(self.states):
            for array, fresh in zip(self.arrays[number], self._new_states(state, self.count), strict=True):
                array[: len(kept)] = array[kept]
                array[len(kept) : self.count] = fresh[len(kept) :]
        renumbered = np.zeros(self.count, np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        self.groups[0] = len(kept)
        self._rebuild()
        return renumbered[gids]

    def forget_after(self, groups: int) -> None:
        """Drops the groups from a number on, which no row has updated."""
        if self.count > groups >= 0:
            self.groups[0] = groups
            self._rebuild()

    def _update(self, number: int, gids: Array, columns: tuple[Column, ...]) -> None:
        state, arrays = self.states[number], self.arrays[number]
        if number in self._chosen:
            self._chosen[number].update(gids, columns)
            return
        if not columns:
            kernels.count_rows(gids, len(gids), arrays[0])
            return
        column = columns[0]
        valid, has_valid = (_NO_VALID, False) if column.valid is None else (column.valid, True)
        match state.kind:
            case "valid":
                if has_valid:
                    kernels.count_valid(gids, valid, arrays[0])
                else:
                    kernels.count_rows(gids, len(gids), arrays[0])
            case "sum_int":
                kernels.sum_int(gids, column.values, valid, has_valid, *arrays)
            case "sum_float":
                kernels.sum_float(gids, column.values, valid, has_valid, arrays[0])
            case "moments":
                kernels.add_moments(gids, column.values, valid, has_valid, *arrays)
            case "sum_wide":
                kernels.sum_pairs(gids, _pairs(column), valid, has_valid, *arrays)
            case "min":
                kernels.min_state(gids, column.values, valid, has_valid, arrays[0])
            case "max":
                kernels.max_state(gids, column.values, valid, has_valid, arrays[0])

    def merge(self, number: int, gids: Array, known: int, columns: tuple[Column, ...]) -> None:
        """Merges partial states of the same kind, in the order given; groups from `known` on are new to the table."""
        state, arrays = self.states[number], self.arrays[number]
        if number in self._chosen:
            self._chosen[number].update(gids, columns)
            return
        others = tuple(c.values for c in columns)
        if number in self._own:
            self._own[number].merge(gids, known, others, arrays)
            return
        match state.kind:
            case "rows" | "valid":
                kernels.add_int64(gids, others[0], arrays[0])
            case "sum_int":
                kernels.merge_split(gids, *others, *arrays)
            case "sum_float":
                kernels.sum_float(gids, others[0], _NO_VALID, False, arrays[0])
            case "moments":
                kernels.merge_moments(gids, *others, *arrays)
            case "sum_wide":
                kernels.merge_triple(gids, *others, *arrays)
            case "min":
                kernels.min_state(gids, others[0], _NO_VALID, False, arrays[0])
            case "max":
                kernels.max_state(gids, others[0], _NO_VALID, False, arrays[0])

    def state_columns(self, number: int) -> list[Column]:
        """Returns a state of all groups as the columns in which it travels."""
        if number in self._chosen:
            return self._chosen[number].columns(self.count)
        state, arrays = self.states[number], self.arrays[number]
        return [Column(dtype, a[: self.count]) for dtype, a in zip(state.arrays, arrays, strict=True)]

    def own_result(self, number: int) -> Column:
        """Returns what an aggregator makes of the states of all groups."""
        return self._own[number].finish(self.arrays[number], self.count)

    def normalise(self) -> None:
        """Carries split sums, so that merging any number of tables cannot overflow their low halves."""
        for state, arrays in zip(self.states, self.arrays, strict=True):
            if state.kind == "sum_int":
                kernels.normalise_split(arrays[0], arrays[1], self.count)


def _pairs(column: Column) -> Array:
    """Returns values as 128-bit words; uint64 has no sign to extend."""
    if types.is_wide(column.dtype):
        return column.values
    out = np.zeros(2 * len(column), np.int64)
    out[::2] = column.values.view(np.int64)
    return out


def _resized(array: Array, capacity: int) -> Array:
    out = np.empty((capacity, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


def out_of_range(name: str, dtype: str) -> ArithmeticRangeError:
    """Returns the error for a result that does not fit its type."""
    return ArithmeticRangeError(
        f"column {name!r}: an exact sum does not fit {dtype}; cast the argument to a decimal or to float64"
    )
