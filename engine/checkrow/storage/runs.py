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
    """`stages/<n>.json`: the final task list of a later stage."""

    format: int = MAJOR
    run: str
    stage: int
    tasks: list[dict[str, Any]]


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


def put_stage(store: PosixStore, run: str, stage: int, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records a stage's tasks before they are used; returns those that count (an earlier driver's, if any)."""
    key = f"runs/{run}/stages/{stage}.json"
    store.put_if_absent(key, encode(StageRecord(run=run, stage=stage, tasks=tasks)))
    return _decode(store, key, StageRecord).tasks


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
