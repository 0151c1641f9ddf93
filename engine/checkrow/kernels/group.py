"""`group_kernel`: the arrays of exactly one group in; scalars, columns or rows out."""

from __future__ import annotations

import hashlib
import keyword
from collections import namedtuple
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.nodes import KernelCall, KernelSpec, column
from checkrow.expressions.types import is_text, numpy_dtype
from checkrow.kernels.signature import OUT, Parameters, Returns, read_signature, refuse_unknown, returned_fields
from checkrow.kernels.source import Number, capture, reach
from checkrow.kernels.texts import given_back, seen_array
from checkrow_kernels.text import TextSlots, bytes_of

Fill = Number | str | bytes
REDUCE, MAP, EXPAND = "reduce", "map", "expand"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPolicy:
    """What the decorator was told besides the function."""

    shape: str
    returns: Returns
    nulls: str | dict[str, Fill]
    decimals: str
    time_unit: str
    checked: bool
    max_rows: int | None


class GroupKernel:
    """A function of the arrays of one group; call it with plain arrays to run it as plain Python.

    Attributes
    ----------
    function : callable
        The plain Python function.
    parameters : tuple of (name, value)
        Keyword-only parameters fixed by `bind`.
    """

    def __init__(self, function: Callable[..., object], policy: GroupPolicy) -> None:
        self.function = function
        self.parameters: Parameters = ()
        self._policy = policy
        self._captured = capture(function)
        self._signature = read_signature(function, arrays=True)
        self._returns = returned_fields(function, policy.returns, texts=True)
        self.__name__ = self._captured.block.name
        self.__doc__ = function.__doc__
        self._check()

    def _check(self) -> None:
        where = f"{self._captured.block.file}:{self._captured.block.line}: kernel {self.__name__!r}"
        writes = OUT in self._signature.arguments
        if self._policy.shape == EXPAND and not writes:
            raise KernelTypeError(f'{where} has shape="expand" but no argument `out` to write its rows to')
        if self._policy.shape == REDUCE and writes:
            raise KernelTypeError(f'{where} has shape="reduce" and returns its values; it takes no `out`')
        for field in self._returns if writes else ():
            if not field.name.isidentifier() or keyword.iskeyword(field.name) or field.name.startswith("_"):
                raise KernelTypeError(f"{where}: {field.name!r} cannot be written as out.{field.name}; rename it")
        fills = self._policy.nulls if isinstance(self._policy.nulls, dict) else {}
        for name in fills:
            if name not in self._signature.columns:
                raise PlanError(f"{where}: nulls= names {name!r}, which is none of {list(self._signature.columns)}")

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        found, policy = reach((self._captured, self.function)), self._policy
        fills = policy.nulls if isinstance(policy.nulls, dict) else {}
        marks = repr((found.fingerprint, "group", policy.shape, policy.checked, [f.name for f in self._returns]))
        return KernelSpec(
            name=self.__name__, kind="group", blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules,
            columns=self._signature.columns, parameters=tuple(n for n, _ in self._signature.keywords),
            returns=self._returns, nulls="forbid", decimals=policy.decimals, time_unit=policy.time_unit,
            fingerprint=hashlib.sha256(marks.encode()).hexdigest()[:24], arguments=self._signature.arguments,
            fills=tuple((n, v) for n, v in fills.items() if not isinstance(v, (str, bytes))),
            text_fills=tuple((n, bytes_of(v)) for n, v in fills.items() if isinstance(v, (str, bytes))),
            shape=policy.shape, checked=policy.checked, max_rows=policy.max_rows,
        )  # fmt: skip

    def bind(self, **parameters: Number) -> GroupKernel:
        """Returns the kernel with keyword-only parameters fixed; their values never cause a compilation."""
        bound = copy(self)
        bound.parameters = tuple({**dict(self.parameters), **self._signature.checked(parameters)}.items())
        return bound

    def __call__(self, *args: object, **parameters: object) -> object:
        """Runs the plain function on the arrays of one group; see `outputs_for` for `out`."""
        result = self.function(*(seen_array(a) for a in args), **{**dict(self.parameters), **parameters})
        return given_back(result, self._returns) if self._policy.shape == REDUCE else result

    def call(self) -> KernelCall:
        """Returns the kernel applied to the columns its arguments are named after."""
        args = tuple(column(c) for c in self._signature.columns)
        return KernelCall(kernel=self.spec, args=args, parameters=self._signature.bound(self.parameters))

    def outputs(self, rows: int) -> Any:
        """Returns zeroed arrays of the declared types, as attributes named like the columns."""
        fields = [f.name for f in self._returns]
        arrays: list[NDArray[Any] | TextSlots] = [
            TextSlots(rows)
            if is_text(f.dtype)
            else np.zeros(rows, np.bool_ if f.dtype == "bool" else numpy_dtype(f.dtype))
            for f in self._returns
        ]
        return namedtuple("out", fields)(*arrays)  # noqa: PYI024  # the fields are known only now


def outputs_for(kernel: GroupKernel, rows: int) -> Any:
    """Returns what a kernel receives as `out`, with room for `rows` rows, to try it on plain arrays.

    Examples
    --------
    >>> import pyarrow as pa
    >>> @group_kernel(returns={"twice": pa.int64()}, shape="map")
    ... def double(x, out):
    ...     for i in range(len(x)):
    ...         out.twice[i] = 2 * x[i]
    >>> out = outputs_for(double, 3)
    >>> double([1, 2, 3], out)
    >>> out.twice.tolist()
    [2, 4, 6]
    """
    return kernel.outputs(rows)


def group_kernel(
    *,
    returns: Returns,
    shape: str = REDUCE,
    nulls: str | dict[str, Fill] = "forbid",
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
    if not isinstance(nulls, dict):
        refuse_unknown({"nulls": (nulls, ("forbid",))})
    if max_rows is not None and (max_rows < 1 or shape != EXPAND):
        raise PlanError(f'max_rows={max_rows} must be at least 1 and concerns shape="expand" only')
    policy = GroupPolicy(
        shape=shape, returns=returns, nulls=nulls, decimals=decimals, time_unit=time_unit, checked=checked,
        max_rows=max_rows,
    )  # fmt: skip

    def decorate(function: Callable[..., object]) -> GroupKernel:
        return GroupKernel(function, policy)

    return decorate
