"""Methods of texts: machine code and plain Python against what the methods promise; what leaves a driver."""

from __future__ import annotations

import inspect
import itertools
import math
import struct
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys

from checkrow_kernels import text_methods  # noqa: F401  # teaches Numba the methods
from checkrow_kernels.registry import KERNELS
from checkrow_kernels.text import Text, Texts, TextSlots
from checkrow_kernels.text_methods import TEXT_METHODS
from checkrow_kernels.text_rows import is_utf8, put_text, room_of, slots_at, text_between, texts_at
from tests.profiles import drawing

COMPILED = {k.name.removeprefix("text_"): k.function for k in KERNELS if k.name.startswith("text_")}
REFERENCES = {k.name.removeprefix("text_"): k.reference for k in KERNELS if k.name.startswith("text_")}
PAIRS = ("eq", "compare", "startswith", "contains", "find")
BYTES = (
    st.binary(max_size=40) | st.text(max_size=12).map(str.encode) | st.sampled_from([b"", b"\x00", b"a" * 8, b"a" * 17])
)
NEAR = drawing(3)


def outcome(function: Any, *args: Any) -> Any:
    """Returns what a call gave, floats by their bits, or how it failed."""
    try:
        found = function(*args)
    except (ValueError, IndexError) as error:
        return type(error), str(error)
    return struct.pack("<d", found) if isinstance(found, float) else found


def test_the_table_is_what_texts_can_do() -> None:
    public = {n for n, f in vars(Text).items() if inspect.isfunction(f) and not n.startswith("_")}
    assert public == set(TEXT_METHODS) == set(COMPILED)


@NEAR
@given(BYTES, BYTES, st.integers(-45, 45), st.none() | st.integers(-45, 45))
def test_methods_equal_their_references(mine: bytes, other: bytes, start: int, stop: int | None) -> None:
    text = Text(mine)
    for part in (Text(other), text.slice(start, stop), Text(mine[:-1] + b"~")):
        for name in PAIRS:
            wanted = REFERENCES[name](text, part)
            assert COMPILED[name](text, part) == getattr(text, name)(part) == wanted, name
    assert COMPILED["slice"](text, start, 45 if stop is None else stop) == REFERENCES["slice"](
        text, start, stop if stop is not None else 45
    )
    assert to_end(text, start) == text.slice(start) == Text(mine[start:])
    assert COMPILED["hash"](text) == text.hash() == REFERENCES["hash"](text)
    assert operators(text, Text(other)) == operators.py_func(text, Text(other))
    assert outcome(byte, text, start) == outcome(byte.py_func, text, start)


@numba.njit
def to_end(text, start):
    return text.slice(start)


@numba.njit
def operators(a, b):
    return a == b, a != b, a < b, a <= b, a > b, a >= b, b in a, len(a), bool(a)


@numba.njit
def byte(text, index):
    return text[index]


@pytest.mark.parametrize(
    ("method", "args", "wanted"),
    [
        ("eq", ("hé", "hé"), True),
        ("eq", ("a", "a\x00"), False),
        ("eq", ("", ""), True),
        ("compare", ("a", "b"), -1),
        ("compare", ("ab", "a"), 1),
        ("compare", ("é", "z"), 1),
        ("compare", (b"\xff", "\U0010ffff"), 1),
        ("startswith", ("häuser", "hä"), True),
        ("startswith", ("h", "hä"), False),
        ("startswith", ("", ""), True),
        ("contains", ("a\x00b", "\x00"), True),
        ("contains", ("abc", "d"), False),
        ("find", ("häß", "ß"), 3),
        ("find", ("aaab", "ab"), 2),
        ("find", ("abc", ""), 0),
        ("find", ("", "a"), -1),
        ("slice", ("häß", 1, 3), "ä"),
        ("slice", ("abc", -2, 9), "bc"),
        ("slice", ("abc", 2, 1), ""),
        ("to_int", ("-0042",), -42),
        ("to_int", ("+9223372036854775807",), 2**63 - 1),
        ("to_int", ("-9223372036854775808",), -(2**63)),
        ("to_int", ("0" * 60 + "7",), 7),
        ("to_float", ("-1.5e3",), -1500.0),
        ("to_float", (".5",), 0.5),
        ("to_float", ("5.",), 5.0),
        ("to_float", ("-0",), -0.0),
        ("to_float", ("1e999",), math.inf),
        ("to_float", ("1e-99999999999999999999",), 0.0),
        ("to_float", ("4.9e-324",), 5e-324),
        ("to_float", ("2.4703282292062327e-324",), 0.0),
        ("to_float", ("1.7976931348623158e308",), 1.7976931348623157e308),
        ("to_float", ("9007199254740993",), 9007199254740992.0),
        ("to_float", ("9007199254740993." + "0" * 900 + "1",), 9007199254740994.0),
        ("to_float", ("-Infinity",), -math.inf),
        ("hash", ("",), 6118778247639020127),
        ("hash", ("ftp://x",), 8188151493435220435),
    ],
)  # fmt: skip
def test_golden_cases(method: str, args: tuple[Any, ...], wanted: Any) -> None:
    # The hashes are kept: what was joined or partitioned by them must be found again by every version.
    texts = [Text(a) if isinstance(a, (str, bytes)) else a for a in args]
    expected = Text(wanted) if isinstance(wanted, str) else wanted
    for function in (COMPILED[method], getattr(Text, method)):
        found = function(*texts)
        assert found == expected
        if isinstance(found, float):
            assert math.copysign(1, found) == math.copysign(1, expected)


def test_nan_is_read_in_any_case() -> None:
    for text in ("nan", "NaN", "-NAN", "+nan"):
        assert math.isnan(COMPILED["to_float"](Text(text)))
        assert math.isnan(Text(text).to_float())


NOT_NUMBERS = ["", "+", "-", " 1", "1 ", "1_0", "0x1", "\u0661", "1\x00", "--1", "+-1"]


@pytest.mark.parametrize("text", [*NOT_NUMBERS, "1.", "1e3", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
                                  "99999999999999999999999"])  # fmt: skip
def test_what_is_no_whole_number(text: str) -> None:
    for function in (COMPILED["to_int"], Text.to_int):
        with pytest.raises(ValueError, match=r"to_int\(\) takes an optional sign and digits that fit 64 bits"):
            function(Text(text))


@pytest.mark.parametrize(
    "text", [*NOT_NUMBERS, ".", "e1", "1e", "1e+", "1e1.", "1..2", "1.2.3", "in", "infinit", "nano", "1f"]
)
def test_what_is_no_number(text: str) -> None:
    for function in (COMPILED["to_float"], Text.to_float):
        with pytest.raises(ValueError, match=r"to_float\(\) takes a decimal number"):
            function(Text(text))


def spelled(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def exact(value: Fraction, change: int, zeros: int) -> str:
    """Returns all digits of a fraction whose denominator is a power of two, the last one changed, zeros behind."""
    power = value.denominator.bit_length() - 1
    return f"{(value.numerator * 5**power) * 10**zeros + change}e{-power - zeros}"


DOUBLES = st.integers(0, 0x7FEF << 48).map(spelled)
MIDDLES = st.builds(
    lambda x, change, zeros: exact((Fraction(x) + Fraction(math.nextafter(x, math.inf))) / 2, change, zeros),
    DOUBLES, st.sampled_from([-1, 0, 0, 1]), st.sampled_from([0, 1, 800]),
)  # fmt: skip
SPELLINGS = (
    DOUBLES.map(repr)
    | MIDDLES
    | st.from_regex(r"[+-]?[0-9]{0,25}\.?[0-9]{0,25}([eE][+-]?[0-9]{1,4})?", fullmatch=True)
    | st.text("0123456789.eE+-_ infaty", max_size=9)
)


@NEAR
@given(SPELLINGS)
def test_floats_are_those_of_python(text: str) -> None:
    plain = text if text.isascii() and "_" not in text and text.strip() == text else "no number"
    wanted = outcome(float, plain)
    for function in (COMPILED["to_float"], Text.to_float):
        found = outcome(function, Text(text))
        assert found == wanted or (found[0] is ValueError and wanted[0] is ValueError)


@NEAR
@given(st.integers(-(2**65), 2**65).map(str) | st.text("0123456789+- ", max_size=9))
def test_whole_numbers_are_those_of_python(text: str) -> None:
    for function in (COMPILED["to_int"], Text.to_int):
        found = outcome(function, Text(text))
        try:
            wanted = int(text) if text.strip() == text else None
        except ValueError:
            wanted = None
        assert found == wanted if wanted is not None and -(2**63) <= wanted < 2**63 else found[0] is ValueError


def test_utf8_is_what_python_decodes() -> None:
    edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xEC, 0xED, 0xEF, 0xF0, 0xF3,
             0xF4, 0xF5, 0xFF]  # fmt: skip

    def decodes(data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
        return True

    some = [bytes(t) for n in (1, 2, 3) for t in itertools.product(edges, repeat=n)]
    some += [bytes(t) for t in itertools.product(edges[13:], edges[3:9], edges[:10], edges[3:11])]
    wrong = [d for d in some if is_utf8(Text(d)) != decodes(d)]
    assert wrong == []
    for at in range(20):
        assert not is_utf8(Text(b"a" * at + b"\xff" + b"a" * 20))


@numba.njit
def copied(text, data, at):
    return put_text(text, room_of(data), at)


@pytest.mark.parametrize("size", [*range(20), 63, 64, 65])
def test_a_text_is_copied_out_whole_or_not_at_all(size: int) -> None:
    text = bytes(range(100, 100 + size))
    for room, at in ((size, 0), (size + 3, 3), (size + 9, 2)):
        data = np.zeros(room, np.uint8)
        assert copied(Text(text), data, at) == at + size
        assert data.tobytes() == bytes(at) + text + bytes(room - at - size)
    if size:
        data = np.zeros(size + 1, np.uint8)
        assert copied(Text(text), data, 2) == -1
        assert not data.any()


@numba.njit
def reversed_into(starts, stops, data, addresses, lengths):
    texts = texts_at(starts, stops, data, 1, len(starts))
    slots = slots_at(addresses, lengths, 0, len(texts))
    for i in range(len(texts)):
        slots[i] = texts[0]
        slots[len(texts) - 1 - i] = texts[i].slice(1)
    return slots[0], slots[-1], texts[-1], len(slots)


@numba.njit
def outside(starts, stops, data, addresses, lengths, index, write):
    texts = texts_at(starts, stops, data, 0, len(starts))
    slots = slots_at(addresses, lengths, 0, 2)
    if write:
        slots[index] = texts[0]
        return texts[0]
    return texts[index]


def test_columns_of_texts_and_slots() -> None:
    data = np.frombuffer(b"-aaabbbccc", np.uint8)
    starts, stops = np.array([0, 1, 4, 7]), np.array([1, 4, 7, 10])
    slots = np.zeros(3, np.int64), np.zeros(3, np.int64)
    found = reversed_into(starts, stops, data, *slots)
    # The first slot was written first and again last.
    assert found == (Text("cc"), Text("aaa"), Text("ccc"), 3)
    for index in (4, -5):
        with pytest.raises(IndexError, match="index outside the column of texts"):
            outside(starts, stops, data, *slots, index, False)
        with pytest.raises(IndexError, match="index outside the column of texts"):
            Texts(["a"] * 4)[index]
    for index in (2, -3):
        with pytest.raises(IndexError, match="index outside the column of texts"):
            outside(starts, stops, data, *slots, index, True)
        with pytest.raises(IndexError, match="index outside the column of texts"):
            TextSlots(2)[index] = "a"


@numba.njit
def all_methods(starts, stops, data, out):
    seen = 0
    for i in range(len(starts)):
        text = text_between(data, starts[i], stops[i])
        rest = text.slice(text.find(COMMA) + 1)
        if text.startswith(COMMA) or rest.contains(text) or rest.compare(text) > 0 or rest == text:
            seen += len(rest)
        if rest.eq(text):
            seen += 1
        out[i] = text.hash()
    return seen


COMMA = Text(",")


def test_a_loop_over_texts_allocates_nothing() -> None:
    data = np.frombuffer(b"a,b;,c;" * 1000, np.uint8)
    starts, stops = np.arange(0, 7000, 7), np.arange(3, 7000, 7)
    out = np.zeros(1000, np.int64)
    all_methods(starts, stops, data, out)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        all_methods(starts, stops, data, out)
        made = rtsys.get_allocation_stats().alloc - before.alloc
    finally:
        _nrt_python.memsys_disable_stats()
    assert made == 4  # Numba's records of the four arrays, not one of a thousand rows
    assert out[0] == Text("a,b").hash()


@pytest.mark.parametrize("wrong", [1, None, [b"a"]])
def test_only_texts_are_texts(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected a text"):
        Text("a").find(wrong)
    with pytest.raises(TypeError, match="indexed by a whole number"):
        _ = Text("abc")[0:1]
