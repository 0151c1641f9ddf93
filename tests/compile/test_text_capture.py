"""Text constants are captured as numbers are: by name, through modules and closures, each name meaning one thing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors

HEAD = "import checkrow as cr, pyarrow as pa\n"
HELPERS = "SEP = '='\nRAW = b'='\ndef cut(s, other=0):\n    return s.slice(s.find(SEP) + 1 + other)\n"


@pytest.fixture
def kernel_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns what makes a kernel over `s` of a body, in a module beside `words`."""
    monkeypatch.syspath_prepend(tmp_path)
    numbers = iter(range(100))

    def make(body: str, imports: str = "", helpers: str = HELPERS) -> Any:
        name = f"job_{next(numbers)}"
        (tmp_path / "words.py").write_text(helpers)
        (tmp_path / f"{name}.py").write_text(
            f"{HEAD}{imports}\n@cr.row_kernel(returns=pa.string())\ndef kernel(s):\n    {body}\n"
        )
        for known in ("words", name):
            monkeypatch.delitem(sys.modules, known, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(name).kernel

    return make


def values(kernel: Any) -> list[Any]:
    pq.write_table(pa.table({"s": ["a=b", "=", None, "xyz"]}), "s.parquet")
    return cr.scan("s.parquet").map(kernel).collect()["kernel"].to_pylist()


@pytest.mark.parametrize(
    ("body", "imports"),
    [
        ("return cut(s)", "from words import cut"),
        ("return grow(s, other=0)", "from words import cut as grow"),
        ("return s.slice(s.find(words.SEP) + 1)", "import words"),
        ("return s.slice(s.find(w.RAW) + 1) if w.SEP in s else s", "import words as w"),
        ("return s.slice(s.find(SEP) + 1) if SEP in s else cut(s)", "from words import SEP, cut"),
        ("return s.slice(s.find(MINE) + 1)", "import numpy as np\nMINE = np.str_('=')"),
        ("return s.slice(s.find(SEP) + 1) if SEP in s else cut(s)", "from words import cut\nSEP = b'='"),
    ],
)
def test_constants(kernel_of: Any, body: str, imports: str) -> None:
    kernel = kernel_of(body, imports)
    assert values(kernel) == ["b", "", None, "xyz"]
    assert kernel("a=b") == "b"


@pytest.mark.parametrize(
    ("body", "imports", "message"),
    [
        ("return cut(s) if SEP in s else s", "from words import cut\nSEP = '-'", "'SEP' means something else"),
        ("return cut(s) if SEP > 0 else s", "from words import cut\nSEP = 1", "'SEP' means something else"),
        ("return words.cut(s) if cut in s else s", "import words\ncut = 'c'", "'cut' means something else"),
        ("return s if BAD in s else s", "BAD = '\\ud800'", r"reaches 'BAD', '\\ud800', which has no UTF-8"),
        ("return LIST[0]", "LIST = ['a']", "reaches 'LIST', a list: only numbers, texts and functions"),
    ],
)
def test_what_is_refused(kernel_of: Any, body: str, imports: str, message: str) -> None:
    kernel = kernel_of(body, imports)
    with pytest.raises(errors.KernelTypeError, match=message):
        _ = kernel.spec


def test_the_fingerprint_follows_what_is_reached(kernel_of: Any) -> None:
    def mark(helpers: str) -> str:
        return str(kernel_of("return words.cut(s)", "import words", helpers).spec.fingerprint)

    base = mark(HELPERS)
    assert mark("# a comment\n" + HELPERS) == base
    assert mark(HELPERS.replace("RAW = b'='", "RAW = b'-'")) == base  # the kernel does not reach it
    assert mark(HELPERS.replace("SEP = '='", "SEP = b'='")) == base
    assert mark(HELPERS.replace("SEP = '='", "SEP = '-'")) != base


def test_closures() -> None:
    def make(head: str) -> Any:
        @cr.row_kernel(returns={"kernel": pa.string()})
        def kernel(s):
            return head if s.startswith(head) else "none"

        return kernel

    assert [values(make(h)) for h in ("a", "x")] == [["a", "none", None, "none"], ["none", "none", None, "x"]]
    assert make("a").spec.fingerprint == make("a").spec.fingerprint != make("x").spec.fingerprint
