"""What may stand in for null in a kernel's argument: a number of the kind in which the argument arrives."""

from __future__ import annotations

from checkrow.errors import KernelTypeError
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelSpec

_WIDENED = {"row", "expand", "batch"}
"""Kinds of kernels whose whole numbers arrive as int64, whatever the width of their column."""


def refuse_fill(spec: KernelSpec, name: str, dtype: str, where: str) -> None:
    """Raises KernelTypeError when a kernel's fill for a column cannot be a value of the column's type."""
    fill = dict(spec.fills).get(name)
    if fill is None or types.is_text(dtype) or types.is_float(dtype):
        return
    if types.is_decimal(dtype) and spec.decimals == "float64":
        return
    if isinstance(fill, bool) != (dtype == "bool") or isinstance(fill, float):
        raise KernelTypeError(f"{where}: nulls= gives {fill!r} for {dtype}; give a {_wanted(dtype)}")
    low, high = _range(spec, dtype)
    if not low <= fill <= high:
        raise KernelTypeError(f"{where}: nulls= gives {fill!r} for {dtype}; it must be from {low} to {high}")


def _wanted(dtype: str) -> str:
    return "bool" if dtype == "bool" else "whole number"


def _range(spec: KernelSpec, dtype: str) -> tuple[int, int]:
    wide = spec.kind in _WIDENED and dtype not in {"uint64", "bool"}
    return types.integer_range("int64" if wide or types.is_decimal(dtype) else dtype)
