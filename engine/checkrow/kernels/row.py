"""`row_kernel`: scalars of one row in, a scalar or a tuple out."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from checkrow.expressions.nodes import KernelSpec
from checkrow.kernels.columns import ColumnKernel
from checkrow.kernels.forms import refuse_no_value
from checkrow.kernels.nulls import PROPAGATE, Nulls, null_rule
from checkrow.kernels.signature import Returns, read_signature, refuse_unknown
from checkrow.kernels.source import reach
from checkrow.kernels.texts import given_back, seen_value


class RowKernel(ColumnKernel):
    """A row-wise function: call it with plain values to run it, with expressions to build one.

    In a plain call None is null, treated as the decorator says; arguments `x_valid` may be left out.
    """

    def __init__(
        self, function: Callable[..., object], returns: Returns, nulls: Nulls, decimals: str, time_unit: str
    ) -> None:
        super().__init__(function, returns, read_signature(function, out=False, validity=True), texts=True)
        self._policy = (decimals, time_unit)
        self._nulls = null_rule(nulls, self._signature, self._captured.where, default=PROPAGATE)

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        found = reach((self._captured, self.function))
        refuse_no_value(self._captured.block)
        decimals, time_unit = self._policy
        return KernelSpec(
            name=self.__name__, kind="row", blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords), returns=self._returns, nulls=self._nulls.action,
            decimals=decimals, time_unit=time_unit, fingerprint=found.fingerprint, arguments=self._signature.own,
            fills=self._nulls.fills, text_fills=self._nulls.text_fills,
        )  # fmt: skip

    def _plain(self, args: tuple[object, ...], parameters: dict[str, object]) -> object:
        given = self._nulls.plain(self._signature, args)
        if given is None:
            return None if len(self._returns) == 1 else (None,) * len(self._returns)
        result = self.function(*(seen_value(g) for g in given), **parameters)
        return given_back(result, self._returns)


@overload
def row_kernel(function: Callable[..., object]) -> RowKernel: ...


@overload
def row_kernel(
    *, returns: Returns = None, nulls: Nulls = "propagate", decimals: str = "", time_unit: str = "us"
) -> Callable[[Callable[..., object]], RowKernel]: ...


def row_kernel(
    function: Callable[..., object] | None = None,
    *,
    returns: Returns = None,
    nulls: Nulls = "propagate",
    decimals: str = "",
    time_unit: str = "us",
) -> RowKernel | Callable[[Callable[..., object]], RowKernel]:
    """Makes a function of one row's scalars a kernel.

    Parameters
    ----------
    function : callable
        Arguments are bound to columns by name; keyword-only arguments are parameters, fixed with `.bind`.
    returns : Arrow type or dict of column name to Arrow type
        What it returns: one value, or a tuple in the order of the dict. Default: the return annotation. For text, a
        view of an argument or a literal.
    nulls : {"propagate", "forbid"} or dict of column name to value
        "propagate": a null argument makes the outputs null and the function is not called. "forbid": it is an error.
        A dict says by column what stands in for null there; nulls in other columns propagate. An argument named
        `x_valid` beside `x` receives whether `x` is there: then the function is called although it is null, and `x` is
        its fill, or 0 or the empty text.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.

    Raises
    ------
    KernelTypeError
        If the function cannot be captured or its types are not supported.

    Notes
    -----
    Whole numbers and dates arrive as int64, whatever the width of their column; only uint64 stays. Floats arrive as
    float64. Whole numbers wrap beyond 64 bits, as in NumPy; a result that does not fit its declared type is an error.
    Integer division by zero raises. Text arrives as a view over its bytes; docs/kernels.md says what it can do.

    Examples
    --------
    >>> import pyarrow as pa
    >>> @row_kernel(returns=pa.float64())
    ... def half(x):
    ...     return x / 2
    >>> half(3.0)
    1.5
    """
    refuse_unknown(
        {
            "decimals": (decimals, ("", "scaled", "float64")),
            "time_unit": (time_unit, ("s", "ms", "us", "ns")),
        }
    )

    def decorate(f: Callable[..., object]) -> RowKernel:
        return RowKernel(f, returns, nulls, decimals, time_unit)

    return decorate(function) if function is not None else decorate
