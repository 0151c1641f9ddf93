"""A run is found again by its token, keeps the first tasks that were recorded, and has one driver at a time."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from checkrow.errors import AlreadyRunning, CorruptControlFile
from checkrow.storage.runs import (
    RunRecord,
    StageRecord,
    create_run,
    find_run,
    find_stage,
    list_runs,
    lock_instance,
    put_stage,
    read_run,
)
from checkrow.storage.store import PosixStore
from tests.conftest import environment
from tests.storage.workbench import NOON


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "control")


def _run(run: str, token: str = "t1") -> RunRecord:
    return RunRecord(
        run=run, dataset="d" * 32, token=token, instance="i", generation=1, job="j", job_file="job.py",
        parameters={"day": "2026-01-02", "n": 3}, fingerprint="f", inputs_fingerprint="e", read_version=4,
        created_at=NOON, plan={"stages": [{"deep": [1, None, "x"]}], "tasks": []},
    )  # fmt: skip


def test_a_run_is_found_by_its_token(store: PosixStore) -> None:
    made = _run("r1")
    create_run(store, made)
    assert find_run(store, "t1") == made == read_run(store, "r1")
    assert find_run(store, "another") is None


def test_the_newest_run_of_a_token_counts(store: PosixStore) -> None:
    for n in range(12):
        create_run(store, _run(f"r{n}"))
    create_run(store, _run("other", token="t2"))
    found = find_run(store, "t1")
    assert found is not None
    assert found.run == "r11"
    assert set(list_runs(store)) == {*(f"r{n}" for n in range(12)), "other"}


@pytest.mark.parametrize("key", ["runs/r1/plan.json", "runs/by-token/t1/000000.json"])
def test_a_torn_record_names_the_way_out(store: PosixStore, key: str) -> None:
    create_run(store, _run("r1"))
    store.path(key).write_bytes(store.get(key)[:-9])
    with pytest.raises(CorruptControlFile, match=f"{key} is torn .*--recompute"):
        find_run(store, "t1")
    create_run(store, _run("r2"))
    found = find_run(store, "t1")
    assert found is not None
    assert found.run == "r2", "a new run needs nothing of the torn one"


def test_a_torn_list_of_tasks_names_the_way_out(store: PosixStore) -> None:
    put_stage(store, StageRecord(run="r1", stage=1, tasks=[]))
    store.path("runs/r1/stages/1.json").write_bytes(b"{")
    with pytest.raises(CorruptControlFile, match="--recompute"):
        put_stage(store, StageRecord(run="r1", stage=1, tasks=[]))


def test_an_unknown_run_is_named(store: PosixStore) -> None:
    with pytest.raises(CorruptControlFile, match="no plan of run r9"):
        read_run(store, "r9")


def test_the_first_tasks_of_a_stage_count(store: PosixStore) -> None:
    create_run(store, _run("r1"))
    assert find_stage(store, "r1", 1) is None
    first = StageRecord(run="r1", stage=1, tasks=[{"number": 0, "first": 0, "last": 4}], rows_bad=3)
    assert put_stage(store, first) == first
    assert put_stage(store, StageRecord(run="r1", stage=1, tasks=[])) == first
    assert find_stage(store, "r1", 1) == first


def test_a_recorded_plan_is_never_replaced(store: PosixStore) -> None:
    create_run(store, _run("r1"))
    create_run(store, msgspec.structs.replace(_run("r1"), fingerprint="other"))
    assert read_run(store, "r1").fingerprint == "f"


def test_one_driver_at_a_time_in_one_process(store: PosixStore) -> None:
    with lock_instance(store, "i1"):
        with pytest.raises(AlreadyRunning, match="running already"), lock_instance(store, "i1"):
            pass
        with lock_instance(store, "i2"):
            pass
    with lock_instance(store, "i1"):
        pass


def test_a_lock_whose_holder_has_not_written_its_name(store: PosixStore) -> None:
    with store.open_shared("locks/i1.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning, match="already, by another process; wait"), lock_instance(store, "i1"):
            pass


HOLDER = """
import sys, pathlib
from checkrow.storage.runs import lock_instance
from checkrow.storage.store import PosixStore
with lock_instance(PosixStore(pathlib.Path(sys.argv[1])), "i1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_of_another_process_names_it_and_ends_with_it(store: PosixStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(PYTHONPATH=":".join(p for p in sys.path if p)),
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"process {holder.pid} on "), lock_instance(store, "i1"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lock_instance(store, "i1"):
        pass
