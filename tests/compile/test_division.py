"""A kernel that divides whole numbers by zero raises, wherever the division stands; its lines stay where they were."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.compile.division import CHECKED, with_checked_divisions
from checkrow.errors import KernelRowError
from checkrow_kernels import division

NAMES = {name: getattr(division, function) for function, name in CHECKED.items()}
FORMS = [
    "return a // b",
    "return a % b",
    "return a // b // c % a",
    "return a // (b // c)",
    "return (a + b) // (  # 100 % of it // all\n        c\n    )",
    "return -a // -b",
    "return (a//b, a%c, 'x' if a else 'y % z')",
    "return divmod(a, b)[0] // c",
    "return divmod(a // b, c % a)",
    "x = a\n    x //= b\n    x %= (c + 1 - 1)\n    return x",
    "x = [a, b]\n    x[a // a - 1] //= b + 0\n    return x[0]",
    "é = a; return é // b + é % c",
    "return a \\\n        // b",
    "return a % b if c // a else 0",
]


def outcome(text: str, arguments: tuple[int, ...]) -> object:
    space: dict[str, object] = dict(NAMES)
    exec(text, space)
    try:
        return space["f"](*arguments)  # type: ignore[operator]
    except ZeroDivisionError:
        return "zero"


@pytest.mark.parametrize("form", FORMS)
def test_the_edited_text_means_the_same_and_keeps_its_lines(form: str) -> None:
    text = f"def f(a, b, c):\n    {form}\n"
    edited = with_checked_divisions(text)
    assert edited.count("_checkrow(") >= 1
    assert edited.count("\n") == text.count("\n")
    for arguments in itertools.product((-7, -1, 0, 2, 5), repeat=3):
        assert outcome(edited, arguments) == outcome(text, arguments), (edited, arguments)


def test_a_text_without_divisions_is_untouched() -> None:
    text = "def f(a):\n    return a / 2 + len('%d // 3')  # // %\n"
    assert with_checked_divisions(text) == text


@cr.row_kernel(returns={"q": pa.int64()})
def quotient(x, y):
    return (
        x
        // y
    )  # fmt: skip


@cr.row_kernel(returns={"q": pa.float64()})
def floats(x, y):
    return x // (y * 1.0) + x / y


@cr.group_kernel(returns={"q": pa.int64()})
def whole_arrays(x, y):
    return (x % y).sum()


@cr.aggregator(returns=pa.int64())
class Shares:
    def init():
        return 0

    def update(state, x, y):
        return state + x // y

    def merge(state, other):
        return state + other

    def finish(state):
        return state


def numbers(place: Path, dtype: pa.DataType, y: list[int]) -> cr.Dataset:
    pq.write_table(
        pa.table({"k": [1] * len(y), "x": pa.array(range(len(y)), dtype), "y": pa.array(y, dtype)}), place / "n"
    )
    return cr.scan(str(place / "n"))


@pytest.mark.parametrize("dtype", [pa.int8(), pa.int32(), pa.int64(), pa.uint16()])
def test_the_row_is_named(tmp_path: Path, dtype: pa.DataType) -> None:
    with pytest.raises(KernelRowError, match=r"row 2: kernel 'quotient' .*ZeroDivisionError: integer division by zero"):
        numbers(tmp_path, dtype, [1, 2, 0, 4]).map(quotient).collect()
    assert numbers(tmp_path, dtype, [1, 2, 3, 4]).map(quotient).collect()["q"].to_pylist() == [0, 0, 0, 0]


def test_floats_keep_numpys_rules(tmp_path: Path) -> None:
    found = numbers(tmp_path, pa.int64(), [1, 0]).map(floats).collect()["q"].to_pylist()
    assert found[0] == 0.0
    assert found[1] == float("inf") or found[1] != found[1]


def test_arrays_and_aggregators_are_checked(tmp_path: Path) -> None:
    rows = numbers(tmp_path, pa.int64(), [1, 2, 0])
    with pytest.raises(KernelRowError, match="group k=1: kernel .* raised ZeroDivisionError"):
        rows.group_by("k").apply(whole_arrays).collect()
    with pytest.raises(KernelRowError, match=r"row 2: kernel 'Shares' .*ZeroDivisionError"):
        rows.group_by("k").agg(s=Shares("x", "y")).collect()
    kept = rows.filter(cr.col("y") != 0)
    assert kept.group_by("k").apply(whole_arrays).collect()["q"].to_pylist() == [1]
    assert kept.group_by("k").agg(s=Shares("x", "y")).collect()["s"].to_pylist() == [0]


def test_the_plain_function_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        division.floor_divide(1, 0)
