"""A group or fold kernel over groups, typed: what travels through the exchange, in which order the kernel sees it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, Node, OrderKey
from checkrow.expressions.typing import kernel_argument, resolve
from checkrow.plan.aggregates import group_key

ORIGIN = "#origin"
"""Travels beside a row when a kernel's failure must lead back to it: what `origin_of` gives."""
_ROW_BITS = 40


def origin_of(task: int, row: int) -> int:
    """Returns where a row was read as one number: the task of the first stage, and the row among those it reads."""
    return task << _ROW_BITS | row


def places_of(origins: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the tasks and rows of origins."""
    return origins >> _ROW_BITS, origins & (1 << _ROW_BITS) - 1


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel over groups with typed keys, order and arguments, all over the columns of the stage below."""

    keys: tuple[tuple[str, Node], ...]
    order: tuple[OrderKey, ...]
    call: KernelCall

    def columns(self) -> tuple[tuple[str, Node], ...]:
        """Returns what travels: the keys under their names, then every other expression once, as `#0`, `#1`, ..."""
        known = [n for _, n in self.keys]
        others = [n for n in dict.fromkeys((*(o.node for o in self.order), *self.call.args)) if n not in known]
        return (*self.keys, *((f"#{i}", n) for i, n in enumerate(others)))

    def column_of(self, node: Node) -> str:
        """Returns the name under which an expression travels."""
        return next(name for name, n in self.columns() if n == node)

    def schema(self) -> types.Schema:
        """Returns the columns that come out: keys, then what the kernel returns."""
        keys = [types.Field(n, k.dtype, k.nullable) for n, k in self.keys]
        return (*keys, *(types.Field(f.name, f.dtype, self.call.kernel.may_fail) for f in self.call.kernel.returns))


def grouping(
    schema: types.Schema, keys: tuple[tuple[str, Node], ...], order: tuple[OrderKey, ...], call: KernelCall
) -> Grouping:
    """Returns the typed grouping of a kernel over a schema.

    Raises
    ------
    SchemaError
        If a column is missing or a key has a type that cannot be one.
    KernelTypeError
        If the kernel cannot take a column's type.
    """
    spec = call.kernel
    if not (keys or order or call.args):
        raise PlanError(
            f"{spec.place}: kernel {spec.name!r} reads no column and there are no keys: no row would reach it; let it "
            "take one of the columns"
        )
    names = [n for n, _ in keys] + [f.name for f in spec.returns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise PlanError(f"the column {twice[0]!r} is a key and an output of kernel {spec.name!r}; rename one")
    args = tuple(
        kernel_argument(spec, name, resolve(arg, schema)) for name, arg in zip(spec.columns, call.args, strict=True)
    )
    typed_keys = tuple((name, group_key(name, resolve(node, schema))) for name, node in keys)
    typed_order = tuple(OrderKey(resolve(o.node, schema), o.descending) for o in order)
    for o in typed_order:
        if not o.node.dtype:
            raise KernelTypeError("order_by names a column that holds only nulls and has no type; cast it")
    return Grouping(keys=typed_keys, order=typed_order, call=msgspec.structs.replace(call, args=args))
