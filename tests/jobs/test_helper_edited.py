"""A job whose helper, in another file, is edited between two processes: the plan is another one, and resume sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

JOB = """
import checkrow as cr, pyarrow as pa
from prices import net

@cr.row_kernel(returns={"x": pa.int64()})
def priced(id, *, off):
    return net(id) - off

@cr.job(name="priced")
def job(*, source: str, target: str):
    ds = cr.scan(source).map(priced.bind(off=1))
    return ds.group_by("city").agg(s=cr.sum("x")).plan_parquet(target, mode="append").with_target_bytes(3_000)
"""
HELPER = "RATE = 3\ndef rounded(x):\n    return x // 2\ndef net(x):\n    return rounded(x) * RATE\n"
STOPPED = """
import sys
from checkrow.jobs.loading import load_job
from tests.jobs.stopping import interrupted
interrupted(load_job("job.py:job"), sys.argv[1])
"""


@pytest.fixture
def stopped(tmp_path, source):
    """Leaves an unfinished run behind; returns what runs it on with a helper file that was edited."""
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "prices.py").write_text(HELPER)
    command = [sys.executable, "-c", STOPPED, source]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment())

    def run(helper: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "prices.py").write_text(helper)
        command = [
            sys.executable, "-m", "checkrow", "run", "job.py:job", "-p", f"source={source}", "-p", "target=out", "--json",
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)

    return run


def test_an_edited_helper_is_another_plan_and_a_comment_is_not(stopped) -> None:
    for edited in (HELPER.replace("RATE = 3", "RATE = 4"), HELPER.replace("x // 2", "x // 3")):
        done = stopped(edited)
        assert done.returncode == 6, done.stderr
        assert "--accept-code-change" in done.stderr
        assert not Path("out").exists()
    done = stopped("# prices\n\n" + HELPER.replace("    return x", '    """Half."""\n\n    return x'))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["tasks_reused"] == 2
