"""The commit log: the one truth about a dataset.

Records are numbered densely from 1 and created by put-if-absent; each carries the digest of the one before. A token
appears at most once: the committer has read every earlier record before it creates the next.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pyarrow as pa

from checkrow.errors import CommitConflict, ConfigError, CorruptControlFile, SchemaError, StorageError
from checkrow.storage.control import MAJOR, body_digest, decode, encode
from checkrow.storage.manifest import Accounting
from checkrow.storage.store import Outcome, PosixStore

OUTPUT = "data"
"""Name of the dataset among the outputs of a run that writes one."""
QUARANTINE = "quarantine"
"""Name of the output that holds the rows on which kernels failed."""
_ATTEMPTS = 20


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A committed file: path below the data root, and what it must be."""

    path: str
    rows: int
    size_bytes: int
    sha256: str
    partition: dict[str, str | None] = {}


class OutputChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit does to one output: files that appear, paths that go, the schema after it (IPC, base64)."""

    adds: tuple[FileEntry, ...]
    removes: tuple[str, ...]
    schema: str
    rows: int


class CommitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One commit. `staged` says where the bytes of every added path wait until they are revealed."""

    format: int = MAJOR
    number: int
    previous_sha256: str
    dataset: str
    token: str
    instance: str
    generation: int
    part: int
    run: str
    job: str
    fingerprint: str
    inputs_fingerprint: str
    mode: str
    read_version: int
    outputs: dict[str, OutputChange]
    staged: dict[str, str]
    accounting: Accounting
    rows_pruned: int
    committed_at: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The files a dataset has at a commit number; 0 is the empty dataset before any commit."""

    number: int
    files: tuple[FileEntry, ...]
    schema: str

    def arrow_schema(self) -> pa.Schema:
        """Returns the dataset's schema."""
        return decode_schema(self.schema)


def encode_schema(schema: pa.Schema) -> str:
    """Returns an Arrow schema as base64 of its IPC message."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    """Returns the Arrow schema behind its base64 IPC message."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


class CommitLog:
    """Reads and extends the log in a control root."""

    def __init__(self, store: PosixStore) -> None:
        self._store = store

    def read(self) -> tuple[CommitRecord, ...]:
        """Returns all records, in order.

        Raises
        ------
        CorruptControlFile
            If a record is missing, damaged or not the successor of the one before.
        """
        return self._read()[0]

    def _read(self) -> tuple[tuple[CommitRecord, ...], str]:
        """Returns all records and the digest that the next one carries.

        The chain is over the bytes as written, so that a field another version knows does not break it.
        """
        # Listed before reading: a record that arrives meanwhile is no gap. Markers count: a lost record leaves one.
        listed = [int(k[4:24]) for k in self._store.list("log") if k[4:24].isdigit()]
        records: list[CommitRecord] = []
        previous = ""
        while True:
            key = record_key(len(records) + 1)
            try:
                data = self._store.get(key)
            except FileNotFoundError:
                break
            record = decode(data, CommitRecord, key)
            if record.number != len(records) + 1 or record.previous_sha256 != previous:
                raise CorruptControlFile(f"{key} does not follow the record before it; the log was edited or mixed")
            records.append(record)
            previous = body_digest(data)
        if max(listed, default=0) > len(records):
            missing = record_key(len(records) + 1)
            raise CorruptControlFile(f"{missing} is missing but its marker or later records exist; restore it")
        return tuple(records), previous

    def append(
        self,
        make: Callable[[int, str], CommitRecord],
        token: str,
        check: Callable[[tuple[CommitRecord, ...]], None],
    ) -> CommitRecord:
        """Commits; returns the record that carries the token, which may be an earlier one.

        Parameters
        ----------
        make : callable
            Given number and digest of the predecessor, returns the record.
        token : str
            The logical commit; a record that has it ends the attempt well.
        check : callable
            Given all records so far, raises CommitConflict when this commit may not follow them.

        Raises
        ------
        CommitConflict
            If another commit won.
        StorageError
            If the outcome stays unknown; nothing is deleted then.
        """
        for _ in range(_ATTEMPTS):
            records, previous = self._read()
            for known in records:
                if known.token == token:
                    return known
            check(records)
            record = make(len(records) + 1, previous)
            outcome = self._store.put_if_absent(record_key(record.number), encode(record))
            if outcome in {Outcome.CREATED, Outcome.MINE_ALREADY}:
                return record
            if outcome is Outcome.UNKNOWN:
                raise StorageError(
                    "the outcome of the commit is unknown; nothing was deleted, run the same command again"
                )
        raise CommitConflict(f"lost the race for the next log record {_ATTEMPTS} times; run the same command again")

    def revealed(self) -> set[int]:
        """Returns the numbers of the records whose files are all visible."""
        return {int(k[4:24]) for k in self._store.list("log") if k.endswith(".revealed")}

    def mark_revealed(self, number: int) -> None:
        """Records that all files of a record are visible."""
        self._store.put_if_absent(record_key(number).removesuffix(".json") + ".revealed", b"revealed\n")


def record_key(number: int) -> str:
    """Returns the key of a log record."""
    return f"log/{number:020d}.json"


def snapshot(records: tuple[CommitRecord, ...], number: int, output: str = OUTPUT) -> Snapshot:
    """Returns an output as it is after `number` records; without a schema if none of them touched it."""
    files: dict[str, FileEntry] = {}
    schema = ""
    for change in (r.outputs[output] for r in records[:number] if output in r.outputs):
        for path in change.removes:
            files.pop(path, None)
        files |= {entry.path: entry for entry in change.adds}
        schema = change.schema
    return Snapshot(number=number, files=tuple(files[p] for p in sorted(files)), schema=schema)


def current(records: tuple[CommitRecord, ...], revealed: set[int]) -> int:
    """Returns the number of the newest snapshot readers may see: everything up to it is revealed."""
    number = 0
    while number < len(records) and number + 1 in revealed:
        number += 1
    return number


def superseded(records: tuple[CommitRecord, ...], instance: str, output: str = OUTPUT) -> tuple[str, ...]:
    """Returns the files that earlier generations of an instance added to an output and that it still has.

    Every record of the instance is of an earlier generation: one of this generation ends the attempt to commit it.
    """
    changes = (r.outputs[output] for r in records if r.instance == instance and output in r.outputs)
    added = {e.path for change in changes for e in change.adds}
    return tuple(f.path for f in snapshot(records, len(records), output).files if f.path in added)


def refuse_conflict(
    records: tuple[CommitRecord, ...], mode: str, read_version: int, schema: str, instance: str = ""
) -> None:
    """Raises an error when a commit may not follow the records before it.

    Appends follow anything with the same schema; a replacement must have seen every commit it would undo; "error"
    wants a dataset without commits. What earlier generations of `instance` left counts as gone.

    Raises
    ------
    CommitConflict
        If another commit came after `read_version`, so that this one lost a race.
    ConfigError
        If `mode` is "error" and the dataset had commits of others before.
    SchemaError
        If an append has another schema than the dataset.
    """
    later = records[read_version:]
    if mode == "replace" and later:
        last = later[-1]
        raise CommitConflict(
            f"run {last.run} committed record {last.number} after this run read the dataset; run again"
        )
    if not records or not _others_count(records, instance):
        return
    if mode == "error":
        _refuse_data(next(r for r in reversed(records) if r.instance != instance), read_version)
    if mode == "append":
        known, new = decode_schema(records[-1].outputs[OUTPUT].schema), decode_schema(schema)
        if not new.equals(known):
            raise SchemaError(f"append needs the dataset's schema. {_difference(known, new)}")


def _others_count(records: tuple[CommitRecord, ...], instance: str) -> bool:
    """Tells whether the dataset is more than what an instance made of it: others committed last, or left files."""
    files = snapshot(records, len(records)).files
    return records[-1].instance != instance or len(files) > len(superseded(records, instance))


def _refuse_data(last: CommitRecord, read_version: int) -> None:
    """Refuses a commit that wants a dataset without data, whether it came too late or never had a chance."""
    if last.number > read_version:
        raise CommitConflict(
            f"run {last.run} committed record {last.number} while this run was at work, and mode='error' wants a "
            "dataset without data; nothing was written"
        )
    raise ConfigError(
        f"the dataset has data: run {last.run} committed it (record {last.number}); nothing was written. "
        "Choose mode='append' or mode='replace', or another target"
    )


def _difference(known: pa.Schema, new: pa.Schema) -> str:
    for name in dict.fromkeys([*known.names, *new.names]):
        a = str(known.field(name)) if name in known.names else "absent"
        b = str(new.field(name)) if name in new.names else "absent"
        if a != b:
            return f"Column {name!r}: there {a}, here {b}"
    return f"Column order: there {known.names}, here {new.names}"
