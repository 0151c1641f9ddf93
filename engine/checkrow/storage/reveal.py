"""Making committed files visible, by any process, any number of times, after any crash.

A record decides; its `.revealed` marker shows. Appended files are linked into the data root one by one, each complete.
A commit that replaces or removes files is built beside the data root, with the files that stay, and swapped with it in
one step, so that a reader that lists the directory sees the old files or the new ones; the old tree stays in
`retired/<number>` for readers of earlier snapshots. All outputs of a record are shown before it has its marker.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from checkrow.errors import StorageError
from checkrow.storage.access import follow, is_ours
from checkrow.storage.log import OUTPUT, QUARANTINE, CommitLog, CommitRecord, FileEntry, snapshot
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


class _Reveal(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a record on its way: into which roots, which files it adds and which stay, and what it is like."""

    root: DatasetRoot
    adds: tuple[FileEntry, ...]
    stays: tuple[str, ...]
    staged: dict[str, str]
    retired: Path
    like: Path


def _reveal(root: DatasetRoot, records: tuple[CommitRecord, ...], record: CommitRecord) -> None:
    """Shows all outputs of a record; the dataset comes last, so that the reasons for missing rows are there before."""
    for output in sorted(record.outputs, key=lambda name: name == OUTPUT):
        change, place = record.outputs[output], root_of(root, output)
        added = {e.path for e in change.adds}
        removes = record.mode == "replace" or bool(change.removes)
        stays = [e.path for e in snapshot(records, record.number, output).files if e.path not in added]
        retired = f"{record.number:020d}" if output == OUTPUT else f"{record.number:020d}.{output}"
        step = _Reveal(
            root=place, adds=change.adds, stays=tuple(stays) if removes else (), staged=record.staged,
            retired=root.control / "retired" / retired,
            like=next((d for d in (place.data, root.data) if d.is_dir()), root.control),
        )  # fmt: skip
        if removes:
            _replace(step)
        else:
            _link_all(step, place.data)


def root_of(root: DatasetRoot, output: str) -> DatasetRoot:
    """Returns the roots of one of a dataset's outputs."""
    return root.quarantine if output == QUARANTINE else root


def _link_all(step: _Reveal, target: Path) -> None:
    """Links the files a record adds, and those of the data root that stay, to a tree."""
    root, like = step.root, step.like
    paths = [*step.stays, *(e.path for e in step.adds)]
    directories = sorted({target, *(d for p in paths for d in (target / p).parents if target in d.parents)})
    with typed_errors(f"cannot publish to {target}"):
        make_directories(root.data.parent)
        for directory in directories:
            make_directories(directory, like)
            if is_ours(directory):
                follow(directory, like)  # a crash may have come between making it and giving it its mode
    with typed_errors(f"cannot publish to {target}"):
        for path in step.stays:
            # One that somebody removed by hand is named by whoever reads it; it must not hold up all later commits.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(root.data / path, target / path, follow_symlinks=False)
    for entry in step.adds:
        root.store.reveal(step.staged[entry.path], target / entry.path, entry.sha256)
    with typed_errors(f"cannot publish to {target}"):
        for directory in directories:
            sync_directory(directory)


def _replace(step: _Reveal) -> None:
    """Builds the new tree, swaps it in, and keeps the old one under its final retired name."""
    root, done = step.root, step.retired
    fresh = done.with_name(done.name + ".new")
    if done.is_dir():
        return
    if not root.data.is_dir():
        _first(step, fresh)
        return
    if not fresh.is_dir() and _holds_adds(step):
        return  # a first replacement was renamed into place; only its marker is missing
    if not _swapped(step, fresh):
        _link_all(step, fresh)
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


def _first(step: _Reveal, fresh: Path) -> None:
    """Shows a first replacement, with nothing there to swap, in one step too."""
    root = step.root
    _link_all(step, fresh)
    with typed_errors(f"cannot publish {root.data}"):
        make_directories(root.data.parent)
        fresh.rename(root.data)
        sync_directory(root.data.parent)


def _swapped(step: _Reveal, fresh: Path) -> bool:
    """Tells whether a crash came after the swap: then the new files are in the data root, the old ones beside it.

    A record that adds nothing leaves no file to prove it by; then a file that does not stay proves the old tree.
    """
    if not fresh.is_dir():
        return False
    if step.adds:
        return _holds_adds(step)
    staying = {fresh / path for path in step.stays}
    return any(p.is_file() and p not in staying for p in fresh.rglob("*"))


def _holds_adds(step: _Reveal) -> bool:
    """Tells whether the new tree is the data root: names are unique to a run, so one of its files proves it."""
    return bool(step.adds) and (step.root.data / step.adds[0].path).is_file()


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
