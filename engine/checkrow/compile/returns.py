"""What a compiled kernel returns against what it declared: how many values, and types where digits would be cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types

from checkrow.compile.written import refuse_cut_digits
from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import KernelSpec
from checkrow.expressions.types import Field, is_float, is_text
from checkrow.kernels.fold import STEP
from checkrow.kernels.group import EXPAND, MAP
from checkrow.kernels.signature import OUT
from checkrow_kernels.text_type import slots_type, text_type, texts_type


class Returns:
    """What the kernels of a driver return, as it is compiled; other drivers may call the same with other types.

    Parameters
    ----------
    kernels : sequence of (KernelSpec, dispatcher)
    """

    def __init__(self, kernels: Sequence[tuple[KernelSpec, Any]]) -> None:
        self._kernels = kernels
        self._known = [len(function.nopython_signatures) for _, function in kernels]

    def check(self, driver: Any, arguments: tuple[object, ...]) -> None:
        """Checks what a driver compiled for some types calls.

        Raises
        ------
        KernelTypeError
            If a kernel returns another number of values than it declared, or floats where it declared integers: digits
            would be cut silently; or something else than text where it declared text, and the other way round.
        """
        found = driver.overloads[arguments].type_annotation
        for node, signature in found.calltypes.items():
            if getattr(node, "op", "") == "call":
                called = getattr(found.typemap[node.func.name], "dispatcher", None)
                for spec, function in self._kernels:
                    overloads = function.overloads
                    if function is called:
                        _check(spec, signature.return_type, overloads[signature.args])

    def check_new(self) -> None:
        """Checks what was compiled since, of a driver that itself did not compile; raises as `check`."""
        for (spec, function), known in zip(self._kernels, self._known, strict=True):
            for compiled in list(function.overloads.values())[known:]:
                _check(spec, compiled.signature.return_type, compiled)


def _check(spec: KernelSpec, found: Any, compiled: Any) -> None:
    writes = OUT in spec.arguments and OUT not in spec.columns
    if writes:
        refuse_cut_digits(spec, compiled)
    if spec.shape == EXPAND and not isinstance(found, types.Integer):
        raise KernelTypeError(f"{_where(spec)} returns {found}; it must return how many rows it wrote to `out`")
    if writes:
        return  # its values go through arrays of the declared types
    for number, part in enumerate(_parts(spec, found)):
        _check_part(spec, number, part)


def _parts(spec: KernelSpec, found: Any) -> tuple[Any, ...]:
    """Returns the types of all values, those of the state first."""
    state, values = spec.returns[: spec.state], spec.returns[spec.state :]
    if spec.entry != STEP:
        tupled = spec.shape == "tuple" if state else len(values) > 1
        return _spread(spec, found, state or values, "the state" if state else "what it gives", tupled=tupled)
    if not isinstance(found, types.BaseTuple) or len(found) != 2:
        raise KernelTypeError(f"{_where(spec)}: step() returns {found}; it must return (state, out)")
    return (
        *_spread(spec, found[0], state, "the state", tupled=spec.shape == "tuple"),
        *_spread(spec, found[1], values, "what it gives beside the state", tupled=len(values) > 1),
    )


def _spread(spec: KernelSpec, found: Any, fields: tuple[Field, ...], what: str, *, tupled: bool) -> tuple[Any, ...]:
    """Returns the types of what should be one value, or a tuple of as many as there are fields."""
    parts = tuple(found) if isinstance(found, types.BaseTuple) else (found,)
    if len(parts) != len(fields) or tupled != isinstance(found, types.BaseTuple):
        noun = "array" if spec.shape == MAP else "number"
        form = f"a tuple of {len(fields)} {noun}s" if tupled else f"a single {noun}"
        raise KernelTypeError(f"{_where(spec)} returns {found} as {what}; it must be {form}, {_source(fields, spec)}")
    return parts


def _source(fields: tuple[Field, ...], spec: KernelSpec) -> str:
    """Says who decided how many values there are."""
    return "as init() made it" if fields == spec.returns[: spec.state] else f"as returns= declares {len(fields)}"


def _check_part(spec: KernelSpec, number: int, part: Any) -> None:
    field = spec.returns[number]
    if is_text(field.dtype) or part in {text_type, texts_type, slots_type}:
        _check_text(spec, field, part)
        return
    if spec.shape == MAP and not isinstance(part, types.Array):
        raise KernelTypeError(f"{_where(spec)} returns {part} for {field.name!r}; it must return an array")
    value = part.dtype if spec.shape == MAP and isinstance(part, types.Array) else part
    if is_float(field.dtype) or isinstance(value, (types.Integer, types.Boolean)):
        return
    if number < spec.state:
        raise KernelTypeError(
            f"{_where(spec)}: init() makes {field.name} an integer but {spec.entry}() returns {part}; "
            "let init() return a float such as 0.0"
        )
    raise KernelTypeError(f"{_where(spec)} returns {part} for {field.name!r}, declared {field.dtype}; convert it")


def _check_text(spec: KernelSpec, field: Field, part: Any) -> None:
    wanted = (texts_type if spec.shape == MAP else text_type) if is_text(field.dtype) else None
    if part == wanted:
        return
    one = "the column of an argument" if spec.shape == MAP else "a view of an argument or a literal, and never None"
    advice = f"return {one}" if wanted else "convert it"
    raise KernelTypeError(f"{_where(spec)} returns {part} for {field.name!r}, declared {field.dtype}; {advice}")


def _where(spec: KernelSpec) -> str:
    return f"{spec.place}: kernel {spec.name!r}"
