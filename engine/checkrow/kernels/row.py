"""`row_kernel`: scalars of one row in, a scalar or a tuple out."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import overload

from checkrow.errors import PlanError
from checkrow.expressions.expression import Expr, as_node
from checkrow.expressions.nodes import KernelSpec, Node, column
from checkrow.kernels.signature import Parameters, Returns, read_signature, refuse_unknown, returned_fields
from checkrow.kernels.source import Number, capture, reach
from checkrow.kernels.texts import given_back, seen_value


class RowKernel:
    """A row-wise function: call it with plain values to run it, with expressions to build one.

    Attributes
    ----------
    function : callable
        The plain Python function.
    parameters : tuple of (name, value)
        Keyword-only parameters fixed by `bind`.
    """

    def __init__(
        self, function: Callable[..., object], returns: Returns, nulls: str, decimals: str, time_unit: str
    ) -> None:
        self.function = function
        self.parameters: Parameters = ()
        self._captured = capture(function)
        self._policy = (nulls, decimals, time_unit)
        self._returns = returned_fields(function, returns, texts=True)
        self._signature = read_signature(function, arrays=False)
        self.__name__ = self._captured.block.name
        self.__doc__ = function.__doc__

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        found = reach((self._captured, self.function))
        nulls, decimals, time_unit = self._policy
        return KernelSpec(
            name=self.__name__, kind="row", blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules,
            columns=self._signature.columns, parameters=tuple(n for n, _ in self._signature.keywords),
            returns=self._returns, nulls=nulls, decimals=decimals, time_unit=time_unit, fingerprint=found.fingerprint,
        )  # fmt: skip

    def bind(self, **parameters: Number) -> RowKernel:
        """Returns the kernel with keyword-only parameters fixed; their values never cause a compilation."""
        bound = copy(self)
        bound.parameters = tuple({**dict(self.parameters), **self._signature.checked(parameters)}.items())
        return bound

    def __call__(self, *args: object, **parameters: object) -> object:
        """Runs the plain function, or builds an expression when an argument is one."""
        if any(isinstance(a, Expr) for a in args):
            if len(self._returns) != 1:
                raise PlanError(f"kernel {self.__name__!r} returns {len(self._returns)} columns; use .map(kernel)")
            bound = self.bind(**parameters) if parameters else self  # type: ignore[arg-type]
            return Expr(bound.outputs(tuple(as_node(a) for a in args))[0][1], self._returns[0].name)
        result = self.function(*(seen_value(a) for a in args), **{**dict(self.parameters), **parameters})
        return given_back(result, self._returns)

    def outputs(self, args: tuple[Node, ...] | None = None) -> tuple[tuple[str, Node], ...]:
        """Returns (column name, node) of every output, reading columns named like the arguments by default."""
        args = args if args is not None else tuple(column(c) for c in self._signature.columns)
        wanted = len(self._signature.columns)
        if len(args) != wanted:
            raise PlanError(f"kernel {self.__name__!r} takes {wanted} columns, {len(args)} were given")
        parameters, spec = self._signature.bound(self.parameters), self.spec
        return tuple(
            (f.name, Node("kernel", args=args, value=i, kernel=spec, parameters=parameters))
            for i, f in enumerate(self._returns)
        )


@overload
def row_kernel(function: Callable[..., object]) -> RowKernel: ...


@overload
def row_kernel(
    *, returns: Returns = None, nulls: str = "propagate", decimals: str = "", time_unit: str = "us"
) -> Callable[[Callable[..., object]], RowKernel]: ...


def row_kernel(
    function: Callable[..., object] | None = None,
    *,
    returns: Returns = None,
    nulls: str = "propagate",
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
    nulls : {"propagate", "forbid"}
        "propagate": a null argument makes the outputs null and the function is not called. "forbid": it is an error.
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
    Whole numbers and dates arrive as int64, whatever the width of their column; only uint64 stays. They wrap beyond 64
    bits, as in NumPy; a result that does not fit its declared type is an error. Integer division by zero raises. Text
    arrives as a view over its bytes; docs/text.md says what it can do.

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
            "nulls": (nulls, ("propagate", "forbid")),
            "decimals": (decimals, ("", "scaled", "float64")),
            "time_unit": (time_unit, ("s", "ms", "us", "ns")),
        }
    )

    def decorate(f: Callable[..., object]) -> RowKernel:
        return RowKernel(f, returns, nulls, decimals, time_unit)

    return decorate(function) if function is not None else decorate
