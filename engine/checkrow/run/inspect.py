"""What control roots tell about runs and datasets: for `show`, `dataset log` and `dataset verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from checkrow.errors import ConfigError
from checkrow.events import Event
from checkrow.storage.log import OUTPUT, QUARANTINE, CommitLog, CommitRecord, FileEntry, current, snapshot
from checkrow.storage.parquet import read_row_count
from checkrow.storage.reveal import locate, roll_forward, root_of
from checkrow.storage.roots import DatasetRoot, read_identity, resolve_root
from checkrow.storage.runs import RunRecord, read_run
from checkrow.storage.store import PosixStore, digest_file


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found: files checked, those of the quarantine among them, and a sentence per problem."""

    snapshot: int
    files: int
    rows: int
    rows_quarantined: int
    size_bytes: int
    problems: tuple[str, ...]


def open_dataset(url: str, control: str | None = None) -> DatasetRoot:
    """Returns the roots of a dataset checkrow wrote; raises ConfigError when there is none."""
    root = resolve_root(url, control)
    if read_identity(root) is None:
        raise ConfigError(f"{url!r} is no dataset that checkrow wrote (there is no {root.control})")
    return root


def commits(root: DatasetRoot) -> tuple[CommitRecord, ...]:
    """Returns all commits, oldest first."""
    return CommitLog(root.store).read()


def read_events(control: Path, run: str) -> tuple[RunRecord, tuple[Event, ...]]:
    """Returns what a run was to do, and the events of all processes that drove it.

    The last line may be torn by a crash; it is left out.
    """
    record = read_run(PosixStore(control), run)
    path = control / "runs" / run / "events.jsonl"
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    events = []
    for line in lines:
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except msgspec.DecodeError:
            continue
    return record, tuple(events)


def verify(root: DatasetRoot) -> Verdict:
    """Compares the current snapshot of every output with what stands in its data root, byte for byte."""
    records = roll_forward(root)
    number = current(records, CommitLog(root.store).revealed())
    found = {o: snapshot(records, number, o).files for o in (OUTPUT, QUARANTINE)}
    problems = [p for output, files in found.items() for p in _problems(root_of(root, output), files)]
    every = [e for files in found.values() for e in files]
    return Verdict(
        snapshot=number, files=len(every), rows=sum(e.rows for e in found[OUTPUT]),
        rows_quarantined=sum(e.rows for e in found[QUARANTINE]), size_bytes=sum(e.size_bytes for e in every),
        problems=tuple(problems),
    )  # fmt: skip


def _problems(root: DatasetRoot, files: tuple[FileEntry, ...]) -> list[str]:
    """Returns a sentence for every file that is not as it was committed, or that no commit put there."""
    problems = []
    for entry in files:
        try:
            path = locate(root, entry)
        except Exception as error:  # noqa: BLE001  # every problem is reported, none ends the check
            problems.append(str(error))
            continue
        size, digest = digest_file(path)
        if (size, digest) != (entry.size_bytes, entry.sha256):
            problems.append(
                f"{entry.path} has other content than was committed ({size} bytes, committed {entry.size_bytes})"
            )
        elif read_row_count(path) != entry.rows:
            problems.append(f"{entry.path} has another number of rows than was committed ({entry.rows})")
    named = {e.path for e in files}
    return [
        *problems,
        *(f"{path} is in the data root but in no commit" for path in _files(root.data) if path not in named),
    ]


def _files(top: Path) -> Iterator[str]:
    for directory, _, names in os.walk(top):
        for name in sorted(names):
            yield Path(directory, name).relative_to(top).as_posix()
