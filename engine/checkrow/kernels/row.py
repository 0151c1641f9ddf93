"""`row_kernel`: scalars of one row in, a scalar or a tuple out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias, overload

import pyarrow as pa

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.expression import Expr, as_node
from checkrow.expressions.nodes import KernelSpec, Node, column
from checkrow.expressions.types import UNSUPPORTED, Field, is_text, parse_type, type_text
from checkrow.kernels.source import Number, capture, reach

Returns: TypeAlias = pa.DataType | dict[str, pa.DataType] | None
_ANNOTATIONS = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


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
        self.parameters: tuple[tuple[str, Number], ...] = ()
        self._captured = capture(function)
        self._policy = (nulls, decimals, time_unit)
        self._returns = _fields(function, returns)
        signature = inspect.signature(function).parameters.values()
        self._columns = tuple(p.name for p in signature if p.kind is not p.KEYWORD_ONLY)
        self._keywords = {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY}
        self.__name__ = self._captured.block.name
        self.__doc__ = function.__doc__

    @cached_property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel."""
        found = reach(self._captured, self.function)
        nulls, decimals, time_unit = self._policy
        return KernelSpec(
            name=self.__name__, kind="row", blocks=found.blocks, constants=found.constants, modules=found.modules,
            columns=self._columns, parameters=tuple(self._keywords), returns=self._returns, nulls=nulls,
            decimals=decimals, time_unit=time_unit, fingerprint=found.fingerprint,
        )  # fmt: skip

    def bind(self, **parameters: Number) -> RowKernel:
        """Returns the kernel with keyword-only parameters fixed; their values never cause a compilation."""
        for name, value in parameters.items():
            if name not in self._keywords:
                raise PlanError(
                    f"kernel {self.__name__!r} has no keyword-only parameter {name!r}: {list(self._keywords)}"
                )
            if not isinstance(value, (bool, int, float)):
                raise PlanError(f"parameter {name!r} of kernel {self.__name__!r} must be a number, not {value!r}")
        bound = RowKernel(self.function, {f.name: parse_type(f.dtype) for f in self._returns}, *self._policy)
        bound.parameters = tuple({**dict(self.parameters), **parameters}.items())
        return bound

    def __call__(self, *args: object, **parameters: object) -> object:
        """Runs the plain function, or builds an expression when an argument is one."""
        if any(isinstance(a, Expr) for a in args):
            if len(self._returns) != 1:
                raise PlanError(f"kernel {self.__name__!r} returns {len(self._returns)} columns; use .map(kernel)")
            bound = self.bind(**parameters) if parameters else self  # type: ignore[arg-type]
            return Expr(bound.outputs(tuple(as_node(a) for a in args))[0][1], self._returns[0].name)
        return self.function(*args, **{**dict(self.parameters), **parameters})

    def outputs(self, args: tuple[Node, ...] | None = None) -> tuple[tuple[str, Node], ...]:
        """Returns (column name, node) of every output, reading columns named like the arguments by default."""
        args = args if args is not None else tuple(column(c) for c in self._columns)
        if len(args) != len(self._columns):
            raise PlanError(f"kernel {self.__name__!r} takes {len(self._columns)} columns, {len(args)} were given")
        return tuple(
            (f.name, Node("kernel", args=args, value=i, kernel=self.spec, parameters=self._bound()))
            for i, f in enumerate(self._returns)
        )

    def _bound(self) -> tuple[tuple[str, Number], ...]:
        given = dict(self.parameters)
        out = []
        for name, default in self._keywords.items():
            if name not in given and default is inspect.Parameter.empty:
                raise PlanError(f"parameter {name!r} of kernel {self.__name__!r} has no value; use .bind({name}=...)")
            out.append((name, given.get(name, default)))
        return tuple(out)


def _fields(function: Callable[..., object], returns: Returns) -> tuple[Field, ...]:
    name = getattr(function, "__name__", "kernel")
    if returns is None:
        annotation = function.__annotations__.get("return")
        key = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        if key not in _ANNOTATIONS:
            raise KernelTypeError(f"kernel {name!r} does not say what it returns; give returns={{column: type}}")
        returns = {name: _ANNOTATIONS[key]}
    if isinstance(returns, pa.DataType):
        returns = {name: returns}
    fields = tuple(Field(n, type_text(t)) for n, t in returns.items())
    for f in fields:
        if f.dtype.startswith(UNSUPPORTED) or is_text(f.dtype):
            raise KernelTypeError(f"kernel {name!r} cannot return {f.dtype.removeprefix(UNSUPPORTED)} ({f.name!r})")
    return fields


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
        What it returns: one value, or a tuple in the order of the dict. Default: the return annotation.
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

    Examples
    --------
    >>> @row_kernel(returns=pa.float64())
    ... def half(x):
    ...     return x / 2
    >>> half(3.0)
    1.5
    """
    choices = {
        "nulls": (nulls, ("propagate", "forbid")),
        "decimals": (decimals, ("", "scaled", "float64")),
        "time_unit": (time_unit, ("s", "ms", "us", "ns")),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise PlanError(f"{name}={value!r} is not one of {', '.join(repr(a) for a in allowed if a)}")

    def decorate(f: Callable[..., object]) -> RowKernel:
        return RowKernel(f, returns, nulls, decimals, time_unit)

    return decorate(function) if function is not None else decorate
