"""`aggregator`: the user's own aggregate, a class of four functions over a small state of numbers.

The state (see `methods`) travels between tasks as columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import msgspec

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.aggregates import AggregateCall, AggregateExpr, argument
from checkrow.expressions.expression import Expr
from checkrow.expressions.nodes import KernelCall, KernelSpec
from checkrow.kernels.methods import REST, Methods
from checkrow.kernels.signature import Parameters, Returns, Signature, refuse_unknown, returned_fields
from checkrow.kernels.source import Number
from checkrow.kernels.texts import seen_value

_WANTED = {"init": (), "update": ("state", REST), "merge": ("state", "other"), "finish": ("state",)}


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
        self._methods = Methods("aggregator", cls, _WANTED)
        self._returns = returned_fields(self._methods["finish"].function, returns)
        if len(self._returns) != 1:
            where = self._methods.where("finish")
            raise KernelTypeError(f"{where}: an aggregator returns one value, not {len(self._returns)}")
        self._policy = (decimals, time_unit)
        columns = self._methods["update"].signature.arguments[1:]
        if not columns:
            raise KernelTypeError(f"{self._methods.where('update')} reads no column; use cr.count() to count rows")
        keywords = self._methods.keywords
        self._signature = Signature(name=self.__name__, arguments=columns, columns=columns, keywords=keywords)

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the aggregator, with helpers and constants as they are now."""
        found = self._methods.reach()
        decimals, time_unit = self._policy
        marks = repr((found.fingerprint, "aggregator"))
        return KernelSpec(
            name=self.__name__, kind="aggregator", blocks=found.blocks, constants=found.constants,
            texts=found.texts, modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords), returns=self._returns, nulls="skip",
            decimals=decimals, time_unit=time_unit, fingerprint=hashlib.sha256(marks.encode()).hexdigest()[:24],
            methods=self._methods.parameters(), checked=True,
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
        bound = self._signature.bound(self.parameters)
        shape = "tuple" if isinstance(self._methods.init(bound), tuple) else "number"
        call = KernelCall(
            kernel=msgspec.structs.replace(self.spec, shape=shape),
            args=tuple(argument(self.__name__, a) for a in args), parameters=bound, state=self._methods.initial(bound),
        )  # fmt: skip
        return AggregateExpr(AggregateCall("", "own", kernel=call))

    def _plain(self, args: Sequence[Sequence[object]]) -> object:
        bound = self._signature.bound(self.parameters)
        update, given = self._methods["update"].function, self._methods.given("update", bound)
        state = self._methods.init(bound)
        for row in zip(*args, strict=True):
            state = update(state, *(seen_value(x) for x in row), **given)
        return self._methods["finish"].function(state, **self._methods.given("finish", bound))


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
