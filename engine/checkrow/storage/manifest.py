"""Task manifests: the durable word that a task's result is complete. Data first, manifest after, never the reverse."""

from __future__ import annotations

import re

import msgspec

from checkrow.errors import CorruptControlFile
from checkrow.storage.control import MAJOR, decode, encode
from checkrow.storage.store import Outcome, PosixStore, digest_file


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task's rows went: in + expanded = out + filtered for row-wise work; pruned rows were never read.

    `rows_expanded` are those that expand kernels made of a row beyond its first; a row they made none of is filtered.
    Rows on which a kernel failed are either `rows_quarantined`, which left (and add to the right side), or
    `rows_nulled`, which are among the others: null stands in for the kernel's result.
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_filtered: int = 0
    rows_nulled: int = 0
    rows_quarantined: int = 0
    rows_expanded: int = 0

    @property
    def rows_bad(self) -> int:
        """Rows on which a kernel failed."""
        return self.rows_nulled + self.rows_quarantined


class StagedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A complete output file waiting for its commit; `path` is where it will stand in the data root."""

    path: str
    staged: str
    rows: int
    size_bytes: int
    sha256: str
    partition: dict[str, str | None] = {}


class ExchangeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A durable exchange output of one map task."""

    staged: str
    size_bytes: int
    sha256: str
    rows: int


class TaskManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one task of a run left behind. The attempt that wrote it first counts; others are garbage."""

    format: int = MAJOR
    dataset: str
    run: str
    stage: int
    task: int
    generation: int = 1
    attempt: str
    slice_id: str
    fingerprint: str
    files: tuple[StagedOutput, ...] = ()
    exchange: ExchangeFile | None = None
    quarantine: tuple[StagedOutput, ...] = ()
    accounting: Accounting
    seconds: float
    host: str
    pid: int


_NAME = re.compile(r"(?P<stage>\d+)-(?P<task>\d+)\.g(?P<generation>\d+)\.json")


def _key(run: str, stage: int, task: int, generation: int) -> str:
    return f"runs/{run}/manifests/{stage:03d}-{task:06d}.g{generation}.json"


def put_manifest(store: PosixStore, manifest: TaskManifest) -> TaskManifest:
    """Records a finished task; returns the manifest that counts: this one, or the one that was there first."""
    key = _key(manifest.run, manifest.stage, manifest.task, manifest.generation)
    if store.put_if_absent(key, encode(manifest)) is Outcome.OTHER:
        return decode(store.get(key), TaskManifest, key)
    return manifest


def read_manifests(store: PosixStore, run: str, stage: int) -> dict[int, TaskManifest]:
    """Returns the newest readable manifest of every finished task of a stage.

    A damaged one is never believed and never removed: its task is done again under the next generation.
    """
    found: dict[int, TaskManifest] = {}
    for key in store.list(f"runs/{run}/manifests"):
        name = key.rsplit("/", maxsplit=1)[-1]
        if name.startswith(f"{stage:03d}-"):
            try:
                manifest = decode(store.get(key), TaskManifest, key)
            except CorruptControlFile:
                continue
            known = found.get(manifest.task)
            if known is None or known.generation < manifest.generation:
                found[manifest.task] = manifest
    return found


def why_invalid(store: PosixStore, manifest: TaskManifest, *, deep: bool) -> str | None:
    """Returns why a manifest's task must be done again, or None when all it names is in place.

    `deep` compares digests too, not only sizes.
    """
    named = [(f.staged, f.size_bytes, f.sha256) for f in (*manifest.files, *manifest.quarantine)]
    if manifest.exchange is not None:
        named.append((manifest.exchange.staged, manifest.exchange.size_bytes, manifest.exchange.sha256))
    for key, size_bytes, sha256 in named:
        try:
            path = store.path(key)
            found = path.stat().st_size
        except FileNotFoundError:
            return f"{key} is missing"
        if found != size_bytes:
            return f"{key} has {found} bytes instead of {size_bytes}"
        if deep and digest_file(path)[1] != sha256:
            return f"{key} has another digest"
    return None


def newest_generations(store: PosixStore, run: str, stage: int) -> dict[int, int]:
    """Returns the newest generation under which each task of a stage has a manifest, readable or not.

    A task that is done again writes the next one; damaged manifests are kept for diagnosis.
    """
    newest: dict[int, int] = {}
    for key in store.list(f"runs/{run}/manifests"):
        name = key.rsplit("/", maxsplit=1)[-1]
        found = _NAME.fullmatch(name)
        if found is None:
            raise CorruptControlFile(f"{key} is not the name of a manifest")
        if int(found["stage"]) == stage:
            task = int(found["task"])
            newest[task] = max(newest.get(task, 0), int(found["generation"]))
    return newest
