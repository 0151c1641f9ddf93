"""A task as plain data that travels to where it runs, and what it left."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from checkrow.operators.exchange import MemoryExchange
from checkrow.plan.bad_rows import FAIL
from checkrow.plan.slices import Piece, Task
from checkrow.plan.source import DataFile
from checkrow.plan.stages import ScanSource, Stage
from checkrow.storage.manifest import Accounting, StagedOutput


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A task as plain data. `control` is where results are staged and recorded; without it nothing is durable.

    `durable` asks for the exchange as a file with a manifest; output files always are. `recorded` is false where there
    is a workspace but no dataset, as for `collect` on a cluster. `source_options` open source files once more, where a
    later stage has to tell which rows failed.
    """

    run: str
    stage: Stage
    task: Task
    bits: int
    fused: bool
    attempt: str
    slice_id: str
    generation: int = 1
    dataset: str = ""
    fingerprint: str = ""
    control: str | None = None
    durable: bool = False
    recorded: bool = True
    bad_rows: str = FAIL
    instance: str = ""
    source_options: dict[str, str | int | float | bool | None] = {}

    def staging(self) -> str:
        """Returns the key below which this attempt stages its files."""
        return f"runs/{self.run}/staging/{self.stage.number:03d}-{self.task.number:06d}-{self.attempt}"

    def file_name(self, kind: str) -> str:
        """Returns the stem of the names of this task's files; unique to the run."""
        return f"{kind}-{self.run[:8]}-{self.stage.number:03d}-{self.task.number:06d}"


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a task left: exactly one of exchange (in memory, or the path of its file), staged files, batches.

    `quarantine` are staged files of rows that left, `failures` tells of the first rows on which kernels failed and
    that did not end the run.
    """

    stage: int
    task: int
    accounting: Accounting
    seconds: float
    size_bytes: int
    exchange: MemoryExchange | None = None
    exchange_path: str | None = None
    files: tuple[StagedOutput, ...] = ()
    batches: tuple[pa.RecordBatch, ...] = ()
    durable: bool = False
    quarantine: tuple[StagedOutput, ...] = ()
    failures: tuple[str, ...] = ()


def trimmed(stage: Stage, task: Task) -> tuple[Stage, Task]:
    """Returns a scan stage with only the files a task reads, so that a task's data does not grow with the dataset."""
    if not isinstance(stage.source, ScanSource):
        return stage, task
    used = sorted({p.file for p in task.pieces})
    place = {old: new for new, old in enumerate(used)}
    files: tuple[DataFile, ...] = tuple(stage.source.source.files[i] for i in used)
    source = msgspec.structs.replace(stage.source.source, files=files)
    pieces = tuple(Piece(place[p.file], p.start, p.stop) for p in task.pieces)
    return (
        msgspec.structs.replace(stage, source=msgspec.structs.replace(stage.source, source=source)),
        msgspec.structs.replace(task, pieces=pieces),
    )
