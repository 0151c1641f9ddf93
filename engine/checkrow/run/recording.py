"""What a task makes durable besides its output files: its exchange, and the manifest that says it is complete."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from checkrow.errors import TaskError
from checkrow.operators.exchange import MemoryExchange, write_exchange
from checkrow.run.spec import TaskSpec
from checkrow.storage.manifest import Accounting, ExchangeFile, StagedOutput, TaskManifest, put_manifest
from checkrow.storage.store import PosixStore


def persist_exchange(
    spec: TaskSpec, output: MemoryExchange, accounting: Accounting, seconds: float,
    quarantine: tuple[StagedOutput, ...],
) -> str:  # fmt: skip
    """Writes an exchange output as a durable file, records it, and returns the path of the file that counts."""
    if spec.control is None:
        raise TaskError("a durable exchange needs a place to stand")
    store = PosixStore(Path(spec.control))
    key = f"runs/{spec.run}/exchange/{spec.stage.number:03d}-{spec.task.number:06d}-{spec.attempt}"
    with store.stage(key) as staged:
        write_exchange(staged.path, output)
    file = ExchangeFile(staged=key, size_bytes=staged.size_bytes, sha256=staged.sha256, rows=output.columns.rows)
    if not spec.recorded:
        return str(store.path(key))
    manifest = record_manifest(spec, accounting, seconds, exchange=file, quarantine=quarantine)
    counted = manifest.exchange
    if counted is None:
        raise TaskError(f"the manifest of stage {spec.stage.number} task {spec.task.number} names no exchange file")
    return str(store.path(counted.staged))


def record_manifest(
    spec: TaskSpec,
    accounting: Accounting,
    seconds: float,
    *,
    files: tuple[StagedOutput, ...] = (),
    exchange: ExchangeFile | None = None,
    quarantine: tuple[StagedOutput, ...] = (),
) -> TaskManifest:
    """Records that a task is complete; returns the manifest that counts."""
    store = PosixStore(Path(spec.control or ""))
    manifest = TaskManifest(
        dataset=spec.dataset, run=spec.run, stage=spec.stage.number, task=spec.task.number, attempt=spec.attempt,
        generation=spec.generation, slice_id=spec.slice_id, fingerprint=spec.fingerprint, files=files,
        exchange=exchange, quarantine=quarantine, accounting=accounting, seconds=round(seconds, 6),
        host=platform.node(), pid=os.getpid(),
    )  # fmt: skip
    return put_manifest(store, manifest)
