"""Texts of plain calls: str and bytes become the views that kernels see, and views become str and bytes again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checkrow.expressions.types import Field, is_text
from checkrow_kernels.text import Text, Texts, bytes_of


def seen_value(value: object) -> object:
    """Returns a value as a kernel sees it: a view over the UTF-8 of a str, or over bytes."""
    return Text(value) if isinstance(value, (str, bytes)) else value


def seen_array(values: object) -> object:
    """Returns the values of one group as a kernel sees them: a sequence of str, bytes and None as texts."""
    plain = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OSU" else values
    if not isinstance(plain, Sequence) or isinstance(plain, (str, bytes, Texts)):
        return values
    some = [v for v in plain if v is not None]
    return Texts(plain) if some and all(isinstance(v, (str, bytes, Text)) for v in some) else values


def given_back(result: object, fields: tuple[Field, ...]) -> object:
    """Returns a kernel's result with texts as the str or bytes that their columns hold."""
    if len(fields) != 1 and isinstance(result, tuple):
        return tuple(_plain(v, f) for v, f in zip(result, fields, strict=True))
    return _plain(result, fields[0]) if len(fields) == 1 else result


def _plain(value: object, field: Field) -> object:
    if not is_text(field.dtype):
        return value
    data = bytes_of(value)  # type: ignore[arg-type]  # what is no text is refused there
    return data.decode() if field.dtype == "string" else data
