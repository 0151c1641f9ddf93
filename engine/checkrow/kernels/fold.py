"""`fold_kernel`: the rows of one group in order, one after the other, with a small state of numbers between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import msgspec

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.nodes import KernelCall, KernelSpec, column
from checkrow.kernels.methods import REST, Methods
from checkrow.kernels.nulls import FORBID, Nulls, null_rule
from checkrow.kernels.signature import (
    Parameters,
    Returns,
    Signature,
    refuse_unknown,
    returned_fields,
    validities,
)
from checkrow.kernels.source import Number
from checkrow.kernels.texts import given_back, seen_value

FOLD = "fold"
STEP = "step"
_WANTED = {"init": (), STEP: ("state", REST)}


class FoldPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator was told besides the class."""

    returns: Returns
    nulls: Nulls
    decimals: str
    time_unit: str
    checked: bool


class FoldKernel:
    """Two functions that go through the rows of a group; call it with plain sequences to run it as plain Python.

    Attributes
    ----------
    parameters : tuple of (name, value)
        Keyword-only parameters of the functions fixed by `bind`; both share those of one name.
    """

    def __init__(self, cls: type, policy: FoldPolicy) -> None:
        self.__name__ = cls.__name__
        self.__doc__ = cls.__doc__
        self.parameters: Parameters = ()
        self._policy = policy
        self._methods = Methods("fold kernel", cls, _WANTED)
        self._returns = returned_fields(cls, policy.returns, texts=True)
        arguments = self._methods[STEP].signature.arguments[1:]
        special = validities(arguments)
        self._signature = Signature(
            name=self.__name__, arguments=arguments, columns=tuple(a for a in arguments if a not in special),
            keywords=self._methods.keywords,
        )  # fmt: skip
        self._refuse_others(cls)
        self._nulls = null_rule(policy.nulls, self._signature, self._methods.where(STEP), default=FORBID)

    def _refuse_others(self, cls: type) -> None:
        """Refuses what the class holds besides its two functions: nothing would ever call it."""
        found = [n for c in cls.__mro__[:-1] for n in vars(c) if not n.startswith("__") and n not in _WANTED]
        if found:
            block = self._methods["init"].block
            raise KernelTypeError(
                f"{block.file}:{block.line}: fold kernel {self.__name__!r} defines {found[0]!r}; a fold kernel has "
                "init() and step(state, x, ...) and nothing else; move it out of the class"
            )

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        found, policy = self._methods.reach(), self._policy
        marks = repr((found.fingerprint, FOLD, policy.checked))
        return KernelSpec(
            name=self.__name__, kind=FOLD, blocks=found.blocks, constants=found.constants, texts=found.texts,
            modules=found.modules, columns=self._signature.columns,
            parameters=tuple(n for n, _ in self._signature.keywords), returns=self._returns, nulls=self._nulls.action,
            decimals=policy.decimals, time_unit=policy.time_unit,
            fingerprint=hashlib.sha256(marks.encode()).hexdigest()[:24], arguments=self._signature.arguments,
            fills=self._nulls.fills, text_fills=self._nulls.text_fills, checked=policy.checked,
            methods=self._methods.parameters(),
        )  # fmt: skip

    def bind(self, **parameters: Number) -> FoldKernel:
        """Returns the kernel with keyword-only parameters fixed; their values never cause a compilation."""
        bound = copy(self)
        bound.parameters = tuple({**dict(self.parameters), **self._signature.checked(parameters)}.items())
        return bound

    def call(self) -> KernelCall:
        """Returns the kernel applied to the columns its arguments are named after."""
        bound = self._signature.bound(self.parameters)
        shape = "tuple" if isinstance(self._methods.init(bound), tuple) else "number"
        return KernelCall(
            kernel=msgspec.structs.replace(self.spec, shape=shape),
            args=tuple(column(c) for c in self._signature.columns), parameters=bound,
            state=self._methods.initial(bound),
        )  # fmt: skip

    def __call__(self, *args: Sequence[object]) -> Any:
        """Runs the plain functions over the rows of one group, in the order given.

        Parameters
        ----------
        *args : sequence
            What `step` takes after the state, one sequence per argument.

        Returns
        -------
        list or tuple of list
            What `step` gave for each row: a list per column.
        """
        if len(args) != len(self._signature.arguments):
            raise PlanError(
                f"fold kernel {self.__name__!r} takes {len(self._signature.arguments)} sequences, not {len(args)}"
            )
        bound = self._signature.bound(self.parameters)
        step, given = self._methods[STEP].function, self._methods.given(STEP, bound)
        state: Any = self._methods.init(bound)
        rows: list[Any] = []
        for row in zip(*args, strict=True):
            state, out = step(state, *(seen_value(x) for x in row), **given)
            rows.append(given_back(out, self._returns))
        if len(self._returns) == 1:
            return rows
        return tuple([row[j] for row in rows] for j in range(len(self._returns)))


def fold_kernel(
    *,
    returns: Returns,
    nulls: Nulls = "forbid",
    decimals: str = "",
    time_unit: str = "us",
    checked: bool = True,
) -> Callable[[type], FoldKernel]:
    """Makes a class of two functions a kernel, for `group_by(...).apply(kernel, order_by=...)`.

    `init()` returns the state: a number or a tuple of numbers. `step(state, x, ...)` takes one row and returns
    `(state, out)`: the next state, and the row's value or a tuple of values. It is called for the rows of each group in
    the order of `order_by`, from the state of `init`; every row that goes in gives one that comes out. Neither takes
    `self`; keyword-only arguments are parameters, fixed with `.bind`, and those of one name are shared.

    Parameters
    ----------
    returns : Arrow type or dict of column name to Arrow type
        The columns it gives, after the group's keys.
    nulls : "forbid" or dict of column name to value
        Nulls are an error that names the column; or what stands in for them by column. An argument named `x_valid`
        beside `x` receives whether the value is there, and allows nulls in `x`.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.
    checked : bool
        Whether an index outside an array is an error. Without the check it reads or overwrites other memory.

    Raises
    ------
    KernelTypeError
        If a function is missing or cannot be captured, or the state is not made of numbers.

    Notes
    -----
    Whole numbers and dates arrive as int64, whatever the width of their column; only uint64 stays. Floats arrive as
    float64, texts as views over their bytes. The kinds of the state's numbers are those that `init` returns: int64,
    float64 or bool. Where `step` fails, its whole group does, as what follows depends on it.

    Examples
    --------
    >>> import pyarrow as pa
    >>> @fold_kernel(returns={"smooth": pa.float64()})
    ... class Smooth:
    ...     def init():
    ...         return 0.0
    ...
    ...     def step(state, x, *, share):
    ...         state += share * (x - state)
    ...         return state, state
    >>> Smooth.bind(share=0.5)([4.0, 4.0, 8.0])
    [2.0, 3.0, 5.5]
    """
    refuse_unknown(
        {"decimals": (decimals, ("", "scaled", "float64")), "time_unit": (time_unit, ("s", "ms", "us", "ns"))}
    )
    policy = FoldPolicy(returns=returns, nulls=nulls, decimals=decimals, time_unit=time_unit, checked=checked)

    def decorate(cls: type) -> FoldKernel:
        return FoldKernel(cls, policy)

    return decorate
