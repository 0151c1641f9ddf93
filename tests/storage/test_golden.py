"""What version 0.1.0 wrote stays readable for ever. Expectations are by hand; the files are never written again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from checkrow.operators.exchange import FileExchange
from checkrow.storage.hive import parse_partition_path
from checkrow.storage.log import CommitLog, current, snapshot
from checkrow.storage.manifest import read_manifests, why_invalid
from checkrow.storage.parquet import read_key_value
from checkrow.storage.reveal import locate, roll_forward
from checkrow.storage.roots import DatasetRoot, read_identity, resolve_root
from checkrow.storage.runs import find_run, find_stage, list_runs
from checkrow.storage.store import digest_file

GOLDEN = Path(__file__).parents[1] / "golden" / "control-v1"
DATASET = "0123456789abcdef0123456789abcdef"
ROWS = {
    1: {(1, "name 1", "2026-01-01"), (2, "name 2", "2026-01-01"), (3, None, None)},
    2: {
        (1, "name 1", "2026-01-01"), (2, "name 2", "2026-01-01"), (3, None, None), (4, "name 4", "2026-01-02"),
        (5, "name 5", "2026-01-02"), (6, None, "2026-01-02"),
    },
    3: {(7, "name 7", "a/b"), (8, "name 8", "2026-01-01"), (9, None, "2026-01-01")},
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> DatasetRoot:
    """A copy: reading may roll forward, and the committed files must not change."""
    for name in ("orders", "orders.checkrow"):
        shutil.copytree(GOLDEN / name, tmp_path / name)
    return resolve_root(str(tmp_path / "orders"))


def test_the_identity_is_read(root: DatasetRoot) -> None:
    identity = read_identity(root)
    assert identity is not None
    assert (identity.dataset, identity.created_at) == (DATASET, "2026-01-01T12:00:00.000001+00:00")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_snapshot_has_its_rows(root: DatasetRoot, number: int) -> None:
    seen = set()
    now = snapshot(CommitLog(root.store).read(), number)
    for entry in now.files:
        path = locate(root, entry)
        assert digest_file(path) == (entry.size_bytes, entry.sha256)
        assert parse_partition_path(entry.path) == entry.partition
        assert read_key_value(str(path), path.name, b"checkrow.dataset") == DATASET.encode()
        table = pq.ParquetFile(path).read()
        assert table.num_rows == entry.rows
        day = entry.partition["day"]
        seen |= {(x, name, day) for x, name in zip(*(c.to_pylist() for c in table.columns), strict=True)}
    assert seen == ROWS[number]
    assert now.arrow_schema().names == ["x", "name", "day"]


def test_the_log_says_what_was_done(root: DatasetRoot) -> None:
    records = CommitLog(root.store).read()
    assert [(r.number, r.mode, r.read_version) for r in records] == [
        (1, "error", 0),
        (2, "append", 1),
        (3, "replace", 2),
    ]
    assert [r.token for r in records] == [f"{n:032x}" for n in (1, 2, 3)]
    assert [r.outputs["data"].rows for r in records] == [3, 3, 3]
    assert [len(r.outputs["data"].removes) for r in records] == [0, 0, 3]
    assert {(r.accounting.rows_in, r.accounting.rows_out, r.accounting.rows_filtered) for r in records} == {(5, 3, 2)}
    assert {r.rows_pruned for r in records} == {5}


def test_nothing_is_left_to_reveal(root: DatasetRoot) -> None:
    log = CommitLog(root.store)
    before = {p: p.read_bytes() for p in root.data.parent.rglob("*") if p.is_file()}
    assert current(roll_forward(root), log.revealed()) == 3
    assert {p: p.read_bytes() for p in root.data.parent.rglob("*") if p.is_file()} == before


def test_the_unfinished_run_can_be_resumed(root: DatasetRoot) -> None:
    run = find_run(root.store, f"{4:032x}")
    assert run is not None
    assert (run.run, run.job, run.read_version) == ("4444444444444444", "golden", 3)
    assert run.parameters == {"day": "2026-01-01", "limit": 10, "flag": None}
    (manifest,) = read_manifests(root.store, run.run, 0).values()
    assert why_invalid(root.store, manifest, deep=True) is None
    assert manifest.exchange is not None
    stage = find_stage(root.store, run.run, 1)
    assert stage is not None
    assert stage.tasks == [{"number": 0, "first": 0, "last": 2, "size_bytes": 100, "rows": 3}]
    assert (stage.rows_bad, stage.quarantine) == (0, ()), "what a record of an older version lacks"
    assert len(list_runs(root.store)) == 4


def test_the_exchange_file_has_its_rows(root: DatasetRoot) -> None:
    exchange = FileExchange(root.control / "runs/4444444444444444/exchange/000-000000-abcdef01")
    assert exchange.partition_rows == (2, 1)
    first, second = exchange.partition(0), exchange.partition(1)
    assert first.names == ("k", "name")
    assert [first.columns[0].values.tolist(), second.columns[0].values.tolist()] == [[1, 2], [3]]
    text = first.columns[1]
    assert text.valid is not None
    assert text.offsets is not None
    assert (text.values.tobytes(), text.valid.tolist(), text.offsets.tolist()) == (b"ab", [1, 0], [0, 2, 2])
    assert second.columns[1].values.tobytes() == b"cc"
