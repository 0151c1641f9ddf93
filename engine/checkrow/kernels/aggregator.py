"""`aggregator`: the user's own aggregate, a class of four functions over a small state of numbers.

Invariant: a state is a number or a tuple of numbers whose kinds `init` fixes; it travels between tasks as columns.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any

import msgspec
import numpy as np

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.aggregates import AggregateCall, AggregateExpr, argument
from checkrow.expressions.expression import Expr
from checkrow.expressions.nodes import KernelCall, KernelSpec
from checkrow.kernels.signature import Parameters, Returns, Signature, read_signature, refuse_unknown, returned_fields
from checkrow.kernels.source import Captured, Number, capture, reach
from checkrow.kernels.texts import seen_value

METHODS = ("init", "update", "merge", "finish")
_STATES = {"init": 0, "update": 1, "merge": 2, "finish": 1}


@dataclass(frozen=True, slots=True)
class _Method:
    captured: Captured
    function: Callable[..., Any]
    signature: Signature


class Aggregator:
    """An aggregate of the user's own; call it with columns inside `.agg(...)`, with plain sequences to try it.

    Attributes
    ----------
    parameters : tuple of (name, value)
        Keyword-only parameters of the methods fixed by `bind`; methods that name the same one share it.
    """

    def __init__(self, cls: type, returns: Returns, decimals: str, time_unit: str) -> None:
        self.__name__ = cls.__name__
        self.__doc__ = cls.__doc__
        self.parameters: Parameters = ()
        self._methods = {name: _method(cls, name) for name in METHODS}
        self._returns = returned_fields(self._methods["finish"].function, returns)
        if len(self._returns) != 1:
            raise KernelTypeError(f"{self._where('finish')}: an aggregator returns one value, not {len(self._returns)}")
        self._policy = (decimals, time_unit)
        self._signature = self._joined()

    def _where(self, method: str) -> str:
        block = self._methods[method].captured.block
        return f"{block.file}:{block.line}: aggregator {self.__name__!r}, {method}()"

    def _joined(self) -> Signature:
        """Returns the columns of `update` and the keyword-only parameters of all methods."""
        keywords: dict[str, object] = {}
        for name, method in self._methods.items():
            given = len(method.signature.arguments)
            if given < _STATES[name] or (name != "update" and given != _STATES[name]):
                raise KernelTypeError(
                    f"{self._where(name)} takes {given} positional arguments; it must be "
                    f"{'update(state, x, ...)' if name == 'update' else name + _shape(name)}"
                )
            for key, default in method.signature.keywords:
                if keywords.setdefault(key, default) != default:
                    raise KernelTypeError(f"{self._where(name)}: parameter {key!r} has two defaults")
        columns = self._methods["update"].signature.arguments[1:]
        if not columns:
            raise KernelTypeError(f"{self._where('update')} reads no column; use cr.count() to count rows")
        return Signature(name=self.__name__, arguments=columns, columns=columns, keywords=tuple(keywords.items()))

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the aggregator, with helpers and constants as they are now."""
        found = reach(*((m.captured, m.function) for n, m in self._methods.items() if n != "init"))
        decimals, time_unit = self._policy
        marks = repr((found.fingerprint, "aggregator"))
        return KernelSpec(
            name=self.__name__, kind="aggregator", blocks=found.blocks, constants=found.constants,
            texts=found.texts, modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords), returns=self._returns, nulls="skip",
            decimals=decimals, time_unit=time_unit, fingerprint=hashlib.sha256(marks.encode()).hexdigest()[:24],
            methods=tuple((n, tuple(k for k, _ in m.signature.keywords)) for n, m in self._methods.items()),
        )  # fmt: skip

    def bind(self, **parameters: Number) -> Aggregator:
        """Returns the aggregator with keyword-only parameters fixed; their values never cause a compilation."""
        bound = copy(self)
        bound.parameters = tuple({**dict(self.parameters), **self._signature.checked(parameters)}.items())
        return bound

    def __call__(self, *args: Any) -> Any:
        """Builds an aggregate of columns (default: named like the arguments of `update`), or computes one plainly.

        Examples
        --------
        `.agg(vwap=Vwap("price", "quantity"))` or `Vwap([10.0, 11.0], [1, 3])`
        """
        args = args or self._signature.columns
        if len(args) != len(self._signature.columns):
            raise PlanError(
                f"aggregator {self.__name__!r} takes {len(self._signature.columns)} columns, not {len(args)}"
            )
        if not any(isinstance(a, (str, Expr)) for a in args):
            return self._plain(args)
        call = KernelCall(
            kernel=self._shaped(), args=tuple(argument(self.__name__, a) for a in args),
            parameters=self._signature.bound(self.parameters), state=self._initial(),
        )  # fmt: skip
        return AggregateExpr(AggregateCall("", "own", kernel=call))

    def _shaped(self) -> KernelSpec:
        """Returns the record; its `shape` says whether the state is a tuple or a bare number."""
        return msgspec.structs.replace(self.spec, shape="tuple" if isinstance(self._init(), tuple) else "number")

    def _given(self, method: str) -> dict[str, Number]:
        bound = dict(self._signature.bound(self.parameters))
        return {n: bound[n] for n, _ in self._methods[method].signature.keywords}

    def _init(self) -> Any:
        return self._methods["init"].function(**self._given("init"))

    def _initial(self) -> tuple[Number, ...]:
        state = self._init()
        numbers = state if isinstance(state, tuple) else (state,)
        plain = tuple(n.item() if isinstance(n, (np.number, np.bool_)) else n for n in numbers)
        wrong = [n for n in plain if not isinstance(n, (bool, int, float))]
        if wrong or not plain:
            raise KernelTypeError(f"{self._where('init')} must return a number or a tuple of numbers, not {state!r}")
        return plain

    def _plain(self, args: Sequence[Sequence[object]]) -> object:
        update, given = self._methods["update"].function, self._given("update")
        state = self._init()
        for row in zip(*args, strict=True):
            state = update(state, *(seen_value(x) for x in row), **given)
        return self._methods["finish"].function(state, **self._given("finish"))


def _shape(name: str) -> str:
    return {"init": "()", "merge": "(state, other)", "finish": "(state)"}[name]


def _method(cls: type, name: str) -> _Method:
    found = getattr_static(cls, name, None)
    function = found.__func__ if isinstance(found, staticmethod) else found
    if not isinstance(function, types.FunctionType):
        raise KernelTypeError(
            f"aggregator {cls.__name__!r} has no function {name}(); it needs init(), update(state, x, ...), "
            "merge(state, other) and finish(state), all without self"
        )
    captured = capture(function)
    signature = read_signature(function, arrays=False)
    if signature.arguments[:1] == ("self",):
        raise KernelTypeError(
            f"{captured.block.file}:{captured.block.line}: {name}() of aggregator {cls.__name__!r} takes self; its "
            "state is the first argument"
        )
    return _Method(captured, function, signature)


def aggregator(*, returns: Returns, decimals: str = "", time_unit: str = "us") -> Callable[[type], Aggregator]:
    """Makes a class of four functions an aggregate, for `.agg(name=Own("x"))`.

    `init()` returns the state: a number or a tuple of numbers, the neutral element of `merge`. `update(state, x, ...)`
    returns the state with one row added, `merge(state, other)` two states as one, `finish(state)` the value. None takes
    `self`; keyword-only arguments are parameters, fixed with `.bind`. Rows with a null argument are skipped; over no
    rows at all the value is null. Rows arrive in the order of the input, states of slices are merged in their order.

    Parameters
    ----------
    returns : Arrow type
        What `finish` returns.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.

    Raises
    ------
    KernelTypeError
        If a function is missing, cannot be captured, or the state is not made of numbers.

    Examples
    --------
    >>> import pyarrow as pa
    >>> @aggregator(returns=pa.float64())
    ... class Range:
    ...     def init():
    ...         return float("inf"), float("-inf")
    ...
    ...     def update(state, x):
    ...         return min(state[0], x), max(state[1], x)
    ...
    ...     def merge(state, other):
    ...         return min(state[0], other[0]), max(state[1], other[1])
    ...
    ...     def finish(state):
    ...         return state[1] - state[0]
    >>> Range([3.0, 9.0, 4.0])
    6.0
    """
    refuse_unknown(
        {"decimals": (decimals, ("", "scaled", "float64")), "time_unit": (time_unit, ("s", "ms", "us", "ns"))}
    )

    def decorate(cls: type) -> Aggregator:
        return Aggregator(cls, returns, decimals, time_unit)

    return decorate
