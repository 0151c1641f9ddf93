"""A kernel written as a class of functions: its methods captured, their parameters joined, its first state.

Invariant: a state is a number or a tuple of numbers, whose kinds `init` fixes.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from inspect import getattr_static
from typing import Any

import msgspec
import numpy as np

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock
from checkrow.kernels.forms import refuse_no_value
from checkrow.kernels.signature import Parameters, Signature, read_signature
from checkrow.kernels.source import Captured, Number, Reach, capture, reach

REST = "x, ..."
"""What stands for the columns a method reads, behind its other arguments."""


class Method(msgspec.Struct, frozen=True):
    """One function of the class."""

    captured: Captured
    function: Callable[..., Any]
    signature: Signature

    @property
    def block(self) -> SourceBlock:
        """Its source."""
        return self.captured.block


class Methods:
    """The functions of a class that is a kernel.

    Parameters
    ----------
    kind : str
        What messages call the kernel, such as "aggregator".
    cls : type
    wanted : dict of str to tuple of str
        By method its positional arguments, `REST` among them.
    """

    def __init__(self, kind: str, cls: type, wanted: dict[str, tuple[str, ...]]) -> None:
        self._kind = kind
        self._name = cls.__name__
        self._wanted = wanted
        self._methods = {name: self._method(cls, name) for name in wanted}
        self._refuse_shapes()
        self.keywords = self._joined()

    def __getitem__(self, name: str) -> Method:
        """Returns a method by name."""
        return self._methods[name]

    def where(self, name: str) -> str:
        """Returns how a message about a method begins."""
        block = self._methods[name].block
        return f"{block.file}:{block.line}: {self._kind} {self._name!r}, {name}()"

    def parameters(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Returns by method the keyword-only parameters it takes."""
        return tuple((n, tuple(k for k, _ in m.signature.keywords)) for n, m in self._methods.items())

    def reach(self) -> Reach:
        """Returns what all methods need to be compiled; `init` is not, only what it returns is used."""
        for method in self._methods.values():
            refuse_no_value(method.block)
        return reach(*((m.captured, m.function) for n, m in self._methods.items() if n != "init"))

    def given(self, name: str, bound: Parameters) -> dict[str, Number]:
        """Returns those of the bound parameters that a method takes."""
        values = dict(bound)
        return {n: values[n] for n, _ in self._methods[name].signature.keywords}

    def init(self, bound: Parameters) -> Any:
        """Returns the first state in the form the methods take."""
        return self._methods["init"].function(**self.given("init", bound))

    def initial(self, bound: Parameters) -> tuple[Number, ...]:
        """Returns the numbers of the first state; raises KernelTypeError if it is made of anything else."""
        state = self.init(bound)
        numbers = state if isinstance(state, tuple) else (state,)
        plain = tuple(n.item() if isinstance(n, (np.number, np.bool_)) else n for n in numbers)
        wrong = [n for n in plain if not isinstance(n, (bool, int, float))]
        if wrong or not plain:
            raise KernelTypeError(f"{self.where('init')} must return a number or a tuple of numbers, not {state!r}")
        large = [n for n in plain if isinstance(n, int) and not -(2**63) <= n < 2**63]
        if large:
            raise KernelTypeError(f"{self.where('init')} returns {large[0]}, which does not fit 64 bits; use a float")
        return plain

    def _method(self, cls: type, name: str) -> Method:
        found = getattr_static(cls, name, None)
        function = found.__func__ if isinstance(found, staticmethod) else found
        if not isinstance(function, types.FunctionType):
            raise KernelTypeError(
                f"{self._kind} {self._name!r} has no function {name}(); it needs {self._listed()}, all without self"
            )
        captured = capture(function)
        signature = read_signature(function, out=False, validity=False)
        if signature.arguments[:1] == ("self",):
            raise KernelTypeError(
                f"{captured.block.file}:{captured.block.line}: {name}() of {self._kind} {self._name!r} takes self; its "
                "state is the first argument"
            )
        return Method(captured, function, signature)

    def _listed(self) -> str:
        *others, last = (f"{name}({', '.join(arguments)})" for name, arguments in self._wanted.items())
        return f"{', '.join(others)} and {last}"

    def _refuse_shapes(self) -> None:
        for name, arguments in self._wanted.items():
            given, least = len(self[name].signature.arguments), len([a for a in arguments if a != REST])
            if given < least or (given != least and REST not in arguments):
                raise KernelTypeError(
                    f"{self.where(name)} takes {given} positional arguments; it must be {name}({', '.join(arguments)})"
                )

    def _joined(self) -> tuple[tuple[str, object], ...]:
        """Returns the keyword-only parameters of all methods, which share those of one name."""
        keywords: dict[str, object] = {}
        for name, method in self._methods.items():
            for key, default in method.signature.keywords:
                if keywords.setdefault(key, default) != default:
                    raise KernelTypeError(f"{self.where(name)}: parameter {key!r} has two defaults")
        return tuple(keywords.items())
