"""A job whose code can change between two runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checkrow.jobs.job import Job
from checkrow.jobs.loading import load_job

FILE = """
import checkrow as cr, pyarrow as pa

@cr.row_kernel(returns={{"x": pa.int64()}})
def twice(id):
    return id * {factor}

@cr.job(name="twice")
def job(*, source: str, target: str, above: int = 0):
    ds = cr.scan(source).filter(cr.col("id") > above).map(twice)
    return ds.group_by("city").agg(s=cr.sum("x")).plan_parquet(target, mode="append").with_target_bytes(3_000)
"""


@pytest.fixture
def job(tmp_path: Path) -> Callable[[int], Job]:
    def make(factor: int = 2):
        path = tmp_path / f"jobs{factor}.py"
        path.write_text(FILE.format(factor=factor))
        return load_job(f"{path}:job")

    return make
