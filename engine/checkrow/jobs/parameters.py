"""Typed parameters of jobs: from Python, from command-line text and from JSON, to the same canonical values."""

from __future__ import annotations

import datetime as dt
import inspect
import math
from collections.abc import Callable, Mapping

import msgspec

from checkrow.errors import ConfigError

Value = str | int | float | bool | dt.date | dt.datetime | None
_TYPES: dict[str, type] = {
    "str": str, "int": int, "float": float, "bool": bool, "date": dt.date, "datetime": dt.datetime,
}  # fmt: skip
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A keyword parameter of a job."""

    name: str
    kind: type
    default: object
    required: bool


def parameters_of(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """Returns a job function's parameters.

    Raises
    ------
    ConfigError
        If one is positional or has no supported annotation.
    """
    name = getattr(function, "__name__", "job")
    out = []
    for p in inspect.signature(function).parameters.values():
        if p.kind is not p.KEYWORD_ONLY:
            raise ConfigError(f"job {name!r}: parameter {p.name!r} must be keyword-only; write it after a '*'")
        text = p.annotation if isinstance(p.annotation, str) else getattr(p.annotation, "__name__", "")
        kind = _TYPES.get(text.rsplit(".", maxsplit=1)[-1])
        if kind is None:
            raise ConfigError(f"job {name!r}: parameter {p.name!r} needs a type out of {', '.join(_TYPES)}")
        required = p.default is inspect.Parameter.empty
        out.append(Parameter(name=p.name, kind=kind, default=None if required else p.default, required=required))
    return tuple(out)


def bind(job: str, parameters: tuple[Parameter, ...], given: Mapping[str, object]) -> dict[str, Value]:
    """Returns the value of every parameter; text is read as its type.

    Raises
    ------
    ConfigError
        If a parameter is unknown, missing, of the wrong type or not finite.
    """
    known = {p.name: p for p in parameters}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"job {job!r} has no parameter {unknown[0]!r}; it has: {', '.join(known) or 'none'}")
    out: dict[str, Value] = {}
    for name, parameter in known.items():
        if name not in given and parameter.required:
            raise ConfigError(f"job {job!r} needs the parameter {name!r} ({parameter.kind.__name__})")
        value = _convert(job, parameter, given.get(name, parameter.default))
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(
                f"job {job!r}: parameter {name!r} is {value}, which identifies no run; give a finite number"
            )
        out[name] = value
    return out


def _convert(job: str, parameter: Parameter, value: object) -> Value:
    wrong = ConfigError(f"job {job!r}: parameter {parameter.name!r} must be {parameter.kind.__name__}, not {value!r}")
    kind = parameter.kind
    if value is None and not parameter.required and parameter.default is None:
        return None
    if isinstance(value, bool) != (kind is bool) and not isinstance(value, str):
        raise wrong
    if kind is float and isinstance(value, int):
        return float(value)
    if isinstance(value, kind) and not (kind is dt.date and isinstance(value, dt.datetime)):
        return value  # type: ignore[return-value]  # kind is one of the value types
    if not isinstance(value, str):
        raise wrong
    try:
        return _parse(kind, value)
    except ValueError:
        raise wrong from None


def _parse(kind: type, text: str) -> Value:
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError(text)
        return text.lower() in _TRUE
    if kind is dt.date:
        return dt.date.fromisoformat(text)
    if kind is dt.datetime:
        return dt.datetime.fromisoformat(text)
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    return text


def canonical_values(values: Mapping[str, Value]) -> dict[str, str | int | float | bool | None]:
    """Returns parameters as JSON values: what identifies an instance and what a resume reads back."""
    return {n: v.isoformat() if isinstance(v, dt.date) else v for n, v in sorted(values.items())}
