"""CHECKROW_JIT=0: the row-wise kernels as plain Python give what the plain functions give, as the compiled ones do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import EXAMPLES, environment

HERE = Path(__file__).parent


def test_row_wise_kernels() -> None:
    files = [str(HERE / f"test_{name}.py") for name in ("row_nulls", "expand_kernels", "batch_kernels")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "plain_python or around or null or rows", *files],
        env=environment(CHECKROW_JIT="0", CHECKROW_EXAMPLES=str(max(10, EXAMPLES // 5))), cwd=HERE.parents[1],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:]
    assert " passed" in done.stdout
