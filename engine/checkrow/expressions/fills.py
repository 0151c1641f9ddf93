"""What may stand in for null in a kernel's argument: a number of the kind in which the argument arrives, or a text."""

from __future__ import annotations

from checkrow.errors import KernelTypeError
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelSpec


def refuse_fill(spec: KernelSpec, name: str, dtype: str, where: str) -> None:
    """Raises KernelTypeError when a kernel's fill for a column cannot be a value of the column's type."""
    given: dict[str, int | float | bool | bytes] = {**dict(spec.fills), **dict(spec.text_fills)}
    fill = given.get(name)
    if fill is not None and isinstance(fill, bytes) != types.is_text(dtype):
        wanted = "a str or bytes" if types.is_text(dtype) else "a number"
        raise KernelTypeError(f"{where}: nulls= gives {fill!r} for column {name!r}, which is {dtype}; give {wanted}")
    if fill is None or isinstance(fill, bytes) or types.is_float(dtype):
        return
    if types.is_decimal(dtype) and spec.decimals == "float64":
        return
    low, high = _range(spec, dtype)
    if isinstance(fill, bool) != (dtype == "bool") or isinstance(fill, float) or not low <= fill <= high:
        raise KernelTypeError(
            f"{where}: nulls= gives {fill!r} for column {name!r}, which is {dtype}; give "
            f"{'True or False' if dtype == 'bool' else f'a whole number from {low} to {high}'}"
        )


def _range(spec: KernelSpec, dtype: str) -> tuple[int, int]:
    # Whole numbers arrive as int64; but for a fold kernel nulls are filled before that, in the width of the column.
    wide = spec.kind != "fold" and dtype not in {"uint64", "bool"}
    return types.integer_range("int64" if wide or types.is_decimal(dtype) else dtype)
