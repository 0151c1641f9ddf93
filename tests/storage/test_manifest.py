"""A manifest is reusable only while what it names is in place; the first writer counts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from checkrow.errors import CorruptControlFile
from checkrow.storage.manifest import (
    Accounting,
    ExchangeFile,
    StagedOutput,
    TaskManifest,
    newest_generations,
    put_manifest,
    read_manifests,
    why_invalid,
)
from checkrow.storage.store import PosixStore


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "control")


def _manifest(
    store: PosixStore, task: int = 0, attempt: str = "a1", generation: int = 1, stage: int = 1
) -> TaskManifest:
    key = f"runs/r/staging/{stage:03d}-{task:06d}-{attempt}/00000"
    with store.stage(key) as staged:
        staged.path.write_bytes(f"rows of {attempt}".encode())
    file = StagedOutput(path=f"f{task}.parquet", staged=key, rows=3, size_bytes=staged.size_bytes, sha256=staged.sha256)
    return TaskManifest(
        dataset="d" * 32, run="r", stage=stage, task=task, attempt=attempt, generation=generation, slice_id="s",
        fingerprint="f", files=(file,), accounting=Accounting(rows_in=3, rows_out=3), seconds=0.1, host="h", pid=1,
    )  # fmt: skip


def test_the_first_writer_counts(store: PosixStore) -> None:
    first, second = _manifest(store, attempt="a1"), _manifest(store, attempt="a2")
    assert put_manifest(store, first) == first
    assert put_manifest(store, second) == first
    assert read_manifests(store, "r", 1) == {0: first}


def test_the_same_manifest_twice_is_one(store: PosixStore) -> None:
    manifest = _manifest(store)
    assert put_manifest(store, manifest) == put_manifest(store, manifest) == manifest


def test_stages_and_tasks_are_kept_apart(store: PosixStore) -> None:
    made = [_manifest(store, task=t, stage=s) for s in (0, 1) for t in (0, 1, 12)]
    for manifest in made:
        put_manifest(store, manifest)
    assert read_manifests(store, "r", 0) == {m.task: m for m in made[:3]}
    assert read_manifests(store, "r", 1) == {m.task: m for m in made[3:]}
    assert read_manifests(store, "another", 1) == {}


def test_the_newest_generation_counts_beyond_nine(store: PosixStore) -> None:
    for generation in (1, 2, 9, 10):
        put_manifest(store, _manifest(store, attempt=f"a{generation}", generation=generation))
    assert read_manifests(store, "r", 1)[0].generation == 10
    assert newest_generations(store, "r", 1)[0] == 10
    assert 5 not in newest_generations(store, "r", 1)


def test_a_complete_manifest_is_valid(store: PosixStore) -> None:
    assert why_invalid(store, _manifest(store), deep=True) is None


def test_a_missing_file_makes_it_invalid(store: PosixStore) -> None:
    manifest = _manifest(store)
    store.delete(manifest.files[0].staged)
    assert "is missing" in (why_invalid(store, manifest, deep=False) or "")


def test_a_short_file_makes_it_invalid(store: PosixStore) -> None:
    manifest = _manifest(store)
    store.path(manifest.files[0].staged).write_bytes(b"rows")
    assert "has 4 bytes instead of 10" in (why_invalid(store, manifest, deep=False) or "")


def test_other_bytes_of_the_same_size_are_seen_by_a_deep_check(store: PosixStore) -> None:
    manifest = _manifest(store)
    store.path(manifest.files[0].staged).write_bytes(b"ROWS OF A1")
    assert why_invalid(store, manifest, deep=False) is None
    assert "another digest" in (why_invalid(store, manifest, deep=True) or "")


def test_the_exchange_file_counts_too(store: PosixStore) -> None:
    exchange = ExchangeFile(staged="runs/r/exchange/gone", size_bytes=5, sha256="0" * 64, rows=1)
    manifest = msgspec.structs.replace(_manifest(store), exchange=exchange)
    assert "runs/r/exchange/gone is missing" in (why_invalid(store, manifest, deep=False) or "")


def test_a_damaged_manifest_is_passed_over_and_kept(store: PosixStore) -> None:
    good, bad = _manifest(store, task=0), _manifest(store, task=1)
    put_manifest(store, good)
    put_manifest(store, bad)
    path = store.path("runs/r/manifests/001-000001.g1.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert read_manifests(store, "r", 1) == {0: good}
    assert newest_generations(store, "r", 1)[1] == 1
    assert path.is_file()


def test_a_damaged_manifest_is_never_believed(store: PosixStore) -> None:
    put_manifest(store, _manifest(store))
    path = store.path("runs/r/manifests/001-000000.g1.json")
    path.write_bytes(path.read_bytes().replace(b'"rows":3', b'"rows":4'))
    try:
        found = read_manifests(store, "r", 1)
    except CorruptControlFile as error:
        assert "001-000000.g1.json" in str(error)  # either way is right: refused, or passed over
    else:
        assert found == {}
