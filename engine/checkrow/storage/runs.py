"""What a run records before it acts: its plan, its stages' tasks, and who may drive it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from typing import Any

import msgspec

from checkrow.errors import AlreadyRunning, CorruptControlFile
from checkrow.storage.control import MAJOR, Record, decode, encode
from checkrow.storage.manifest import StagedOutput
from checkrow.storage.store import PosixStore

_START_OVER = "start the run over with --recompute (recompute=True)"


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`plan.json`: all that a resume needs to continue on the same input with the same tasks."""

    format: int = MAJOR
    run: str
    dataset: str
    token: str
    instance: str
    generation: int
    job: str
    job_file: str
    parameters: dict[str, Any]
    fingerprint: str
    inputs_fingerprint: str
    read_version: int
    created_at: str
    plan: dict[str, Any]


class StageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`stages/<n>.json`: the final task list of a later stage, and what the stages before it found bad.

    `rows_bad` are rows on which kernels failed; `quarantine` are the files in which they wait for the commit.
    """

    format: int = MAJOR
    run: str
    stage: int
    tasks: list[dict[str, Any]]
    rows_bad: int = 0
    quarantine: tuple[StagedOutput, ...] = ()


class _Pointer(msgspec.Struct, frozen=True, kw_only=True):
    format: int = MAJOR
    token: str
    run: str


def create_run(store: PosixStore, record: RunRecord) -> None:
    """Records a plan, then makes the run findable by its token."""
    store.put_if_absent(f"runs/{record.run}/plan.json", encode(record))
    number = len(store.list(f"runs/by-token/{record.token}"))
    pointer = _Pointer(token=record.token, run=record.run)
    store.put_if_absent(f"runs/by-token/{record.token}/{number:06d}.json", encode(pointer))


def find_run(store: PosixStore, token: str) -> RunRecord | None:
    """Returns the newest run of a token, or None; raises CorruptControlFile when it cannot be read."""
    keys = store.list(f"runs/by-token/{token}")
    return read_run(store, _decode(store, keys[-1], _Pointer).run) if keys else None


def read_run(store: PosixStore, run: str) -> RunRecord:
    """Returns a run's plan record; raises CorruptControlFile when there is none."""
    try:
        return _decode(store, f"runs/{run}/plan.json", RunRecord)
    except FileNotFoundError:
        raise CorruptControlFile(f"{store.root} has no plan of run {run}; {_START_OVER}") from None


def _decode(store: PosixStore, key: str, kind: type[Record]) -> Record:
    """Returns what an unfinished run recorded; a damaged record costs the run, never the dataset."""
    try:
        return decode(store.get(key), kind, str(store.path(key)))
    except CorruptControlFile as error:
        raise CorruptControlFile(f"{error}; {_START_OVER}") from None


def list_runs(store: PosixStore) -> tuple[str, ...]:
    """Returns the ids of all runs recorded in a control root."""
    parts = (k.split("/") for k in store.list("runs"))
    return tuple(sorted({p[1] for p in parts if len(p) == 3 and p[2] == "plan.json"}))


def put_stage(store: PosixStore, record: StageRecord) -> StageRecord:
    """Records a stage before it begins; returns the record that counts (an earlier driver's, if any)."""
    store.put_if_absent(_stage_key(record.run, record.stage), encode(record))
    return _decode(store, _stage_key(record.run, record.stage), StageRecord)


def find_stage(store: PosixStore, run: str, stage: int) -> StageRecord | None:
    """Returns what is recorded of a stage, or None."""
    key = _stage_key(run, stage)
    return _decode(store, key, StageRecord) if key in store.list(f"runs/{run}/stages") else None


def _stage_key(run: str, stage: int) -> str:
    return f"runs/{run}/stages/{stage}.json"


@contextlib.contextmanager
def lock_instance(store: PosixStore, instance: str) -> Iterator[None]:
    """Holds the right to drive an instance in this process; the system releases it when the process ends.

    The lock saves work; correctness comes from the log.

    Raises
    ------
    AlreadyRunning
        If another process drives the instance now.
    """
    with store.open_shared(f"locks/{instance}.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode().strip() or "another process"  # which has not written its name yet
            raise AlreadyRunning(f"this job is running already, by {holder}; wait for it or stop it") from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}".encode())
        file.flush()
        yield
