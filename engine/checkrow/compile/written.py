"""What a compiled kernel writes to `out`, by type: NumPy cuts a float to a whole number without a word, we do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
from numba.core import ir

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import KernelSpec


def refuse_cut_digits(spec: KernelSpec, compiled: Any) -> None:
    """Raises KernelTypeError when a kernel writes floats to a column of whole numbers, as far as its own text shows."""
    dtypes = {f.name: f.dtype for f in spec.returns}
    for name, written in _writes(compiled.type_annotation):
        if dtypes.get(name) not in {None, "float", "double"} and isinstance(written, numba.types.Float):
            raise KernelTypeError(
                f"{spec.place}: kernel {spec.name!r} writes {written} to out.{name}, declared {dtypes[name]}; "
                "convert it"
            )


def _writes(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yields (field, type of the value) of all assignments to elements of a named tuple's arrays."""
    definitions = {
        s.target.name: s.value for block in annotation.blocks.values() for s in block.body if isinstance(s, ir.Assign)
    }
    for statement in annotation.calltypes:
        if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
            found = definitions.get(statement.target.name)
            while isinstance(found, ir.Var):
                found = definitions.get(found.name)
            if isinstance(found, ir.Expr) and found.op == "getattr" and _is_out(annotation.typemap[found.value.name]):
                value = annotation.typemap[statement.value.name]
                yield found.attr, value.dtype if isinstance(value, numba.types.Array) else value


def _is_out(kind: Any) -> bool:
    return isinstance(kind, numba.types.BaseNamedTuple)
