"""Kernels that make a relation of their own of what they are given: what expand and group kernels share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Protocol, Self

from checkrow.expressions.nodes import KernelCall, KernelSpec, column
from checkrow.kernels.nulls import Nulls, null_rule
from checkrow.kernels.signature import Parameters, Returns, read_signature, returned_fields
from checkrow.kernels.source import Number, capture, reach


class Policy(Protocol):
    """What a decorator was told besides the function."""

    @property
    def returns(self) -> Returns:
        """The columns it gives."""

    @property
    def nulls(self) -> Nulls:
        """What becomes of nulls."""

    @property
    def decimals(self) -> str:
        """How decimal columns arrive."""

    @property
    def time_unit(self) -> str:
        """Unit of times, which arrive as int64."""

    @property
    def checked(self) -> bool:
        """Whether an index outside an array is an error."""

    @property
    def max_rows(self) -> int | None:
        """Most rows a call may give; None for as many as it was given."""


class CalledKernel(ABC):
    """A function of columns that may write rows to `out`.

    Attributes
    ----------
    function : callable
        The plain Python function.
    parameters : tuple of (name, value)
        Keyword-only parameters fixed by `bind`.
    """

    def __init__(self, function: Callable[..., object], policy: Policy, *, nulls: str) -> None:
        self.function = function
        self.parameters: Parameters = ()
        self._told = policy
        self._captured = capture(function)
        self._signature = read_signature(function, out=True, validity=True)
        self._returns = returned_fields(function, policy.returns, texts=True)
        self._nulls = null_rule(policy.nulls, self._signature, self._captured.where, default=nulls)
        self.__name__ = self._captured.block.name
        self.__doc__ = function.__doc__

    @property
    @abstractmethod
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""

    def _record(self, kind: str, shape: str, *marks: str) -> KernelSpec:
        """Returns the record of a kernel of some kind; `marks` tell its machine code from that of other shapes."""
        found, told = reach((self._captured, self.function)), self._told
        identity = repr((found.fingerprint, kind, *marks, told.checked, [f.name for f in self._returns]))
        return KernelSpec(
            name=self.__name__, kind=kind, blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords), returns=self._returns, nulls=self._nulls.action,
            decimals=told.decimals, time_unit=told.time_unit,
            fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:24], arguments=self._signature.arguments,
            fills=self._nulls.fills, text_fills=self._nulls.text_fills, shape=shape, checked=told.checked,
            max_rows=told.max_rows,
        )  # fmt: skip

    def bind(self, **parameters: Number) -> Self:
        """Returns the kernel with keyword-only parameters fixed; their values never cause a compilation."""
        bound = copy(self)
        bound.parameters = tuple({**dict(self.parameters), **self._signature.checked(parameters)}.items())
        return bound

    def call(self) -> KernelCall:
        """Returns the kernel applied to the columns its arguments are named after."""
        args = tuple(column(c) for c in self._signature.columns)
        return KernelCall(kernel=self.spec, args=args, parameters=self._signature.bound(self.parameters))
