"""The column types checkrow computes with, and their names as text.

A type travels through plans as text (`str(pyarrow type)`), so that plans are plain JSON. `parse_type` is the inverse.
Invariant: `type_text(parse_type(t)) == t` for every supported `t`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
import numpy as np
import pyarrow as pa

from checkrow.errors import SchemaError

NARROW_DIGITS = 18
"""Decimals of at most this precision are one int64 per value; wider ones are two words."""

_SIMPLE = {
    str(t): t
    for t in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float32(), pa.float64(), pa.bool_(), pa.date32(), pa.string(), pa.binary()),
    )
}
_DECIMAL = re.compile(r"decimal128\((\d+), (-?\d+)\)")
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DURATION = re.compile(r"duration\[(s|ms|us|ns)\]")
UNSUPPORTED = "unsupported:"


class Field(msgspec.Struct, frozen=True):
    """A named column: type as text (see `parse_type`) and whether it may hold nulls."""

    name: str
    dtype: str
    nullable: bool = True


Schema = tuple[Field, ...]


@lru_cache(maxsize=512)
def parse_type(text: str) -> pa.DataType:
    """Returns the Arrow type a text names; raises SchemaError for one checkrow does not compute with."""
    if text in _SIMPLE:
        return _SIMPLE[text]
    if found := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := _TIMESTAMP.fullmatch(text):
        return pa.timestamp(found[1], tz=found[2])
    if found := _DURATION.fullmatch(text):
        return pa.duration(found[1])
    raise SchemaError(f"columns of type {text.removeprefix(UNSUPPORTED)} cannot be used yet; cast or drop them first")


_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def type_text(dtype: pa.DataType) -> str:
    """Returns the text of a type as columns have it inside checkrow: string_view and dictionaries are strings."""
    plain = dtype
    if pa.types.is_dictionary(plain):
        plain = plain.value_type
    if pa.types.is_large_string(plain) or pa.types.is_string_view(plain):
        plain = pa.string()
    elif pa.types.is_large_binary(plain) or pa.types.is_binary_view(plain):
        plain = pa.binary()
    elif pa.types.is_decimal32(plain) or pa.types.is_decimal64(plain):
        plain = pa.decimal128(plain.precision, plain.scale)
    text = str(plain)
    supported = text in _SIMPLE or any(p.fullmatch(text) for p in (_DECIMAL, _TIMESTAMP, _DURATION))
    return text if supported else UNSUPPORTED + text


def field_type(field: Field) -> pa.DataType:
    """Returns a column's Arrow type; raises SchemaError naming a column of a type that cannot be used."""
    if field.dtype.startswith(UNSUPPORTED):
        kind = field.dtype.removeprefix(UNSUPPORTED)
        raise SchemaError(
            f"column {field.name!r} is {kind}, which cannot be used yet; leave it out with .drop({field.name!r})"
        )
    return parse_type(field.dtype)


def schema_of(schema: pa.Schema) -> Schema:
    """Returns an Arrow schema in plan form."""
    return tuple(Field(f.name, type_text(f.type), f.nullable) for f in schema)


def arrow_schema(fields: Schema) -> pa.Schema:
    """Returns a plan schema as an Arrow schema."""
    return pa.schema([pa.field(f.name, field_type(f), f.nullable) for f in fields])


def is_integer(text: str) -> bool:
    """Tells whether a type is a signed or unsigned integer."""
    return bool(pa.types.is_integer(parse_type(text)))


def is_float(text: str) -> bool:
    """Tells whether a type is float32 or float64."""
    return text in {"float", "double"}


def is_decimal(text: str) -> bool:
    """Tells whether a type is a decimal."""
    return text.startswith("decimal128")


def is_numeric(text: str) -> bool:
    """Tells whether arithmetic is defined on a type."""
    return is_float(text) or is_decimal(text) or is_integer(text)


def is_text(text: str) -> bool:
    """Tells whether a type is string or binary."""
    return text in {"string", "binary"}


def is_temporal(text: str) -> bool:
    """Tells whether a type is a date or a timestamp."""
    return text == "date32[day]" or text.startswith("timestamp")


def share_time(source: str, target: str) -> bool:
    """Tells whether two types count the same in units of time: dates and timestamps, or durations."""
    return (is_temporal(source) and is_temporal(target)) or bool(
        _DURATION.fullmatch(source) and _DURATION.fullmatch(target)
    )


@lru_cache(maxsize=1024)
def is_wide(text: str) -> bool:
    """Tells whether values take two 64-bit words (decimals beyond 18 digits)."""
    return is_decimal(text) and parse_type(text).precision > NARROW_DIGITS


def decimal_shape(text: str) -> tuple[int, int]:
    """Returns (precision, scale) of a decimal type, or of the decimal that holds every value of an integer type."""
    dtype = parse_type(text)
    if pa.types.is_decimal(dtype):
        return dtype.precision, dtype.scale
    digits = {1: 3, 2: 5, 4: 10, 8: 19 if pa.types.is_signed_integer(dtype) else 20}
    return digits[dtype.byte_width], 0


def decimal_text(precision: int, scale: int) -> str:
    """Returns the text of a decimal type."""
    return f"decimal128({precision}, {scale})"


def alike(source: str, wanted: str) -> bool:
    """Tells whether values of one type may be read as another when each converts without loss."""
    if source == wanted or source.startswith(UNSUPPORTED):
        return source == wanted
    return (is_numeric(source) and is_numeric(wanted)) or (is_temporal(source) and is_temporal(wanted))


def refuse_unlike(where: str, name: str, source: str, wanted: str) -> None:
    """Raises SchemaError unless a file's column may be read as what the dataset has."""
    if not alike(source, wanted):
        raise type_clash(where, name, source, wanted)


def type_clash(where: str, name: str, source: str, wanted: str) -> SchemaError:
    """Returns the error for a column that is not, or not without loss, what the dataset has."""
    return SchemaError(f"{where}: column {name!r} is {source.removeprefix(UNSUPPORTED)} but the dataset has {wanted}")


_NUMPY = {"bool": "u1", "date32[day]": "i4", "float": "f4", "double": "f8"}


def numpy_dtype(text: str) -> np.dtype[np.generic]:
    """Returns the dtype of a column's values array (bool as uint8, decimals and times as int64)."""
    if text in _NUMPY:
        return np.dtype(_NUMPY[text])
    if text in _SIMPLE and not is_text(text):
        return np.dtype(text)
    if is_text(text):
        return np.dtype("u1")
    return np.dtype("i8")


def is_narrow(text: str) -> bool:
    """Tells whether 64 bits hold whole numbers that a type does not: then what is written wide has to be checked."""
    if is_float(text) or is_text(text) or text == "bool" or is_wide(text):
        return False
    return integer_range(text) not in {integer_range("int64"), integer_range("uint64")}


def may_leave(text: str) -> bool:
    """Tells whether a whole number that a kernel returned may not fit a type (a uint64 may not fit int64)."""
    return not is_float(text) and text != "bool"


def integer_range(text: str) -> tuple[int, int]:
    """Returns the smallest and largest stored integer of a non-float, non-text type; decimals by their precision."""
    if is_decimal(text):
        limit = 10 ** parse_type(text).precision - 1
        return -limit, limit
    if text == "bool":
        return 0, 1
    info = np.iinfo(numpy_dtype(text).str)
    return int(info.min), int(info.max)


def time_factor(source: str, target: str) -> int | None:
    """Returns what stored times are multiplied by (negative: floor-divided by), or None when digits would be lost."""
    a, b = parse_type(source), parse_type(target)
    if pa.types.is_date(a):
        return None if pa.types.is_date(b) else _DAY[b.unit]
    if pa.types.is_date(b):
        return -_DAY[a.unit]
    ratio = _DAY[b.unit] // _DAY[a.unit]
    return ratio if ratio >= 1 else None
