"""Which literals of a kernel become texts, and that lines stay where they were."""

from __future__ import annotations

import textwrap

import pytest

from checkrow.compile.text_literals import TextLiterals
from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock


def replaced(text: str) -> tuple[str, dict[str, bytes]]:
    literals = TextLiterals()
    plain = textwrap.dedent(text).strip()
    out = literals.replaced(SourceBlock("f", plain, "file.py", 10))
    assert len(out.splitlines()) == len(plain.splitlines())
    compile(out, "file.py", "exec")
    return out.splitlines()[-1].strip(), dict(literals.constants)


@pytest.mark.parametrize(
    ("line", "wanted", "found"),
    [
        ('return x.find("a")', "return x.find(text_checkrow_0)", [b"a"]),
        ('return x.find("é") + x.find("b") # é', "return x.find(text_checkrow_0) + x.find(text_checkrow_1) # é", ["é".encode(), b"b"]),
        ('return x == b"\\xff" or "a" < x or x in ("a", "b")', "return x == text_checkrow_0 or text_checkrow_1 < x or x in (text_checkrow_1, text_checkrow_2)", [b"\xff", b"a", b"b"]),
        ('return "yes" if x else "no"', "return text_checkrow_0 if x else text_checkrow_1", [b"yes", b"no"]),
        ('return helper(x, "a", key="b")', "return helper(x, text_checkrow_0, key=text_checkrow_1)", [b"a", b"b"]),
        ('return len("é")', "return len(text_checkrow_0)", ["é".encode()]),
        ('return np.zeros(3, "f8").astype("i8")', 'return np.zeros(3, "f8").astype("i8")', []),
        ('return np.zeros(x.find("f"), dtype="f8")', 'return np.zeros(x.find(text_checkrow_0), dtype="f8")', [b"f"]),
        ('return x["name"] + float("1")', 'return x["name"] + float("1")', []),
        ('raise ValueError("bad " "thing")', 'raise ValueError("bad " "thing")', []),
        ('assert x == "a", "not a"', 'assert x == text_checkrow_0, "not a"', [b"a"]),
        ('return f"{x}"', 'return f"{x}"', []),
    ],
)  # fmt: skip
def test_literals(line: str, wanted: str, found: list[bytes]) -> None:
    text, constants = replaced(f'def f(x):\n    """Says \'what\'."""\n    {line}')
    assert text == wanted
    assert list(constants.values()) == found


def test_a_literal_over_lines_leaves_as_many() -> None:
    text, constants = replaced('def f(x):\n    a = """one\ntwo"""; b = ("three"\n"four")\n    return a')
    assert text == "return a"
    assert list(constants.values()) == [b"one\ntwo", b"threefour"]


def test_a_literal_without_utf8_names_its_line() -> None:
    with pytest.raises(KernelTypeError, match=r"file\.py:11: '\\udc80' has no UTF-8"):
        replaced('def f(x):\n    return x == "\\udc80"')
