"""Making committed files visible, by any process, any number of times, after any crash.

A record decides; its `.revealed` marker shows. Appended files are linked into the data root one by one, each complete.
A commit that replaces or removes files is built beside the data root, with the files that stay, and swapped with it in
one step, so that a reader that lists the directory sees the old files or the new ones; the old tree stays in
`retired/<number>` for readers of earlier snapshots.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from checkrow.errors import StorageError
from checkrow.storage.access import follow, is_ours
from checkrow.storage.log import OUTPUT, CommitLog, CommitRecord, FileEntry, snapshot
from checkrow.storage.roots import DatasetRoot
from checkrow.storage.store import PosixStore, make_directories, sync_directory, typed_errors
from checkrow.storage.swap import swap

_RETIRED = ".retired"
_NAME_BYTES = 255


def roll_forward(root: DatasetRoot) -> tuple[CommitRecord, ...]:
    """Reveals every record that has no marker yet; returns all records."""
    log = CommitLog(root.store)
    records = log.read()
    ended = list(records[-1:])  # a crash may come between its marker and the removal of its staged names
    if len(log.revealed()) < len(records):
        with _one_process(root.store):
            shown = log.revealed()
            for record in records:
                if record.number not in shown:
                    _reveal(root, records, record)
                    log.mark_revealed(record.number)
                    ended.append(record)
    for record in ended:
        for staged in root.store.list(f"runs/{record.run}/staging"):
            root.store.delete(staged)
    return records


def _reveal(root: DatasetRoot, records: tuple[CommitRecord, ...], record: CommitRecord) -> None:
    change = record.outputs[OUTPUT]
    if record.mode != "replace" and not change.removes:
        _link_all(root, record, root.data)
        return
    added = {e.path for e in change.adds}
    stays = [e.path for e in snapshot(records, record.number).files if e.path not in added]
    _replace(root, record, stays)


def _link_all(root: DatasetRoot, record: CommitRecord, target: Path, stays: Sequence[str] = ()) -> None:
    """Links the files a record adds, and those of the data root that stay, to a tree."""
    adds = record.outputs[OUTPUT].adds
    paths = [*stays, *(e.path for e in adds)]
    directories = sorted({target, *(d for p in paths for d in (target / p).parents if target in d.parents)})
    like = root.data if root.data.is_dir() else root.control
    with typed_errors(f"cannot publish to {target}"):
        make_directories(root.data.parent)
        for directory in directories:
            make_directories(directory, like)
            if is_ours(directory):
                follow(directory, like)  # a crash may have come between making it and giving it its mode
    with typed_errors(f"cannot publish to {target}"):
        for path in stays:
            # One that somebody removed by hand is named by whoever reads it; it must not hold up all later commits.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(root.data / path, target / path, follow_symlinks=False)
    for entry in adds:
        root.store.reveal(record.staged[entry.path], target / entry.path, entry.sha256)
    with typed_errors(f"cannot publish to {target}"):
        for directory in directories:
            sync_directory(directory)


def _replace(root: DatasetRoot, record: CommitRecord, stays: Sequence[str]) -> None:
    """Builds the new tree, swaps it in, and keeps the old one under its final retired name."""
    done = root.control / "retired" / f"{record.number:020d}"
    fresh = done.with_name(done.name + ".new")
    if done.is_dir():
        return
    if not root.data.is_dir():
        _first(root, record, fresh)
        return
    if not fresh.is_dir() and _holds_adds(root, record):
        return  # a first replacement was renamed into place; only its marker is missing
    if not _swapped(root, record, fresh, stays):
        _link_all(root, record, fresh, stays)
        with typed_errors(f"cannot replace {root.data}"):
            swap(fresh, root.data)
            sync_directory(root.data.parent)
    with typed_errors(f"cannot retire the files of {root.data}"):
        for path in _data_files(fresh):
            path.rename(path.with_name(_retired_name(path.name)))  # a glob over the control root must not find data
        fresh.rename(done)
        sync_directory(done.parent)


def _retired_name(name: str) -> str:
    """Returns a file's retired name; that of a foreign file may be too long to be made longer."""
    longer = name + _RETIRED
    if len(os.fsencode(longer)) <= _NAME_BYTES:
        return longer
    return hashlib.sha256(os.fsencode(name)).hexdigest() + _RETIRED


def _data_files(tree: Path) -> list[Path]:
    """Returns the files of a tree that are not renamed yet."""
    return [p for p in tree.rglob("*") if p.is_file() and not p.name.endswith(_RETIRED)]


def _first(root: DatasetRoot, record: CommitRecord, fresh: Path) -> None:
    """Shows a first replacement, with nothing there to swap, in one step too."""
    _link_all(root, record, fresh)
    with typed_errors(f"cannot publish {root.data}"):
        make_directories(root.data.parent)
        fresh.rename(root.data)
        sync_directory(root.data.parent)


def _swapped(root: DatasetRoot, record: CommitRecord, fresh: Path, stays: Sequence[str]) -> bool:
    """Tells whether a crash came after the swap: then the new files are in the data root, the old ones beside it.

    A record that adds nothing leaves no file to prove it by; then a file that does not stay proves the old tree.
    """
    if not fresh.is_dir():
        return False
    if record.outputs[OUTPUT].adds:
        return _holds_adds(root, record)
    staying = {fresh / path for path in stays}
    return any(p.is_file() and p not in staying for p in fresh.rglob("*"))


def _holds_adds(root: DatasetRoot, record: CommitRecord) -> bool:
    """Tells whether the new tree is the data root: names are unique to a run, so one of its files proves it."""
    adds = record.outputs[OUTPUT].adds
    return bool(adds) and (root.data / adds[0].path).is_file()


@contextlib.contextmanager
def _one_process(store: PosixStore) -> Iterator[None]:
    with store.open_shared("reveal.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def locate(root: DatasetRoot, entry: FileEntry) -> Path:
    """Returns where a file of a snapshot stands now: in the data root, or retired by a later replacement.

    Raises
    ------
    StorageError
        If it is nowhere: somebody removed it by hand.
    """
    here = root.data / entry.path
    if here.is_file():
        return here
    retired = root.control / "retired"
    for tree in sorted(os.listdir(retired)) if retired.is_dir() else ():  # noqa: PTH208  # names are enough
        # Between a swap and its end the old tree still has its names.
        for name in (entry.path + _RETIRED, entry.path):
            if (retired / tree / name).is_file():
                return retired / tree / name
    raise StorageError(f"{here} was committed but is gone; restore it from a backup or run `checkrow dataset verify`")
