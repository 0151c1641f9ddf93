"""Small datasets made through the storage layer alone, with fixed ids and clock: what the storage tests act on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from checkrow.storage.log import (
    OUTPUT,
    QUARANTINE,
    CommitLog,
    CommitRecord,
    FileEntry,
    OutputChange,
    encode_schema,
    refuse_conflict,
    snapshot,
)
from checkrow.storage.manifest import Accounting
from checkrow.storage.roots import DatasetRoot, ensure_identity, resolve_root

NOON = "2026-01-02T12:00:00+00:00"
SCHEMA = pa.schema([("x", pa.int64())])


def new_dataset(place: Path, control: str | None = None) -> DatasetRoot:
    """Returns the roots of an empty dataset, with its identity written."""
    root = resolve_root(str(place), control)
    ensure_identity(root, NOON)
    return root


def stage_files(
    root: DatasetRoot, run: str, files: Mapping[str, bytes]
) -> tuple[tuple[FileEntry, ...], dict[str, str]]:
    """Stages files by final path; returns what a commit says of them."""
    entries, keys = [], {}
    for number, (path, content) in enumerate(files.items()):
        key = f"runs/{run}/staging/000-{number:06d}-aa/00000"
        with root.store.stage(key) as staged:
            staged.path.write_bytes(content)
        entries.append(FileEntry(path=path, rows=1, size_bytes=staged.size_bytes, sha256=staged.sha256))
        keys[path] = key
    return tuple(entries), keys


def record(
    *, number: int = 1, previous: str = "", run: str = "r1", mode: str = "append", read_version: int = 0,
    adds: tuple[FileEntry, ...] = (), removes: tuple[str, ...] = (), staged: Mapping[str, str] | None = None,
    schema: pa.Schema = SCHEMA, token: str = "", committed_at: str = NOON,
    quarantine: OutputChange | None = None,
) -> CommitRecord:  # fmt: skip
    """Returns a commit record; its token is the run's name unless given."""
    outputs = {OUTPUT: change_of(adds, removes, schema)}
    if quarantine is not None:
        outputs[QUARANTINE] = quarantine
    return CommitRecord(
        number=number, previous_sha256=previous, dataset="d" * 32, token=token or f"token-{run}", instance=f"i-{run}",
        generation=1, part=0, run=run, job="job", fingerprint="f" * 32, inputs_fingerprint="e" * 32, mode=mode,
        read_version=read_version, outputs=outputs, staged=dict(staged or {}),
        accounting=Accounting(rows_in=len(adds), rows_out=len(adds)), rows_pruned=0, committed_at=committed_at,
    )  # fmt: skip


def change_of(
    adds: tuple[FileEntry, ...], removes: tuple[str, ...] = (), schema: pa.Schema = SCHEMA
) -> OutputChange:  # fmt: skip
    """Returns what a commit does to one output."""
    return OutputChange(adds=adds, removes=removes, schema=encode_schema(schema), rows=sum(e.rows for e in adds))


def committer(
    root: DatasetRoot, run: str, files: Mapping[str, bytes], mode: str = "append", schema: pa.Schema = SCHEMA
) -> Callable[[], CommitRecord]:
    """Stages files now; returns the commit of them, which may be called again after a crash."""
    adds, staged = stage_files(root, run, files)
    log = CommitLog(root.store)
    read_version = len(log.read())

    def make(number: int, previous: str) -> CommitRecord:
        before = snapshot(log.read(), number - 1).files if mode == "replace" else ()
        return record(
            number=number, previous=previous, run=run, mode=mode, read_version=read_version, adds=adds,
            removes=tuple(f.path for f in before), staged=staged, schema=schema,
        )  # fmt: skip

    def check(records: tuple[CommitRecord, ...]) -> None:
        refuse_conflict(records, mode, read_version, encode_schema(schema))

    return lambda: log.append(make, f"token-{run}", check)


def glob_view(root: DatasetRoot) -> dict[str, str]:
    """Returns what a reader with a glob finds: relative path -> sha256."""
    return {
        p.relative_to(root.data).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.data.rglob("*.parquet")
    }


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Returns relative path -> sha256 of contents."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
