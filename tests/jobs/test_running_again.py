"""The running-again table of the design: committed or unfinished, same or changed, job or notebook."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.events import Event, TaskFinished
from checkrow.run.lifecycle import Status
from tests.jobs.stopping import interrupted


def test_committed_and_same_does_nothing(job, source) -> None:
    first = job().run(source=source, target="out")
    again = job().run(source=source, target="out")
    assert (again.status, again.changed, again.snapshot) == (Status.ALREADY_DONE, "", first.snapshot)
    assert again.metrics["tasks_run"] == 0
    assert cr.scan("out").collect().num_rows == 13


def test_other_parameters_are_another_instance(job, source) -> None:
    job().run(source=source, target="out")
    other = job().run(source=source, target="out", above=1_000)
    assert (other.status, other.snapshot) == (Status.COMMITTED, 2)


def test_committed_with_other_code_is_reported(job, source) -> None:
    job(2).run(source=source, target="out")
    again = job(3).run(source=source, target="out")
    assert (again.status, again.changed) == (Status.ALREADY_DONE, "code")


def test_committed_with_other_inputs_is_reported(job, source) -> None:
    job().run(source=source, target="out")
    pq.write_table(pq.read_table(Path(source) / "0.parquet"), Path(source) / "9.parquet")
    again = job().run(source=source, target="out")
    assert (again.status, again.changed) == (Status.ALREADY_DONE, "inputs")


def test_force_makes_the_next_generation(job, source) -> None:
    job().run(source=source, target="out")
    forced = job().run(source=source, target="out", force=True)
    assert (forced.status, forced.snapshot) == (Status.COMMITTED, 2)
    assert job().run(source=source, target="out").snapshot == 2


def test_committed_but_its_files_are_gone(job, source) -> None:
    job().run(source=source, target="out")
    next(Path("out").rglob("*.parquet")).unlink()
    with pytest.raises(errors.StorageError, match="was committed but is gone"):
        job().run(source=source, target="out")


def test_unfinished_and_same_resumes(job, source) -> None:
    done = interrupted(job(), source)
    run = job().run(source=source, target="out", checkpoint_interval_s=0)
    assert run.status == Status.COMMITTED
    assert run.metrics["tasks_reused"] == len(done)
    wanted = job(2).plan(source=source, target="elsewhere").run()
    key = [("city", "ascending")]
    assert cr.scan("out").collect().sort_by(key).equals(cr.scan(str(wanted.data)).collect().sort_by(key))


def test_a_resume_reads_the_files_the_run_recorded(job, source) -> None:
    wanted = job().plan(source=source, target="elsewhere").run()
    interrupted(job(), source)
    pq.write_table(pq.read_table(Path(source) / "0.parquet"), Path(source) / "9.parquet")
    job().run(source=source, target="out", checkpoint_interval_s=0)
    key = [("city", "ascending")]
    assert cr.scan("out").collect().sort_by(key).equals(cr.scan(str(wanted.data)).collect().sort_by(key))


def test_unfinished_with_other_code_refuses(job, source) -> None:
    interrupted(job(2), source)
    with pytest.raises(errors.ResumeMismatch, match="a kernel's code changed") as caught:
        job(3).run(source=source, target="out")
    assert caught.value.exit_code == 6
    assert not Path("out").exists()


def test_recompute_starts_over(job, source) -> None:
    interrupted(job(2), source)
    run = job(3).run(source=source, target="out", recompute=True)
    assert run.metrics["tasks_reused"] == 0
    total = sum(r["s"] for r in cr.scan("out").collect().to_pylist())
    assert total == 3 * sum(range(2_000))


def test_accept_code_change_keeps_finished_tasks(job, source) -> None:
    done = interrupted(job(2), source, tasks=1)
    run = job(3).run(source=source, target="out", accept_code_change=True, checkpoint_interval_s=0)
    assert run.metrics["tasks_reused"] == len(done)
    total = sum(r["s"] for r in cr.scan("out").collect().to_pylist())
    assert 2 * sum(range(2_000)) < total < 3 * sum(range(2_000))


def test_a_torn_plan_is_left_by_recompute(job, source) -> None:
    interrupted(job(), source)
    torn = next(Path("out.checkrow").glob("runs/*/plan.json"))
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(errors.CorruptControlFile, match=r"plan\.json is torn .*--recompute \(recompute=True\)"):
        job().run(source=source, target="out")
    assert job().run(source=source, target="out", recompute=True).status == Status.COMMITTED


def test_a_plan_of_another_version_is_left_by_recompute(job, source, monkeypatch) -> None:
    with monkeypatch.context() as other:
        other.setattr("checkrow.run.runner.recordable", lambda plan: {"of": "another version"})
        with pytest.raises(errors.ResumeMismatch):
            job().run(source=source, target="out")
    with pytest.raises(errors.ResumeMismatch, match="another version of checkrow.*--recompute"):
        job().run(source=source, target="out")
    assert job().run(source=source, target="out", recompute=True).status == Status.COMMITTED


@pytest.mark.parametrize("seconds", [-5, float("nan")])
def test_a_checkpoint_interval_below_nothing_is_refused(job, source, seconds) -> None:
    with pytest.raises(errors.ConfigError, match="at least 0 seconds"):
        job().run(source=source, target="out", checkpoint_interval_s=seconds)
    assert not Path("out.checkrow").exists()


def test_an_unknown_way_to_resume_is_refused(job, source) -> None:
    with pytest.raises(errors.ConfigError, match="'sometimes' is not one of"):
        job().run(source=source, target="out", resume="sometimes")


def test_in_a_notebook_changed_code_is_a_new_run(source) -> None:
    ds = cr.scan(source).group_by("city").agg(n=cr.count())

    def stop(event: Event) -> None:
        if isinstance(event, TaskFinished):
            raise RuntimeError("stopped by the test")

    with pytest.raises(RuntimeError, match="stopped by the test"):
        ds.plan_parquet("out", key="k").run(progress=stop, checkpoint_interval_s=0)
    run = ds.filter(col("n") > 0).plan_parquet("out", key="k").run()
    assert run.metrics["tasks_reused"] == 0


def test_ad_hoc_writes_are_all_different(source) -> None:
    ds = cr.scan(source).select("id")
    ds.write_parquet("out", mode="append")
    ds.write_parquet("out", mode="append")
    assert cr.scan("out").collect().num_rows == 4_000


def test_require_needs_an_unfinished_run(job, source) -> None:
    with pytest.raises(errors.ResumeMismatch, match="no unfinished run"):
        job().run(source=source, target="out", resume="require")


def test_damaged_staging_is_done_again(job, source) -> None:
    interrupted(job(), source, tasks=3)
    victim = next(Path("out.checkrow").glob("runs/*/exchange/*"))
    victim.write_bytes(victim.read_bytes()[:-1])
    run = job().run(source=source, target="out", checkpoint_interval_s=0)
    assert run.metrics["tasks_reused"] == 2


def test_already_running(job, source) -> None:
    caught: list[errors.CheckrowError] = []

    def nested(event: Event) -> None:
        if isinstance(event, TaskFinished) and not caught:
            try:
                job().run(source=source, target="out")
            except errors.AlreadyRunning as error:
                caught.append(error)

    job().run(source=source, target="out", progress=nested)
    assert f"process {os.getpid()}" in str(caught[0])
    assert caught[0].exit_code == 5


def test_parameters_are_checked(job, source) -> None:
    with pytest.raises(errors.ConfigError, match="no parameter 'sauce'"):
        job().run(sauce=source, target="out")
    with pytest.raises(errors.ConfigError, match="needs the parameter 'target'"):
        job().run(source=source)
    with pytest.raises(errors.ConfigError, match="must be int, not 'many'"):
        job().run(source=source, target="out", above="many")
    assert job().instance(source="a", target="b", above="7").parameters == {"source": "a", "target": "b", "above": 7}


def test_a_job_must_return_a_plan() -> None:
    @cr.job
    def nothing() -> None:
        return None

    with pytest.raises(errors.ConfigError, match="returned NoneType"):
        nothing.run()


def test_untyped_parameters_are_refused() -> None:
    with pytest.raises(errors.ConfigError, match="needs a type"):

        @cr.job
        def bad(*, x):
            return x


def test_replace_after_another_commit_names_the_winner(source) -> None:
    ds = cr.scan(source).select("id")
    ds.write_parquet("out")

    def intrude(event: Event) -> None:
        if isinstance(event, TaskFinished):
            ds.write_parquet("out", mode="append")

    with pytest.raises(errors.CommitConflict, match="committed record 2"):
        ds.plan_parquet("out", mode="replace").run(progress=intrude, limits=cr.Limits(threads=1))
    assert pa.compute.min(cr.scan("out").collect().column("id")).as_py() == 0


def test_a_parameter_that_is_no_number_is_refused() -> None:
    @cr.job
    def scaled(*, factor: float):
        return None

    for factor in ("nan", float("inf")):
        with pytest.raises(errors.ConfigError, match="parameter 'factor' is (nan|inf), which identifies no run"):
            scaled.run(factor=factor)
