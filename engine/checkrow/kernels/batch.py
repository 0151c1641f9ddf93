"""`batch_kernel`: the arrays of one batch in, arrays of the same length out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import KernelSpec
from checkrow.kernels.columns import ColumnKernel
from checkrow.kernels.forms import refuse_no_value
from checkrow.kernels.group import MAP
from checkrow.kernels.nulls import FORBID, Nulls, null_rule
from checkrow.kernels.outputs import refuse_unwritable
from checkrow.kernels.signature import OUT, Returns, read_signature, refuse_unknown
from checkrow.kernels.source import reach
from checkrow.kernels.texts import seen_array


class BatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator was told besides the function."""

    returns: Returns
    nulls: Nulls
    decimals: str
    time_unit: str
    checked: bool


class BatchKernel(ColumnKernel):
    """A function of the arrays of one batch; call it with plain arrays to run it as plain Python."""

    def __init__(self, function: Callable[..., object], policy: BatchPolicy) -> None:
        super().__init__(function, policy.returns, read_signature(function, out=True, validity=True))
        self._policy = policy
        self._nulls = null_rule(policy.nulls, self._signature, self._captured.where, default=FORBID)
        if not self._signature.columns:
            raise KernelTypeError(f"{self._captured.where} reads no column; name the columns it needs as arguments")
        if OUT in self._signature.arguments:
            refuse_unwritable(self._returns, self._captured.where)

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        found, policy = reach((self._captured, self.function)), self._policy
        if OUT not in self._signature.arguments:
            refuse_no_value(self._captured.block)
        marks = repr((found.fingerprint, "batch", policy.checked, [f.name for f in self._returns]))
        return KernelSpec(
            name=self.__name__, kind="batch", blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords),
            returns=self._returns, nulls=self._nulls.action, decimals=policy.decimals, time_unit=policy.time_unit,
            fingerprint=hashlib.sha256(marks.encode()).hexdigest()[:24], arguments=self._signature.arguments,
            fills=self._nulls.fills, text_fills=self._nulls.text_fills, shape=MAP, checked=policy.checked,
        )  # fmt: skip

    def _plain(self, args: tuple[object, ...], parameters: dict[str, object]) -> object:
        return self.function(*(seen_array(a) for a in args), **parameters)


def batch_kernel(
    *,
    returns: Returns,
    nulls: Nulls = "forbid",
    decimals: str = "",
    time_unit: str = "us",
    checked: bool = True,
) -> Callable[[Callable[..., object]], BatchKernel]:
    """Makes a function of a batch's arrays a kernel, for `.map(kernel)` or as an expression of columns.

    The arrays are those of some of the input's rows, however it was cut: what comes out for a row must not depend on
    which rows stand beside it. They are read-only and C-contiguous. Whole numbers and dates are int64 whatever the
    width of their column (only uint64 stays), in `out` too; one that does not fit its column in the end is an error.
    Columns of text can be read, not written; they have a length and elements, and are no NumPy arrays.

    Parameters
    ----------
    returns : Arrow type or dict of column name to Arrow type
        What it gives: one array, or a tuple in the order of the dict, as long as the arrays it got; or it writes them
        to an argument `out`, as `out.name[i]`, which holds zeros.
    nulls : "forbid" or dict of column name to value
        A null is an error that names the row; or what stands in for it by column. An argument named `x_valid` beside
        `x` receives whether each value is there, and allows nulls in `x`, which is its fill, or 0 or empty, there.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.
    checked : bool
        Whether an index outside an array is an error. Without the check it reads or overwrites other memory.

    Raises
    ------
    KernelTypeError
        If the function cannot be captured or its types are not supported.

    Notes
    -----
    When it raises, it is called again on halves of the rows, and on halves of those, until the rows are found on which
    it raises alone; `BadRows` says what becomes of them. A result of another length is an error of the kernel, not of a
    row, and ends the run.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> @batch_kernel(returns=pa.float64())
    ... def root(x):
    ...     return np.sqrt(x)
    >>> root(np.array([4.0, 9.0])).tolist()
    [2.0, 3.0]
    """
    refuse_unknown(
        {
            "decimals": (decimals, ("", "scaled", "float64")),
            "time_unit": (time_unit, ("s", "ms", "us", "ns")),
        }
    )
    policy = BatchPolicy(returns=returns, nulls=nulls, decimals=decimals, time_unit=time_unit, checked=checked)

    def decorate(function: Callable[..., object]) -> BatchKernel:
        return BatchKernel(function, policy)

    return decorate
