"""Numba's runtime functions are compiled by the first process that loads machine code, and loaded by later ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

CODE = """
import numba
import numpy as np
from numba.core.runtime import nrtdynmod

made, create = [], nrtdynmod.create_nrt_module
nrtdynmod.create_nrt_module = lambda context: made.append(1) or create(context)
compile_functions = nrtdynmod.compile_nrt_functions
from checkrow_kernels.take import take

out = np.zeros(3, np.int64)
take(np.arange(5), np.array([4, 0, 2]), out)
assert out.tolist() == [4, 0, 2]
assert nrtdynmod.compile_nrt_functions is compile_functions


@numba.njit
def allocates(n):  # what is compiled later links with the runtime, wherever it came from
    arrays = [np.full(n, i) for i in range(n)]
    return sum([a[0] for a in arrays])


assert allocates(5) == 10
print(len(made))
"""


def compiled(directory: Path) -> int:
    """Runs a kernel in a process; returns how often the runtime was compiled there."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment(CHECKROW_CACHE_DIR=str(directory)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\0" * len(data)])
def test_it_is_compiled_once_and_again_when_its_file_is_damaged(tmp_path, damage) -> None:
    assert compiled(tmp_path) == 1
    assert compiled(tmp_path) == 0
    file = next(tmp_path.rglob("runtime-*.nbc"))
    file.write_bytes(damage(file.read_bytes()))
    assert compiled(tmp_path) == 1
    assert compiled(tmp_path) == 0
