"""Source files that changed, vanished or came while a run was unfinished."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors
from checkrow.events import Event, TaskFinished
from checkrow.run.lifecycle import Status
from tests.jobs.stopping import Stop, interrupted


def _change(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


@pytest.mark.parametrize("harm", [_change, Path.unlink])
def test_unfinished_with_changed_input_refuses_until_it_is_started_over(job, source, harm) -> None:
    """The run could neither go on nor be left: the advice was to run it again."""
    interrupted(job(), source)
    harm(Path(source) / "1.parquet")
    harm(Path(source) / "2.parquet")
    for _ in range(2):
        with pytest.raises(
            errors.ResumeMismatch, match=r"2 of its 3 input files changed or are gone, \S*1\.parquet first"
        ):
            job().run(source=source, target="out", checkpoint_interval_s=0)
    run = job().run(source=source, target="out", recompute=True)
    assert (run.status, run.changed, run.metrics["tasks_reused"]) == (Status.COMMITTED, "", 0)


def test_input_that_changes_in_the_middle_is_answered_by_the_same_command(job, source) -> None:
    def harm(event: Event) -> None:
        if isinstance(event, TaskFinished) and event.task == 0 and event.stage == 0:
            _change(Path(source) / "2.parquet")

    with pytest.raises(errors.InputChanged, match="--recompute"):
        job().run(source=source, target="out", progress=harm, limits=cr.Limits(threads=1), checkpoint_interval_s=0)
    with pytest.raises(errors.ResumeMismatch, match="1 of its 3 input files") as caught:
        job().run(source=source, target="out")
    assert caught.value.exit_code == 6
    job().run(source=source, target="out", recompute=True)


def test_a_keyed_write_with_changed_input(source) -> None:
    def plan() -> cr.Plan:
        return cr.scan(source).group_by("city").agg(n=cr.count()).plan_parquet("out", key="k").with_target_bytes(3_000)

    with pytest.raises(RuntimeError, match="stopped by the test"):
        plan().run(progress=Stop(1), checkpoint_interval_s=0)
    _change(Path(source) / "0.parquet")
    with pytest.raises(errors.ResumeMismatch, match="recompute=True"):
        plan().run()
    assert plan().run(recompute=True).metrics["tasks_reused"] == 0


def test_files_that_were_added_are_left_out_and_named(job, source) -> None:
    interrupted(job(), source)
    pq.write_table(pq.read_table(Path(source) / "0.parquet"), Path(source) / "9.parquet")
    events: list[Event] = []
    run = job().run(source=source, target="out", checkpoint_interval_s=0, progress=events.append)
    assert (run.status, run.changed) == (Status.COMMITTED, "inputs")
    assert events[-1].message == "changed: inputs, 1 file added since the run began, not read"
    assert job().run(source=source, target="out").changed == "inputs"
