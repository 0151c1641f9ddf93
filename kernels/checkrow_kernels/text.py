"""Text in kernels as plain Python: what a view over bytes can do, for interpreted runs and plain calls.

Text is bytes: of a string column, its UTF-8. Lengths and positions count bytes, order is the order of bytes, which for
UTF-8 is that of code points. Compiled kernels work on `text_type` instead, with the same methods and results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from checkrow_kernels.reference_hashing import hash_text

NOT_WHOLE = "to_int() takes an optional sign and digits that fit 64 bits, and this text is something else"
NOT_A_NUMBER = "to_float() takes a decimal number, inf, infinity or nan, and this text is something else"
OUTSIDE = "index outside the text"
OUTSIDE_TEXTS = "index outside the column of texts"
_WHOLE = re.compile(rb"[+-]?[0-9]+")
_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_INT64 = range(-(2**63), 2**63)


class Text:
    """A view over bytes; a str stands for its UTF-8 wherever a text is taken.

    Attributes
    ----------
    data : bytes
    """

    __slots__ = ("data",)

    def __init__(self, data: Text | str | bytes) -> None:
        self.data = bytes_of(data)

    # -- methods, also those of compiled kernels ----------------------------------------------------------------------

    def eq(self, other: Text | str | bytes) -> bool:
        """Tells whether two texts have the same bytes."""
        return self.data == bytes_of(other)

    def compare(self, other: Text | str | bytes) -> int:
        """Returns -1, 0 or 1: whether the bytes come before, equal or come after those of another text."""
        mine, theirs = self.data, bytes_of(other)
        return (mine > theirs) - (mine < theirs)

    def startswith(self, other: Text | str | bytes) -> bool:
        """Tells whether the first bytes are those of another text."""
        return self.data.startswith(bytes_of(other))

    def contains(self, other: Text | str | bytes) -> bool:
        """Tells whether the bytes of another text stand somewhere in this one."""
        return bytes_of(other) in self.data

    def find(self, other: Text | str | bytes) -> int:
        """Returns the first byte position at which another text stands, or -1."""
        return self.data.find(bytes_of(other))

    def slice(self, start: int, stop: int | None = None) -> Text:
        """Returns the bytes from `start` to before `stop` as a view; both as in Python's slices."""
        return Text(self.data[start:stop])

    def to_int(self) -> int:
        """Returns the whole number that the text spells: an optional sign, then ASCII digits.

        Raises
        ------
        ValueError
            If it is anything else (spaces and underscores included) or does not fit int64.
        """
        if _WHOLE.fullmatch(self.data) is None or len(self.data.lstrip(b"+-0")) > len(str(2**63)):
            raise ValueError(NOT_WHOLE)
        value = int(self.data)
        if value not in _INT64:
            raise ValueError(NOT_WHOLE)
        return value

    def to_float(self) -> float:
        """Returns the double nearest to the number that the text spells.

        An optional sign, then digits with at most one point among them and an optional exponent, or `inf`, `infinity`
        or `nan` in any case. Ties go to the even double; what is too large for a double is infinity.

        Raises
        ------
        ValueError
            If it is anything else (spaces and underscores included).
        """
        if _NUMBER.fullmatch(self.data) is None:
            raise ValueError(NOT_A_NUMBER)
        return float(self.data)

    def hash(self) -> int:
        """Returns 64 bits that depend on the bytes alone: the same in every process, machine and version.

        They are signed, as all whole numbers in kernels: `% n` of an unsigned one and `n` would go through floats.
        """
        return signed(hash_text(self.data))

    # -- Python's own -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> int:
        """Returns a byte; raises IndexError outside the text."""
        if not isinstance(index, (int, np.integer)):
            raise TypeError("a text is indexed by a whole number; use .slice(start, stop)")
        if not -len(self.data) <= index < len(self.data):
            raise IndexError(OUTSIDE)
        return self.data[index]

    def __contains__(self, other: Text | str | bytes) -> bool:
        return self.contains(other)

    def __eq__(self, other: object) -> bool:
        return self.eq(other) if isinstance(other, (Text, str, bytes)) else NotImplemented

    def __lt__(self, other: Text | str | bytes) -> bool:
        return self.compare(other) < 0

    def __le__(self, other: Text | str | bytes) -> bool:
        return self.compare(other) <= 0

    def __gt__(self, other: Text | str | bytes) -> bool:
        return self.compare(other) > 0

    def __ge__(self, other: Text | str | bytes) -> bool:
        return self.compare(other) >= 0

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"Text({self.data!r})"

    def __str__(self) -> str:
        return self.data.decode(errors="replace")


def signed(word: int) -> int:
    """Returns 64 bits as a whole number with a sign."""
    return word - 2**64 if word >= 2**63 else word


def bytes_of(value: Text | str | bytes) -> bytes:
    """Returns the bytes of a text, the UTF-8 of a str; raises TypeError for anything else."""
    if isinstance(value, Text):
        return value.data
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TypeError(f"expected a text, a str or bytes, not {type(value).__name__}")


class Texts(Sequence[Text]):
    """The texts of a group, read-only; None, where a column has a null, is the empty text."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Iterable[Text | str | bytes | None]) -> None:
        self._texts = [Text(b"" if t is None else t) for t in texts]

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: Any) -> Any:
        """Returns a text; raises IndexError outside the column."""
        return self._texts[_inside(index, len(self._texts))]

    def tolist(self) -> list[bytes]:
        """Returns the bytes of all texts."""
        return [t.data for t in self._texts]


class TextSlots(Texts):
    """Where a kernel writes texts: any slot, in any order, as often as it likes; the empty text at first."""

    __slots__ = ()

    def __init__(self, count: int) -> None:
        super().__init__([b""] * count)

    def __setitem__(self, index: int, value: Text | str | bytes) -> None:
        """Sets a text; raises IndexError outside the column."""
        self._texts[_inside(index, len(self._texts))] = Text(value)


def _inside(index: Any, size: int) -> int:
    if not isinstance(index, (int, np.integer)):
        raise TypeError("a column of texts is indexed by a whole number")
    if not -size <= index < size:
        raise IndexError(OUTSIDE_TEXTS)
    return int(index)
