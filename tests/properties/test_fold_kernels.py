"""Fold kernels over random tables equal their plain Python functions, group by group and row by row."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import checkrow as cr
from tests.profiles import drawing
from tests.properties.applied import check
from tests.properties.signatures import SIGNATURES, Types, widest, zero
from tests.properties.tables import tables


@cr.fold_kernel(returns=pa.float64(), nulls={"z": 2})
class Smooth:
    def init(*, start):
        return start

    def step(state, y, z, *, share):
        state += share * (y - state) / (z + 10)
        return state, state


@cr.fold_kernel(returns={"number": pa.int64(), "odd": pa.bool_()})
class Numbered:
    def init(*, start=0):
        return (start,)

    def step(state):
        return (state[0] + 1,), (state[0], state[0] % 2 == 1)


@cr.fold_kernel(returns={"low": pa.int64(), "share": pa.float32()})
class Lowest:
    def init():
        return 2**62, 0, 0.0

    def step(state, x, y):
        low, n, total = state
        if x < low:
            low = x
        total += y
        return (low, n + 1, total), (low // (n + 1), total / (n + 1))


KERNELS = [Smooth.bind(start=0.25, share=0.5), Numbered, Numbered.bind(start=-3), Lowest]


@cache
def followed(types: Types) -> Any:
    """Returns a kernel that keeps numbers of some types in its state and gives all of them."""
    start = zero(types.y)

    @cr.fold_kernel(
        returns={"before": widest(types.x), "top": widest(types.y), "at": pa.int16(), "up": pa.bool_(),
                 "z": widest(types.z)},
        decimals="scaled",
    )  # fmt: skip
    class Followed:
        def init():
            return 0, zero(types.x), start, True

        def step(state, x, y, z, z_valid):
            n, last, top, up = state
            up = up and (n == 0 or x >= last)
            if n == 0 or y > top:
                top = y
            return (n + 1, x, top, up), (last, top, n if z_valid else -1, up, z)

    return Followed


@cache
def filled(types: Types) -> Any:
    """Returns a kernel with a bare number of a type as its state, for which a value stands in where it is null."""

    @cr.fold_kernel(returns={"z": widest(types.z)}, nulls={"z": zero(types.z)}, decimals="scaled", checked=False)
    class Filled:
        def init():
            return zero(types.z)

        def step(state, z):
            return z, state

    return Filled


def rows_of(kernel: Any, arrays: dict[str, Any], rows: int) -> list[tuple[Any, ...]]:
    """Returns the rows that the kernel's own Python functions give for one group."""
    if not kernel.spec.columns:
        start = dict(kernel.parameters).get("start", 0)
        return [(n, n % 2 == 1) for n in range(start, start + rows)]
    result = kernel(*(arrays[a].tolist() for a in kernel.spec.arguments))
    return list(zip(*(result if isinstance(result, tuple) else (result,)), strict=True))


@drawing(0.5)
@given(data=st.data(), kernel=st.sampled_from(KERNELS), table=tables())
def test_equals_plain_python(data, kernel, table, monkeypatch) -> None:
    check(kernel, rows_of, table, data, monkeypatch)


@drawing()
@given(data=st.data(), types=st.sampled_from(SIGNATURES))
def test_every_type_equals_plain_python(data, types, monkeypatch) -> None:
    make = data.draw(st.sampled_from([followed, followed, filled]))
    check(make(types), rows_of, data.draw(tables(types=types)), data, monkeypatch)
