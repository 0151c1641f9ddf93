"""Kernels whose results are columns beside those they read: what row and batch kernels share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Self

from checkrow.errors import PlanError
from checkrow.expressions.expression import Expr, as_node
from checkrow.expressions.nodes import KernelSpec, Node, column
from checkrow.kernels.signature import Parameters, Returns, Signature, returned_fields
from checkrow.kernels.source import Number, capture


class ColumnKernel(ABC):
    """A function of columns: call it with plain values to run it, with expressions to build one.

    Attributes
    ----------
    function : callable
        The plain Python function.
    parameters : tuple of (name, value)
        Keyword-only parameters fixed by `bind`.
    """

    def __init__(
        self, function: Callable[..., object], returns: Returns, signature: Signature, *, texts: bool = False
    ) -> None:
        self.function = function
        self.parameters: Parameters = ()
        self._captured = capture(function)
        self._returns = returned_fields(function, returns, texts=texts)
        self._signature = signature
        self.__name__ = self._captured.block.name
        self.__doc__ = function.__doc__

    @property
    @abstractmethod
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""

    @abstractmethod
    def _plain(self, args: tuple[object, ...], parameters: dict[str, object]) -> object:
        """Runs the plain function."""

    def bind(self, **parameters: Number) -> Self:
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
        return self._plain(args, {**dict(self.parameters), **parameters})

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
