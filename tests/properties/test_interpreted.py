"""Interpreted kernels (CHECKROW_JIT=0) give what compiled ones do: both are held to plain Python, bit by bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import environment
from tests.profiles import FEW

ROOT = Path(__file__).parents[2]
TESTS = [
    "tests/properties/test_group_kernels.py",
    "tests/properties/test_fold_kernels.py",
    "tests/properties/test_row_nulls.py",
    "tests/properties/test_expand_kernels.py",
    "tests/properties/test_batch_kernels.py",
    "tests/properties/test_text_kernels.py",
    "tests/properties/test_aggregates.py::test_aggregators_equal_plain_python",
    "tests/properties/test_aggregates.py::test_aggregators_of_every_type_equal_plain_python",
    "tests/compile/test_kernels.py::test_whole_numbers_arrive_as_int64_however_narrow",
    "tests/compile/test_division.py",
]


def test_random_tables_once_more_without_the_compiler() -> None:
    # In a process of its own: what this one has compiled stays compiled.
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--hypothesis-profile={FEW}", *TESTS]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:]
