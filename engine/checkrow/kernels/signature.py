"""What all kernel decorators share: the parameters of a function, its declared columns, its bound values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
import pyarrow as pa

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.types import UNSUPPORTED, Field, is_text, is_wide, type_text
from checkrow.kernels.source import Number

Returns: TypeAlias = pa.DataType | dict[str, pa.DataType] | None
Parameters: TypeAlias = tuple[tuple[str, Number], ...]
_ANNOTATIONS = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "str": pa.string(), "bytes": pa.binary()}
OUT = "out"
_VALID = "_valid"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Positional arguments in order, those of them that read a column, and keyword-only parameters with defaults."""

    name: str
    arguments: tuple[str, ...]
    columns: tuple[str, ...]
    keywords: tuple[tuple[str, object], ...]

    @property
    def own(self) -> tuple[str, ...]:
        """All positional arguments where they are more than the columns, else none: what a kernel's record holds."""
        return self.arguments if self.arguments != self.columns else ()

    def takes_null(self, column: str, fills: Mapping[str, object]) -> bool:
        """Tells whether the function is called although a column is null."""
        return column in fills or column + _VALID in self.arguments

    def checked(self, parameters: dict[str, Number]) -> dict[str, Number]:
        """Returns parameters that may be bound; raises PlanError for an unknown name or a value that is no number."""
        known = [n for n, _ in self.keywords]
        for name, value in parameters.items():
            if name not in known:
                raise PlanError(f"kernel {self.name!r} has no keyword-only parameter {name!r}: {known}")
            if not isinstance(value, (bool, int, float)):
                raise PlanError(f"parameter {name!r} of kernel {self.name!r} must be a number, not {value!r}")
        return parameters

    def bound(self, given: Parameters) -> Parameters:
        """Returns every parameter with its value, in the function's order; raises PlanError for one without."""
        values = dict(given)
        out = []
        for name, default in self.keywords:
            if name not in values and default is inspect.Parameter.empty:
                raise PlanError(f"parameter {name!r} of kernel {self.name!r} has no value; use .bind({name}=...)")
            out.append((name, values.get(name, default)))
        return tuple(out)  # type: ignore[arg-type]  # what is not empty was checked to be a number


def read_signature(function: Callable[..., object], *, out: bool, validity: bool) -> Signature:
    """Returns a function's signature; `out` and `<column>_valid` are no columns where the kernel may take them."""
    name = getattr(function, "__name__", "kernel")
    parameters = inspect.signature(function).parameters.values()
    arguments = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    keywords = tuple((p.name, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY)
    for key, value in keywords:
        if value is not inspect.Parameter.empty and not isinstance(value, (bool, int, float)):
            raise PlanError(f"parameter {key!r} of kernel {name!r} must default to a number, not {value!r}")
    special = ({OUT} if out else set()) | (set(validities(arguments)) if validity else set())
    return Signature(
        name=name, arguments=arguments, columns=tuple(a for a in arguments if a not in special), keywords=keywords
    )


def validities(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the arguments that receive the validity of another one: `x_valid` beside `x`."""
    return tuple(a for a in arguments if a.endswith(_VALID) and a.removesuffix(_VALID) in arguments)


def validity_of(argument: str) -> str:
    """Returns the column whose validity an argument receives."""
    return argument.removesuffix(_VALID)


def returned_fields(function: Callable[..., object], returns: Returns, *, texts: bool = False) -> tuple[Field, ...]:
    """Returns the columns a kernel gives, from `returns` or the return annotation; `texts` says that they may be text.

    Raises
    ------
    KernelTypeError
        If neither says, or a type cannot be returned.
    """
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
        if f.dtype.startswith(UNSUPPORTED) or (is_text(f.dtype) and not texts) or is_wide(f.dtype):
            raise KernelTypeError(f"kernel {name!r} cannot return {f.dtype.removeprefix(UNSUPPORTED)} ({f.name!r})")
    return fields


def refuse_unknown(choices: dict[str, tuple[object, tuple[str, ...]]]) -> None:
    """Raises PlanError when an option is not one of its values."""
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise PlanError(f"{name}={value!r} is not one of {', '.join(repr(a) for a in allowed if a)}")
