"""`out`: where kernels over arrays, and those that make rows, write their columns."""

from __future__ import annotations

import keyword
from collections import namedtuple
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import KernelSpec
from checkrow.expressions.types import Field, is_text, numpy_dtype
from checkrow_kernels.text import TextSlots


class Kernel(Protocol):
    """A kernel of any kind."""

    @property
    def spec(self) -> KernelSpec:
        """Its record."""


def workspace_dtype(dtype: str) -> np.dtype[Any]:
    """Returns the dtype in which values are written before it is known that they fit: int64 for narrower ones."""
    if dtype == "bool":
        return np.dtype(np.bool_)
    declared = numpy_dtype(dtype)
    return np.dtype(np.int64) if declared.kind in "iu" and declared.itemsize < 8 else declared


def argument_dtype(dtype: str) -> np.dtype[Any]:
    """Returns the dtype in which kernels over arrays take a column: whole numbers as int64, floats as float64."""
    return np.dtype(np.float64) if dtype == "float" else workspace_dtype(dtype)


def zeroed(fields: Sequence[Field], rows: int) -> Any:
    """Returns zeroed arrays of the types of some columns, as attributes named like the columns."""
    arrays = [_zeroed(f.dtype, rows) for f in fields]
    return namedtuple("out", [f.name for f in fields])(*arrays)  # noqa: PYI024  # the fields are known only now


def _zeroed(dtype: str, rows: int) -> NDArray[Any] | TextSlots:
    if is_text(dtype):
        return TextSlots(rows)
    return np.zeros(rows, np.bool_ if dtype == "bool" else numpy_dtype(dtype))


def refuse_unwritable(fields: Sequence[Field], where: str) -> None:
    """Raises KernelTypeError for a column that cannot be an attribute of `out`."""
    for field in fields:
        if not field.name.isidentifier() or keyword.iskeyword(field.name) or field.name.startswith("_"):
            raise KernelTypeError(f"{where}: {field.name!r} cannot be written as out.{field.name}; rename it")


def outputs_for(kernel: Kernel, rows: int) -> Any:
    """Returns what a kernel receives as `out`, with room for `rows` rows, to try it on plain values.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from checkrow import group_kernel
    >>> @group_kernel(returns={"twice": pa.int64()}, shape="map")
    ... def double(x, out):
    ...     for i in range(len(x)):
    ...         out.twice[i] = 2 * x[i]
    >>> out = outputs_for(double, 3)
    >>> double([1, 2, 3], out)
    >>> out.twice.tolist()
    [2, 4, 6]
    """
    return zeroed(kernel.spec.returns, rows)
