"""The compile cache: warm starts compile nothing, literals and parameters are arguments, editing recompiles."""

from __future__ import annotations

import json
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

SCRIPT = """
import datetime as dt, json, sys
import checkrow as cr, pyarrow as pa
from checkrow.compile.cache import driver_cache
from helpers import scale
FACTOR = {factor}

@cr.row_kernel(returns={{"y": pa.float64()}})
def kernel(ratio, *, shift):
    return scale(ratio) * FACTOR + shift

shift, above = float(sys.argv[2]), int(sys.argv[3])
{hook}

def job(shift, above):
    since = dt.date(1991, 1, 1) + dt.timedelta(above)
    ds = cr.scan(sys.argv[1]).filter((cr.col("id") > above) & (cr.col("day").fill_null(dt.date(2020, 1, 1)) >= since))
    return ds.map(kernel.bind(shift=shift)).group_by("city").agg(y=cr.sum("y")).collect()

found = job(shift, above)
stats = driver_cache().statistics
before = stats.compiled
job(shift + 0.25, above + 1)
assert stats.compiled == before
print(json.dumps([stats.compiled, stats.loaded, sum(v or 0 for v in found.column("y").to_pylist())]))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """One cache for the file: compiling the built-in kernels anew for every test would cost more than it shows."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def execute(tmp_path, source, cache, request):
    number = 2 + sum(map(ord, request.node.name)) % 997  # drivers of its own for every test

    def run(
        shift=0.0, above=0, factor=number, helper="return x * 3", jit="1", hook="", place=cache, code=0, told=""
    ) -> tuple[int, int, float]:
        (tmp_path / "script.py").write_text(SCRIPT.format(factor=factor, hook=hook))
        (tmp_path / "helpers.py").write_text(f"def scale(x):\n    {helper}\n")
        done = subprocess.run(
            [sys.executable, "script.py", source, str(shift), str(above)], capture_output=True, text=True, cwd=tmp_path,
            env=environment(CHECKROW_CACHE_DIR=str(place), CHECKROW_JIT=jit), check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert told in done.stderr
        compiled, loaded, total = json.loads(done.stdout) if not code else (0, 0, 0.0)
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
    assert execute(helper="\n    # why\n\n    return x * 3")[:2] == (0, 1)


def test_broken_cache_files_are_rebuilt(execute, cache) -> None:
    wanted = execute()[2]
    broken = {"d_*.py": b"raise SystemExit('run')\n", "k_*.py": b"\0garbage", "*.nbc": b""}
    for pattern, content in broken.items():
        files = list((cache / platform.node() / "drivers").rglob(pattern))
        assert files
        for path in files:
            path.write_bytes(content)
    assert execute() == (1, 0, wanted)
    for path in cache.rglob("[dk]_*.py"):
        path.unlink()
    assert execute() == (0, 1, wanted)


def test_broken_machine_code_of_built_in_kernels_is_rebuilt(execute, cache) -> None:
    wanted = execute()[2]
    files = [p for p in (cache / platform.node() / "kernels").rglob("*.nbc") if "unpack_bits" in p.name]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:-100])
    assert execute()[2] == wanted


KILLED = """
import os, signal
from pathlib import Path
from checkrow_kernels import machine_code
original, asked = {method}, []
def killing(*args, **keywords):
    if "d_" in getattr(args[0], "_stem", str(args[0])):
        {first}
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **keywords)
{method} = killing
"""
KILLS = {
    "before compiling": KILLED.format(method="machine_code.MachineCode.load_overload", first=""),
    "compiled and not written": KILLED.format(method="machine_code.MachineCode.save_overload", first=""),
    "half written": KILLED.format(
        method="machine_code.write_whole", first="args[0].with_name('x.tmp').write_bytes(args[1][:99])"
    ),
}


def test_a_process_killed_while_it_compiles(execute, cache) -> None:
    wanted = execute(jit="0")[2]
    for hook in KILLS.values():
        execute(hook=hook, code=-signal.SIGKILL)
    assert execute() == (1, 0, wanted)
    assert execute() == (0, 1, wanted)


FULL = """
from checkrow_kernels import machine_code
import checkrow.compile.cache
def full(*_):
    raise OSError(28, "No space left on device")
machine_code.write_whole = checkrow.compile.cache.write_whole = full
"""


def test_a_full_disk_costs_compiling_only(execute) -> None:
    wanted = execute(jit="0")[2]
    for _ in range(2):
        assert execute(hook=FULL, told="(No space left on device): it is compiled again") == (1, 0, wanted)
    assert execute() == (1, 0, wanted)
    assert execute(hook=FULL) == (0, 1, wanted)


def test_a_cache_may_move_to_a_path_with_spaces_and_any_letters(execute, cache, tmp_path) -> None:
    wanted = execute()
    place = tmp_path / "ein Cache, größer %d '漢"
    shutil.copytree(cache, place)
    assert execute(place=place) == (0, 1, wanted[2])
    assert execute(place=place, factor=3_001)[0] == 1
    assert execute(place=place, factor=3_001)[0] == 0


def test_interpreted_gives_the_same(execute) -> None:
    compiled = execute()[2]
    assert execute(jit="0") == (0, 0, compiled)


def test_processes_share_an_empty_cache_at_once(execute, cache, tmp_path, source) -> None:
    execute()
    shutil.rmtree(cache / platform.node() / "drivers")
    command = [sys.executable, "script.py", source, "0", "0"]
    env = environment(CHECKROW_CACHE_DIR=str(cache))
    all_ = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=env) for _ in range(3)]
    results = [json.loads(p.communicate()[0]) for p in all_]
    assert sorted(r[:2] for r in results) == [[0, 1], [0, 1], [1, 0]]
    assert len({r[2] for r in results}) == 1


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
