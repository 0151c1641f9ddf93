"""Writes the golden dataset beside this file: `python tests/golden/control-v1/make.py DIRECTORY`.

What is committed here was written by version 0.1.0 and is never written again: later versions must read these bytes.
A new format gets a directory of its own. Ids and clock are fixed; Parquet files are as small as they get.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from checkrow.operators.column import Column, Columns
from checkrow.operators.exchange import MemoryExchange, write_exchange
from checkrow.storage.control import encode
from checkrow.storage.hive import partition_path
from checkrow.storage.log import OUTPUT, CommitLog, CommitRecord, FileEntry, OutputChange, encode_schema, snapshot
from checkrow.storage.manifest import Accounting, ExchangeFile, StagedOutput, TaskManifest, put_manifest
from checkrow.storage.parquet import ParquetWriter
from checkrow.storage.reveal import roll_forward
from checkrow.storage.roots import DatasetRoot, Identity, resolve_root
from checkrow.storage.runs import RunRecord, StageRecord, create_run, put_stage

DATASET = "0123456789abcdef0123456789abcdef"
FILE_SCHEMA = pa.schema([("x", pa.int64()), ("name", pa.string())])
SCHEMA = FILE_SCHEMA.append(pa.field("day", pa.string()))
COMMITS = {
    "1111111111111111": ("error", {"2026-01-01": [1, 2], None: [3]}),
    "2222222222222222": ("append", {"2026-01-02": [4, 5, 6]}),
    "3333333333333333": ("replace", {"a/b": [7], "2026-01-01": [8, 9]}),
}
UNFINISHED = "4444444444444444"


def moment(number: int) -> str:
    return f"2026-01-0{number}T12:00:00.000001+00:00"


def stage_file(root: DatasetRoot, run: str, number: int, day: str | None, values: list[int]) -> StagedOutput:
    key = f"runs/{run}/staging/000-{number:06d}-abcdef01/00000"
    with root.store.stage(key) as staged:
        writer = ParquetWriter(staged.path, FILE_SCHEMA, DATASET, "zstd")
        names = [None if v % 3 == 0 else f"name {v}" for v in values]
        writer.write(pa.record_batch({"x": values, "name": pa.array(names, pa.string())}))
        writer.close()
    path = f"{partition_path({'day': day})}/part-{run[:8]}-000-{number:06d}-00000.parquet"
    return StagedOutput(
        path=path, staged=key, rows=len(values), size_bytes=staged.size_bytes, sha256=staged.sha256,
        partition={"day": day},
    )  # fmt: skip


def claim(root: DatasetRoot, run: str, number: int, generation: int = 1) -> None:
    create_run(
        root.store,
        RunRecord(
            run=run, dataset=DATASET, token=f"{number:032x}", instance=f"{number + 256:032x}", generation=generation,
            job="golden", job_file="/jobs/golden.py", parameters={"day": "2026-01-01", "limit": 10, "flag": None},
            fingerprint="f" * 32, inputs_fingerprint="e" * 32, read_version=number - 1, created_at=moment(number),
            plan={"stages": [], "tasks": []},
        ),
    )  # fmt: skip


def manifest(run: str, stage: int, task: int, **more: object) -> TaskManifest:
    return TaskManifest(
        dataset=DATASET, run=run, stage=stage, task=task, attempt="abcdef01", slice_id=f"{task:016x}",
        fingerprint="f" * 32, accounting=Accounting(rows_in=10, rows_out=8, rows_filtered=2), seconds=0.125,
        host="golden", pid=42, **more,
    )  # fmt: skip


def commit(root: DatasetRoot, run: str, number: int, mode: str, days: dict[str | None, list[int]]) -> None:
    claim(root, run, number)
    files = []
    for task, (day, values) in enumerate(days.items()):
        files.append(stage_file(root, run, task, day, values))
        put_manifest(root.store, manifest(run, 0, task, files=(files[-1],)))
    log = CommitLog(root.store)
    removes = tuple(f.path for f in snapshot(log.read(), number - 1).files) if mode == "replace" else ()
    rows = sum(f.rows for f in files)
    adds = tuple(
        FileEntry(path=f.path, rows=f.rows, size_bytes=f.size_bytes, sha256=f.sha256, partition=f.partition)
        for f in files
    )

    def make(at: int, previous: str) -> CommitRecord:
        change = OutputChange(adds=adds, removes=removes, schema=encode_schema(SCHEMA), rows=rows)
        return CommitRecord(
            number=at, previous_sha256=previous, dataset=DATASET, token=f"{number:032x}",
            instance=f"{number + 256:032x}", generation=1, part=0, run=run, job="golden", fingerprint="f" * 32,
            inputs_fingerprint="e" * 32, mode=mode, read_version=number - 1, outputs={OUTPUT: change},
            staged={f.path: f.staged for f in files},
            accounting=Accounting(rows_in=rows + 2, rows_out=rows, rows_filtered=2), rows_pruned=5,
            committed_at=moment(number),
        )  # fmt: skip

    log.append(make, f"{number:032x}", lambda records: None)
    roll_forward(root)


def leave_unfinished(root: DatasetRoot) -> None:
    """Leaves a run whose first stage is done and recorded as an exchange file."""
    claim(root, UNFINISHED, 4)
    text = Column("string", np.frombuffer(b"abcc", np.uint8), np.array([1, 0, 1], np.uint8), np.array([0, 2, 2, 4]))
    columns = Columns(("k", "name"), (Column("int64", np.array([1, 2, 3]), None), text), 3)
    key = f"runs/{UNFINISHED}/exchange/000-000000-abcdef01"
    with root.store.stage(key) as staged:
        write_exchange(staged.path, MemoryExchange(columns, np.array([0, 2, 3])))
    exchange = ExchangeFile(staged=key, size_bytes=staged.size_bytes, sha256=staged.sha256, rows=3)
    put_manifest(root.store, manifest(UNFINISHED, 0, 0, exchange=exchange))
    tasks = [{"number": 0, "first": 0, "last": 2, "size_bytes": 100, "rows": 3}]
    put_stage(root.store, StageRecord(run=UNFINISHED, stage=1, tasks=tasks))


def main(place: Path) -> None:
    root = resolve_root(str(place / "orders"))
    root.store.put_if_absent("format.json", encode(Identity(dataset=DATASET, created_at=moment(1))))
    for number, (run, (mode, days)) in enumerate(COMMITS.items(), start=1):
        commit(root, run, number, mode, days)
    leave_unfinished(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
