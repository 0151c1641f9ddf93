"""A committed instance that is processed again takes the place of what it committed, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.events import Event
from checkrow.jobs.job import Job
from checkrow.jobs.loading import load_job
from checkrow.run.inspect import open_dataset, verify
from checkrow.run.lifecycle import Status
from tests.jobs.stopping import Stop

MODES = """
import checkrow as cr

@cr.job(name="copy")
def job(*, source: str, target: str, above: int = 0):
    return cr.scan(source).filter(cr.col("id") >= above).select("id").plan_parquet(target, mode={mode!r})
"""


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Job]:
    def make(mode: str):
        path = tmp_path / f"copy_{mode}.py"
        path.write_text(MODES.format(mode=mode))
        return load_job(f"{path}:job")

    return make


def ids(url: str = "out") -> list[int]:
    """Returns what snapshot readers see, once it is what glob readers see."""
    seen = sorted(i for p in Path(url).rglob("*.parquet") for i in pq.read_table(p).column("id").to_pylist())
    assert sorted(cr.scan(url).collect().column("id").to_pylist()) == seen
    return seen


@pytest.mark.parametrize("mode", ["error", "append", "replace"])
def test_force_takes_the_place_of_the_generation_before(copy, source, mode) -> None:
    """It was appended to it: every row stood there twice."""
    job = copy(mode)
    job.run(source=source, target="out")
    for number in (2, 3):
        forced = job.run(source=source, target="out", force=True)
        assert (forced.status, forced.snapshot) == (Status.COMMITTED, number)
        assert ids() == list(range(2_000))
    assert verify(open_dataset("out")).problems == ()


def test_force_leaves_what_other_instances_committed(copy, source) -> None:
    job = copy("append")
    job.run(source=source, target="out")
    job.run(source=source, target="out", above=1_900)
    cr.scan(source).select("id").filter(col("id") < 5).write_parquet("out", mode="append")
    pq.write_table(pa.table({"id": [7_000, 7_001]}), Path(source) / "9.parquet")
    job.run(source=source, target="out", above=1_900, force=True)
    assert ids() == sorted([*range(2_000), *range(1_900, 2_000), 7_000, 7_001, *range(5)])
    assert verify(open_dataset("out")).problems == ()


def test_force_in_mode_error_refuses_what_others_committed(copy, source) -> None:
    copy("error").run(source=source, target="out")
    cr.scan(source).select("id").filter(col("id") < 5).write_parquet("out", mode="append")
    with pytest.raises(errors.ConfigError, match="the dataset has data"):
        copy("error").run(source=source, target="out", force=True)
    assert len(ids()) == 2_005


def test_force_after_an_output_without_rows(copy, source) -> None:
    job = copy("error")
    job.run(source=source, target="out", above=5_000)
    pq.write_table(pa.table({"id": [7_000]}), Path(source) / "9.parquet")
    job.run(source=source, target="out", above=5_000, force=True)
    assert ids() == [7_000]
    Path(source, "9.parquet").unlink()
    job.run(source=source, target="out", above=5_000, force=True)
    assert ids() == []


def test_force_where_directories_cannot_be_swapped_is_refused_before_any_work(copy, source, monkeypatch) -> None:
    job = copy("append")
    job.run(source=source, target="out")
    monkeypatch.setattr("checkrow.storage.roots.exchange_works", lambda _: False)
    events: list[Event] = []
    with pytest.raises(errors.StoreCapabilityError, match="without force"):
        job.run(source=source, target="out", force=True, progress=events.append)
    assert events == []
    assert ids() == list(range(2_000))
    job.run(source=source, target="out", above=1)


def test_a_forced_run_that_stopped_continues(copy, source) -> None:
    job = copy("append")
    job.run(source=source, target="out")
    with pytest.raises(RuntimeError, match="stopped by the test"):
        job.run(source=source, target="out", force=True, progress=Stop(1), limits=cr.Limits(threads=1))
    assert ids() == list(range(2_000))
    again = job.run(source=source, target="out", force=True)
    assert (again.snapshot, again.metrics["tasks_reused"]) == (2, 1)
    assert ids() == list(range(2_000))
