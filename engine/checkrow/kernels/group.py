"""`group_kernel`: the arrays of exactly one group in; scalars, columns or rows out."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.nodes import KernelSpec
from checkrow.kernels.called import CalledKernel
from checkrow.kernels.forms import refuse_no_value
from checkrow.kernels.nulls import FORBID, Nulls
from checkrow.kernels.outputs import refuse_unwritable
from checkrow.kernels.signature import OUT, Returns, refuse_unknown
from checkrow.kernels.texts import given_back, seen_array

REDUCE, MAP, EXPAND = "reduce", "map", "expand"


class GroupPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator was told besides the function."""

    shape: str
    returns: Returns
    nulls: Nulls
    decimals: str
    time_unit: str
    checked: bool
    max_rows: int | None


class GroupKernel(CalledKernel):
    """A function of the arrays of one group; call it with plain arrays to run it as plain Python."""

    def __init__(self, function: Callable[..., object], policy: GroupPolicy) -> None:
        super().__init__(function, policy, nulls=FORBID)
        self._policy = policy
        self._check()

    def _check(self) -> None:
        where = self._captured.where
        writes = OUT in self._signature.arguments
        if self._policy.shape == EXPAND and not writes:
            raise KernelTypeError(f'{where} has shape="expand" but no argument `out` to write its rows to')
        if self._policy.shape == REDUCE and writes:
            raise KernelTypeError(f'{where} has shape="reduce" and returns its values; it takes no `out`')
        if writes:
            refuse_unwritable(self._returns, where)

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        record = self._record("group", self._policy.shape, self._policy.shape)
        if self._policy.shape == EXPAND or OUT not in self._signature.arguments:
            refuse_no_value(self._captured.block)
        return record

    def __call__(self, *args: object, **parameters: object) -> object:
        """Runs the plain function on the arrays of one group; see `outputs_for` for `out`."""
        result = self.function(*(seen_array(a) for a in args), **{**dict(self.parameters), **parameters})
        return given_back(result, self._returns) if self._policy.shape == REDUCE else result


def group_kernel(
    *,
    returns: Returns,
    shape: str = REDUCE,
    nulls: Nulls = "forbid",
    decimals: str = "",
    time_unit: str = "us",
    checked: bool = True,
    max_rows: int | None = None,
) -> Callable[[Callable[..., object]], GroupKernel]:
    """Makes a function of one group's arrays a kernel, for `group_by(...).apply(kernel, order_by=...)`.

    Parameters
    ----------
    returns : Arrow type or dict of column name to Arrow type
        The columns it gives, after the group's keys.
    shape : {"reduce", "map", "expand"}
        "reduce": it returns one value, or a tuple, per group. "map": columns as long as the group, returned as arrays
        or written to an argument `out`. "expand": it writes any number of rows to `out` and returns how many.
    nulls : "forbid" or dict of column name to value
        Nulls are an error that names the column; or what stands in for them by column. An argument named `x_valid`
        beside `x` receives whether each value is there, and allows nulls in `x`; a text that is not there is empty.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.
    checked : bool
        Whether an index outside an array is an error. Without the check it reads or overwrites other memory.
    max_rows : int
        Most rows an "expand" kernel may write for one group; default: as many as the group has.

    Raises
    ------
    KernelTypeError
        If the function cannot be captured or its types are not supported.

    Notes
    -----
    Arrays of whole numbers and dates are int64, whatever the width of their column; only uint64 stays. Those of floats
    are float64; `out` has arrays of the declared types.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> @group_kernel(returns={"spread": pa.float64()})
    ... def spread(price):
    ...     return price.max() - price.min()
    >>> float(spread(np.array([3.0, 8.0])))
    5.0
    """
    refuse_unknown(
        {
            "shape": (shape, (REDUCE, MAP, EXPAND)),
            "decimals": (decimals, ("", "scaled", "float64")),
            "time_unit": (time_unit, ("s", "ms", "us", "ns")),
        }
    )
    if max_rows is not None and (max_rows < 1 or shape != EXPAND):
        raise PlanError(f'max_rows={max_rows} must be at least 1 and concerns shape="expand" only')
    policy = GroupPolicy(
        shape=shape, returns=returns, nulls=nulls, decimals=decimals, time_unit=time_unit, checked=checked,
        max_rows=max_rows,
    )  # fmt: skip

    def decorate(function: Callable[..., object]) -> GroupKernel:
        return GroupKernel(function, policy)

    return decorate
