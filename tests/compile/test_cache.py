"""The compile cache: warm starts compile nothing, literals and parameters are arguments, editing recompiles."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

SCRIPT = """
import json, sys
import checkrow as cr, pyarrow as pa
from checkrow.compile.cache import driver_cache
from helpers import scale
FACTOR = {factor}

@cr.row_kernel(returns={{"y": pa.float64()}})
def kernel(ratio, *, shift):
    return scale(ratio) * FACTOR + shift

shift, above = float(sys.argv[2]), int(sys.argv[3])
ds = cr.scan(sys.argv[1]).filter(cr.col("id") > above).map(kernel.bind(shift=shift))
found = ds.group_by("city").agg(y=cr.sum("y")).collect()
stats = driver_cache().statistics
print(json.dumps([stats.compiled, stats.loaded, sum(v or 0 for v in found.column("y").to_pylist())]))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """One cache for the file: compiling the built-in kernels anew for every test would cost more than it shows."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def execute(tmp_path, source, cache, request):
    number = 2 + sum(map(ord, request.node.name)) % 997  # drivers of its own for every test

    def run(shift=0.0, above=0, factor=number, helper="return x * 3", jit="1") -> tuple[int, int, float]:
        (tmp_path / "script.py").write_text(SCRIPT.format(factor=factor))
        (tmp_path / "helpers.py").write_text(f"def scale(x):\n    {helper}\n")
        done = subprocess.run(
            [sys.executable, "script.py", source, str(shift), str(above)], capture_output=True, text=True, cwd=tmp_path,
            env=environment(CHECKROW_CACHE_DIR=str(cache), CHECKROW_JIT=jit), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        compiled, loaded, total = json.loads(done.stdout)
        return compiled, loaded, total

    return run


def test_what_compiles_and_what_does_not(execute) -> None:
    assert execute()[:2] == (1, 0)
    assert execute()[:2] == (0, 1)
    # Another literal and another parameter are arguments of the same machine code.
    assert execute(shift=1.5, above=77)[:2] == (0, 1)
    # A helper in another file and a module constant are part of the code.
    before = execute()[2]
    compiled, _, after = execute(helper="return x * 30")
    assert compiled == 1
    assert after == pytest.approx(10 * before)
    assert execute(factor=2_000)[:1] == (1,)
    assert execute(helper="return x * 3  # a comment")[:2] == (0, 1)


def test_a_broken_cache_file_is_rebuilt(execute, cache) -> None:
    wanted = execute()[2]
    for path in cache.rglob("*"):
        if path.suffix in {".py", ".nbc", ".nbi"}:
            path.write_bytes(b"\0garbage")
    assert execute()[2] == wanted
    for path in cache.rglob("d_*.py"):
        path.unlink()
    assert execute()[2] == wanted


def test_interpreted_gives_the_same(execute) -> None:
    compiled = execute()[2]
    assert execute(jit="0") == (0, 0, compiled)


def test_processes_share_the_cache_at_once(execute, cache, tmp_path, source) -> None:
    execute()
    for path in (cache / platform.node() / "drivers").rglob("*.nb?"):
        path.unlink()
    command = [sys.executable, "script.py", source, "0", "0"]
    env = environment(CHECKROW_CACHE_DIR=str(cache))
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=env) for _ in range(2)]
    results = [json.loads(p.communicate()[0]) for p in both]
    assert sorted(r[0] for r in results) == [0, 1]
    assert results[0][2] == results[1][2]


def test_the_directory_must_be_private(execute, cache) -> None:
    execute()
    directory = next(cache.rglob("d_*.py")).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o777)
    with pytest.raises(AssertionError, match="is not private to this user"):
        execute()
    directory.chmod(0o700)


def test_no_name_or_value_of_the_user_in_a_driver(execute, cache) -> None:
    execute(shift=123.25, above=777)
    text = "".join(p.read_text() for p in cache.rglob("d_*.py"))
    for word in ("ratio", "city", "777", "123.25"):
        assert re.search(rf"\b{word}\b", text) is None
