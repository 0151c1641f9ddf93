"""Capturing kernels: helpers in other files, constants, closures, notebooks, doctests; each name means one thing."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors
from tests.conftest import environment

HEAD = "import checkrow as cr, math, numba, numpy as np, pyarrow as pa\n"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Returns what writes modules, imports them anew and returns one."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(wanted="job", **texts: str):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        for name in texts:
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        loaded = importlib.import_module(wanted)
        for name in texts:  # so that monkeypatch takes it out again
            if name in sys.modules:
                monkeypatch.setitem(sys.modules, name, sys.modules[name])
        return loaded

    return load


def job(body: str, imports: str = "") -> str:
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{HEAD}{imports}\n@cr.row_kernel(returns=pa.float64())\ndef kernel(x):\n{lines}\n"


def values(kernel, *xs: float) -> list[float]:
    """Runs a kernel over a column x, compiled."""
    pq.write_table(pa.table({"x": list(xs)}), "x.parquet")
    return cr.scan("x.parquet").map(kernel).collect().column("kernel").to_pylist()


HELPERS = (
    "import math\nFACTOR = 3\nBIG = float('inf')\ndef scale(x, by=FACTOR, *, plus=0.5):\n    return x * by + plus\n"
)


@pytest.mark.parametrize(
    ("imports", "body"),
    [
        ("from helpers import scale", "return scale(x)"),
        ("from helpers import scale as grow", "return grow(x)"),
        ("import helpers", "return helpers.scale(x, helpers.FACTOR)"),
        ("import helpers as h", "return h.scale(x, by=h.FACTOR)"),
        ("from helpers import FACTOR", "return x * FACTOR + 0.5"),
        ("import helpers", "return min(helpers.BIG, x * helpers.FACTOR + 0.5)"),
        ("import helpers", "if True: return helpers.scale(x) + 0 * helpers.scale(x, 2, plus=1.0)"),
    ],
)
def test_helpers_in_other_files(modules, imports, body) -> None:
    kernel = modules(helpers=HELPERS, job=job(body + ("\nreturn 0.0" if body.startswith("if") else ""), imports)).kernel
    assert values(kernel, 1.0, 2.0) == [3.5, 6.5]
    assert kernel(2.0) == 6.5


def test_helpers_reached_through_helpers_and_packages(modules, tmp_path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "deep.py").write_text("from helpers import scale\ndef twice(x):\n    return 2 * scale(x)\n")
    kernel = modules(helpers=HELPERS, job=job("return pack.deep.twice(x)", "import pack.deep")).kernel
    assert values(kernel, 1.0) == [7.0]
    assert [b.name for b in kernel.spec.blocks] == ["scale", "twice", "kernel"]
    for name in ("pack", "pack.deep"):
        sys.modules.pop(name)


def test_a_helper_that_does_not_compile_is_named_by_its_own_file(modules) -> None:
    helpers = "\n\ndef wrong(x):\n    y = x + 1\n    return y.upper()\n"
    kernel = modules(helpers=helpers, job=job("return helpers.wrong(x)", "import helpers")).kernel
    wanted = r"helpers\.py:5: kernel 'kernel' does not compile in `return y.upper\(\)`: .*columns: x \(double\)"
    with pytest.raises(errors.KernelTypeError, match=wanted):
        values(kernel, 1.0)
    kernel = modules(
        helpers=helpers.replace("y.upper()", "y"), job=job("return helpers.wrong(x)", "import helpers")
    ).kernel
    assert values(kernel, 1.0) == [2.0]


def test_compiled_helpers_and_kernels_as_helpers(modules) -> None:
    text = HELPERS + HEAD + (
        "@numba.njit(cache=False)\ndef fast(x):\n    return x + 1\n"
        "@cr.row_kernel(returns=pa.float64())\ndef other(x, *, shift, sign=1):\n    return sign * x + shift\n"
        "bound = other.bind(shift=10)\n"
    )  # fmt: skip
    kernel = modules(helpers=text, job=job("return fast(x) + other(x, shift=100)", "from helpers import *")).kernel
    assert values(kernel, 1.0) == [103.0]
    kernel = modules(helpers=text, job=job("return bound(x) + bound(x, sign=-1)", "from helpers import bound")).kernel
    assert values(kernel, 1.0) == [20.0]
    assert kernel(1.0) == 20.0


def test_closures() -> None:
    def make(power):
        @cr.row_kernel(returns={"kernel": pa.float64()})
        def kernel(x):
            return raised(x, power)

        return kernel

    assert [values(make(p), 3.0) for p in (2, 3)] == [[9.0], [27.0]]
    assert make(2).spec.fingerprint == make(2).spec.fingerprint != make(3).spec.fingerprint


def raised(x, power):
    return x**power


def test_a_helper_below_its_kernel_and_one_that_is_assigned_later(modules) -> None:
    found = modules(job=job("return later(x)") + "\ndef later(x):\n    return -x\n")
    assert values(found.kernel, 1.0) == [-1.0]

    def make():
        @cr.row_kernel(returns={"kernel": pa.float64()})
        def kernel(x):
            return helper(x)

        with pytest.raises(errors.KernelTypeError, match="undefined name 'helper'"):
            _ = kernel.spec

        def helper(x):
            return 2 * x

        return kernel

    assert values(make(), 1.0) == [2.0]


@pytest.mark.parametrize(
    ("helpers", "text"),
    [
        ("from other import scale as grow\ndef use(x):\n    return grow(x)\ndef scale(x):\n    return x\n", "'scale' means something"),
        ("from other import FACTOR\ndef use(x):\n    return x * FACTOR\ndef scale(x):\n    return x * 2\nscale.FACTOR = 1\n", None),
        ("from other import twice as use\ndef scale(x):\n    return x\n", "'use' means|'scale' means"),
        ("import numpy as math\ndef use(x):\n    return math.sqrt(x)\ndef scale(x):\n    return x\n", "'math' means"),
        ("def use(x):\n    return max(x, 1.0)\ndef scale(x):\n    return x\n", "'max' means"),
        ("K = 2.0\ndef use(x):\n    return x * K\ndef scale(x):\n    return x\n", "'K' means"),
    ],
    ids=["function", "fine", "through an alias", "module", "builtin", "number of another type"],
)  # fmt: skip
def test_a_name_means_one_thing(modules, helpers, text) -> None:
    other = "FACTOR = 7\ndef scale(x):\n    return -x\ndef twice(x):\n    return scale(scale(x))\n"
    body = "return use(x) + scale(x) + math.floor(x) + max(x) + K"
    imports = "from helpers import use, scale\nK = 2\ndef max(x):\n    return x\n"
    kernel = modules(helpers=helpers, other=other, job=job(body, imports)).kernel
    if text is None:
        assert values(kernel, 1.0) == [1 * 7 + 1 * 2 + 1 + 1 + 2]
        return
    with pytest.raises(errors.KernelTypeError, match=rf"(helpers|other|job)\.py:\d+: kernel .*{text} .*rename one"):
        _ = kernel.spec


@pytest.mark.parametrize(
    ("body", "imports", "text"),
    [
        ("return TABLE['a']", "TABLE = {'a': 1}", r"job.py:5: kernel 'kernel' reaches 'TABLE', a dict: only numbers"),
        ("return ARRAY[0]", "ARRAY = np.ones(3)", "reaches 'ARRAY', a ndarray"),
        ("return LIST[0]", "LIST = [1]", "reaches 'LIST', a list"),
        ("return THING.a", "class Thing:\n    a = 1\nTHING = Thing()", "reaches 'THING', a Thing"),
        ("return DAY + x", "DAY = np.timedelta64(1, 'D')", "reaches 'DAY', a timedelta64"),
        ("return x + nothing", "", "uses the undefined name 'nothing'"),
        ("return helpers.nothing(x)", "import helpers", "reaches 'helpers'.*has no 'nothing'"),
        ("return math.nothing(x)", "", "the module 'math' has no 'nothing'"),
        ("return np.linalg.nothing(x)", "", "the module 'numpy.linalg' has no 'nothing'"),
        ("return json", "import json", "the module 'json' cannot be compiled; numpy, math and cr.calendar can"),
        ("return helpers.scale(scale)", "import helpers\nscale = 3", "'scale' means something else"),
        ("scale = 1\nreturn helpers.scale(x)", "import helpers", "whose own name 'scale' is a variable here"),
        ("return (helpers.\n    scale(x))", "import helpers", "written over two lines"),
        ("return kernel(x - 1) if x > 0 else 0.0", "", "leads back to itself: recursion"),
        ("return ping(x)", "def ping(x):\n    return pong(x)\ndef pong(x):\n    return ping(x)", "leads back to itself"),
        ("return f(x)", "def f(x, k=None):\n    return x", "argument 'k' must default to a number, not None"),
        ("return f(x)", "f = lambda x: x", "a lambda cannot be a kernel"),
        ("return f(x)", "f = np.vectorize(math.sqrt)", "a vectorize: only numbers, texts and functions"),
        ("yield x", "", "is a generator"),
        ("with np.errstate():\n    return x", "", "uses `with`"),
        ("try:\n    return 1 / x\nexcept ZeroDivisionError:\n    return 0.0", "", "catches ZeroDivisionError"),
        ("import math as m\nreturn m.sqrt(x)", "", "imports inside"),
        ("def g(y):\n    return y\nreturn g(x)", "", "defines a function inside"),
        ("f = lambda y: y\nreturn f(x)", "", "has a lambda inside"),
        ("global K\nK = 1\nreturn x", "", "assigns a variable outside"),
        ("print(x)\nreturn x", "", r"uses print\(\); .* it only computes"),
        ("pass", "", "returns no value; return one wherever it ends"),
        ("if x > 1:\n    return 1.0", "", "returns no value on one of its ways"),
        ("if x > 1:\n    return 1.0\nreturn", "", "returns no value on one of its ways"),
        ("for i in range(3):\n    return 1.0", "", "returns no value on one of its ways"),
        ("while True:\n    if x > 1:\n        break\n    return x", "", "returns no value on one of its ways"),
    ],
)  # fmt: skip
def test_what_is_refused_when_the_plan_is_made(modules, body, imports, text) -> None:
    kernel = modules(helpers=HELPERS, job=job(body, imports)).kernel
    with pytest.raises(errors.KernelTypeError, match=text) as caught:
        _ = kernel.spec
    assert "lambda cannot" in text or re.search(r"\.py:\d+: kernel '", str(caught.value))


@pytest.mark.parametrize(
    "body",
    [
        "while True:\n    x += 1.0\n    if x > 4.0:\n        return x",
        "if x > 3.0:\n    return x + 1.0\nelif x > 2.0:\n    raise ValueError('no')\nelse:\n    return 5.0",
        "try:\n    if x < 2.0:\n        raise ValueError('a')\n    return x\nexcept Exception:\n    return 5.0",
    ],
)
def test_forms_that_are_supported(modules, body) -> None:
    assert values(modules(job=job(body)).kernel, 1.0, 4.0) == [5.0, 5.0 if "x + 1.0" in body or "+=" in body else 4.0]


def test_constants_keep_their_value(modules) -> None:
    imports = "import enum\nclass E(enum.IntEnum):\n    A = 3\nA = E.A\nINF = -math.inf\nNAN = math.nan\nF = np.float32(1.5)\nT = True"
    kernel = modules(job=job("return A + max(INF, 2.0) + F + (1.0 if NAN != NAN and T else 0.0)", imports)).kernel
    assert values(kernel, 1.0) == [7.5]
    assert dict(kernel.spec.constants)["A"] == 3


def test_editing_a_file_after_it_was_loaded(modules, tmp_path) -> None:
    # The helper's text was read when the plan was made: lines of the new file were taken for the old function.
    texts = {"helpers": HELPERS, "job": job("return scale(x)", "from helpers import scale")}
    kernel = modules(**texts).kernel
    for name, before in texts.items():
        (tmp_path / f"{name}.py").write_text("# another line\n" + before.replace("*", "-"))
    assert values(kernel, 2.0) == [6.5]


def test_a_source_that_was_edited_before_it_was_captured(modules, tmp_path) -> None:
    text = "import checkrow as cr, pyarrow as pa\ndef scale(x):\n    return x * 2\n"
    late = job("return later(x)") + "\nfrom helpers import scale as later\n"
    found = modules(helpers=text, job=late)
    (tmp_path / "helpers.py").write_text(text.replace("* 2", "* 3"))
    with pytest.raises(errors.KernelTypeError, match=r"helpers.py:2: the source of 'scale' is not what was loaded"):
        _ = found.kernel.spec
    (tmp_path / "helpers.py").write_text(text.replace("    return", "    # why\n    return"))
    assert found.kernel.spec.blocks[0].text == "def scale(x):\n\n    return x * 2"


def test_a_decorator_that_replaces_the_function(modules) -> None:
    imports = "import functools\ndef deco(f):\n    @functools.wraps(f)\n    def g(x):\n        return 2 * f(x)\n    return g\n@deco\ndef scale(x):\n    return x"
    with pytest.raises(errors.KernelTypeError, match="a decorator replaced the function"):
        _ = modules(job=job("return scale(x)", imports)).kernel.spec


def test_the_fingerprint_follows_code_and_not_its_place(modules) -> None:
    def made(helpers: str = HELPERS, imports: str = "from helpers import scale", call: str = "scale(x)") -> str:
        return modules(helpers=helpers, job=job(f"return {call}", imports)).kernel.spec.fingerprint

    base = made()
    assert made("\n# a comment\n" + HELPERS.replace("    return", "\n    # why\n    return")) == base
    assert made(HELPERS.replace("    return", '    """What it does."""\n    return')) == base
    assert made(imports="import helpers", call="helpers.scale(x)") == base
    assert made(imports="from helpers import scale as grow", call="grow(x)") == base
    assert made(HELPERS.replace("plus=0.5", "plus=0.25")) != base
    assert made(HELPERS.replace("FACTOR = 3", "FACTOR = 4")) != base
    assert made(HELPERS.replace("x * by", "x / by")) != base


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
import json
shell = InteractiveShell.instance()
found = []
def cell(text):
    done = shell.run_cell(text)
    done.raise_error()
    found.append(done.result)
cell("import checkrow as cr, pyarrow as pa, pyarrow.parquet as pq; K = 2; from checkrow.compile.cache import driver_cache")
cell("pq.write_table(pa.table({'x': [1.0]}), 'x.parquet'); rows = cr.scan('x.parquet')")
cell("def helper(x):\\n    return x * K")
kernel = "@cr.row_kernel(returns={'y': pa.float64()})\\ndef kernel(x):\\n    return helper(x) + %d"
run = "rows.map(kernel).collect()['y'].to_pylist() + [driver_cache().statistics.compiled]"
cell(kernel % 1); cell(run)
cell(kernel % 2); cell(run)
cell(kernel % 1); cell(run)
cell("K = 5"); cell(run)
cell("def helper(x):\\n    return -x"); cell(run)
cell("# moved\\n\\ndef helper(x):\\n    return -x"); cell(run)
try:
    cell("def helper(x):\\n    if x > 0:\\n        raise ValueError('here')\\n    return x"); cell(run)
except Exception as error:
    found.append(str(error))
print(json.dumps([f for f in found if f is not None]))
"""


def test_notebook_cells_may_be_run_again(tmp_path) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    env = environment(IPYTHONDIR=str(tmp_path / "ipython"))
    done = subprocess.run(
        [sys.executable, "notebook.py"], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    *results, message = json.loads(done.stdout.splitlines()[-1])
    assert [r[0] for r in results] == [3.0, 4.0, 3.0, 6.0, 0.0, 0.0]
    compiled = [r[1] for r in results]
    assert compiled[2] - compiled[1] == compiled[5] - compiled[4] == 0
    assert "`raise ValueError('here')`, called at " in message


def test_doctests() -> None:
    text = """
    >>> @cr.row_kernel(returns={"kernel": pa.float64()})
    ... def kernel(x):
    ...     return 4 * x
    >>> values(kernel, 2.0)
    [8.0]
    """
    test = doctest.DocTestParser().get_doctest(text, {"cr": cr, "pa": pa, "values": values}, "it", "it.py", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("name", ["<string>", "<stdin>", "nowhere.py"])
def test_code_without_a_source_is_refused(name) -> None:
    names: dict[str, object] = {}
    exec(compile("def f(x):\n    return x\n", name, "exec"), names)
    with pytest.raises(errors.KernelTypeError, match="the source of kernel 'f' cannot be read .*in a file or cell"):
        cr.row_kernel(returns=pa.float64())(names["f"])


def test_what_cannot_be_a_kernel() -> None:
    async def waiting(x):
        return x

    for function in (waiting, math.sqrt, numba.njit(raised)):
        with pytest.raises(errors.KernelTypeError, match="must be a plain def"):
            cr.row_kernel(returns=pa.float64())(function)
    assert Path(__file__).name in str(cr.row_kernel(returns=pa.float64())(raised).spec.place)
