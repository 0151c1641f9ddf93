"""Rows of the table of kernels: the methods of texts, each called by a function of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels import text_methods  # noqa: F401  # teaches Numba the methods
from checkrow_kernels import text_reference as reference
from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.kernel_info import Arguments, KernelInfo
from checkrow_kernels.text import Text


@inline_kernel
def text_eq(text: Any, other: Any) -> Any:
    """Calls `eq`."""
    return text.eq(other)


@inline_kernel
def text_compare(text: Any, other: Any) -> Any:
    """Calls `compare`."""
    return text.compare(other)


@inline_kernel
def text_startswith(text: Any, other: Any) -> Any:
    """Calls `startswith`."""
    return text.startswith(other)


@inline_kernel
def text_contains(text: Any, other: Any) -> Any:
    """Calls `contains`."""
    return text.contains(other)


@inline_kernel
def text_find(text: Any, other: Any) -> Any:
    """Calls `find`."""
    return text.find(other)


@inline_kernel
def text_slice(text: Any, start: Any, stop: Any) -> Any:
    """Calls `slice`."""
    return text.slice(start, stop)


@inline_kernel
def text_to_int(text: Any) -> Any:
    """Calls `to_int`."""
    return text.to_int()


@inline_kernel
def text_to_float(text: Any) -> Any:
    """Calls `to_float`."""
    return text.to_float()


@inline_kernel
def text_hash(text: Any) -> Any:
    """Calls `hash`."""
    return text.hash()


def _bytes(rng: np.random.Generator, most: int) -> Text:
    """Returns bytes of a small alphabet, so that stretches of them meet again."""
    return Text(rng.choice(np.frombuffer(b"ab\x00\xff", np.uint8), rng.integers(0, most + 1)).tobytes())


def _pair(rng: np.random.Generator, rows: int) -> Arguments:
    text = _bytes(rng, rows + 20)
    start = int(rng.integers(0, len(text) + 1))
    return text, text.slice(start, start + rows % 9) if rows % 2 else _bytes(rng, 3)


def _whole(rng: np.random.Generator, _rows: int) -> Arguments:
    return (Text(f"{rng.choice(['', '+', '-'])}000{rng.integers(0, 2**63)}"),)


def _decimal(rng: np.random.Generator, rows: int) -> Arguments:
    digits = "".join(str(d) for d in rng.integers(0, 10, 1 + rows))
    point = int(rng.integers(0, len(digits)))
    return (Text(f"{rng.choice(['', '-'])}{digits[:point]}.{digits[point:]}e{rng.integers(-330, 310) + rows // 2}"),)


def _cut(rng: np.random.Generator, rows: int) -> Arguments:
    return _bytes(rng, rows + 5), int(rng.integers(-9, 9)), int(rng.integers(-9, 9))


def _some(rng: np.random.Generator, rows: int) -> Arguments:
    return (_bytes(rng, rows),)


TEXTS = (
    KernelInfo(
        name="text_eq", function=text_eq, reference=reference.eq, cost="O(bytes)",
        example=_pair,
    ),
    KernelInfo(
        name="text_compare", function=text_compare, reference=reference.compare, cost="O(bytes)",
        example=_pair,
    ),
    KernelInfo(
        name="text_startswith", function=text_startswith, reference=reference.startswith, cost="O(bytes of the other)",
        example=_pair,
    ),
    KernelInfo(
        name="text_contains", function=text_contains, reference=reference.contains,
        cost="O(bytes * bytes of the other)", example=_pair,
    ),
    KernelInfo(
        name="text_find", function=text_find, reference=reference.find, cost="O(bytes * bytes of the other)",
        example=_pair,
    ),
    KernelInfo(
        name="text_slice", function=text_slice, reference=reference.slice_, cost="O(1)",
        example=_cut,
    ),
    KernelInfo(
        name="text_to_int", function=text_to_int, reference=reference.to_int, cost="O(bytes)",
        example=_whole,
    ),
    KernelInfo(
        name="text_to_float", function=text_to_float, reference=reference.to_float, cost="O(bytes)",
        source="Clinger, PLDI 1990; Mushtak and Lemire, 2023",
        example=_decimal,
    ),
    KernelInfo(
        name="text_hash", function=text_hash, reference=reference.hash_, cost="O(bytes)",
        source="FNV-1a over words, finaliser of MurmurHash3",
        example=_some,
    ),
)  # fmt: skip
