"""Rows that leave for the quarantine, over random tables: the output is as if they were not there, and they are all there.

Every row of the source is in exactly one of the two; a quarantined row is the source's, with where it was read.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

import checkrow as cr
from tests.profiles import drawing
from tests.properties.tables import groups, same_key, tables
from tests.properties.test_bad_rows import Shares, each, expected_shares, scanned, shared, shares, strict

QUARANTINE = cr.BadRows("quarantine")
SOME = drawing(0.25)


@pytest.fixture(params=["one batch", "small batches", "vectorised"])
def way(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, many_slices: None, many_partitions: None
) -> str:
    """Runs with whole batches, with batches of seven rows, and without the fused loop; always in several tasks."""
    if request.param == "small batches":
        monkeypatch.setattr("checkrow.storage.parquet.ROWS", 7)
        monkeypatch.setattr("checkrow.run.task.ROWS", 5)
    if request.param == "vectorised":
        monkeypatch.setattr("checkrow.operators.fuse.RangeProof.holds", lambda *_: False)
    return str(request.param)


def written(ds: cr.Dataset, place: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], cr.Run]:
    """Writes a dataset; returns its rows, the quarantined ones and the run."""
    for old in place.parent.glob(f"{place.name}*"):
        shutil.rmtree(old)
    run = ds.write_parquet(str(place), bad_rows=QUARANTINE)
    bad: list[dict[str, Any]] = []
    if run.rows_quarantined:
        bad = cr.scan(str(place), output="quarantine").collect().to_pylist()
    assert len(bad) == run.rows_quarantined == sum(s.rows_quarantined for s in run.steps)
    first = run.steps[0]
    if len(run.steps) == 1:
        assert first.rows_in == first.rows_out + first.rows_filtered + first.rows_quarantined
    return cr.scan(str(place)).collect().to_pylist(), bad, run


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {n: same_key(v) for n, v in row.items() if not n.startswith("_")}


def indexes(source: pa.Table, bad: list[dict[str, Any]]) -> list[int]:
    """Returns which rows of the source were quarantined, having compared their values."""
    rows, out = source.to_pylist(), []
    for b in bad:
        out.append(b["_row_group"] * 25 + b["_row_index"])
        assert plain(b) == plain(rows[out[-1]])
        assert (Path(b["_source_file"]).name, b["_values"]) == ("t.parquet", None)
    return out


def test_row_kernels(tmp_path: Path, way: str) -> None:
    @SOME
    @given(tables())
    def check(table: pa.Table) -> None:
        rows = scanned(table, tmp_path / "in")
        found, bad, _ = written(
            rows.filter(cr.col("x") > -(2**30)).map(shares).select("x", "q", "small"), tmp_path / "out"
        )
        seen = [
            (i, r["x"], *expected_shares(r["x"], r["z"])) for i, r in enumerate(table.to_pylist()) if r["x"] > -(2**30)
        ]
        assert [tuple(r.values()) for r in found] == [(x, q, s) for _, x, failed, q, s in seen if not failed]
        assert indexes(table, bad) == [i for i, _, failed, _, _ in seen if failed]
        assert {b["_kernel"] for b in bad} <= {"shares"}
        assert {b["_error"] for b in bad} <= {"ZeroDivisionError", "OutOfRange"}

    check()


def test_conditions_and_aggregates(tmp_path: Path, way: str) -> None:
    # An aggregator, a kernel in its arguments, one in a condition, and a part of its own for the distinct values.
    @SOME
    @given(tables())
    def check(table: pa.Table) -> None:
        ds = (
            scanned(table, tmp_path / "in").filter(strict(cr.col("z")) > -5).group_by("k1")
            .agg(n=cr.count(), own=Shares("x", "z"), q=cr.sum(shares_q), d=cr.count_distinct("x"))
        )  # fmt: skip
        found, bad, _ = written(ds, tmp_path / "out")
        assert sorted(indexes(table, bad)) == [i for i, r in enumerate(table.to_pylist()) if r["z"] in {None, 3, 0}]
        good = [r for r in table.to_pylist() if r["z"] not in {None, 3, 0} and r["z"] > -5]
        mine = {same_key(r["k1"]): r for r in found}
        wanted = groups(good, ("k1",))
        assert mine.keys() == {k for (k,) in wanted}
        for (key,), some in wanted.items():
            q = [r["x"] // r["z"] for r in some]
            assert (mine[key]["n"], mine[key]["d"]) == (len(some), len({r["x"] for r in some}))
            assert (mine[key]["own"], mine[key]["q"]) == (sum(q) - len(q), sum(q))

    shares_q = quotient(cr.col("x"), cr.col("z"))
    check()


@cr.row_kernel(returns=pa.int64())
def quotient(x, z):
    return x // z


@pytest.mark.parametrize("kernel", [shared, each], ids=["reduce", "map"])
def test_group_kernels(tmp_path: Path, many_slices: None, many_partitions: None, kernel: Any) -> None:
    @SOME
    @given(tables())
    def check(table: pa.Table) -> None:
        ds = scanned(table, tmp_path / "in").filter(cr.col("x") > -(2**30)).group_by("k1").apply(kernel)
        found, bad, _ = written(ds, tmp_path / "out")
        numbered = [{**r, "i": i} for i, r in enumerate(table.to_pylist()) if r["x"] > -(2**30)]
        wanted, gone = [], []
        for (key,), some in groups(numbered, ("k1",)).items():
            z = [1 if r["z"] is None else r["z"] for r in some]
            if 0 in z:
                gone += [r["i"] for r in some]
                continue
            parts = [r["x"] // d for r, d in zip(some, z, strict=True)]
            wanted += [(key, sum(parts))] if kernel is shared else [(key, p) for p in parts]
        assert sorted(((same_key(r["k1"]), r["q"]) for r in found), key=repr) == sorted(wanted, key=repr)
        assert sorted(indexes(table, bad)) == sorted(gone)
        assert all(b["_message"].startswith("group k1=") for b in bad)

    check()


def test_nothing_depends_on_threads_or_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many_slices: None
) -> None:
    table = pa.table({"x": list(range(2_000)), "z": pa.array([i % 7 for i in range(2_000)], pa.int32())})
    ds = scanned(table, tmp_path / "in").map(quotient)
    digests = set()
    for threads, rows in ((1, 131_072), (2, 131_072), (4, 131_072), (2, 1), (3, 13)):
        monkeypatch.setattr("checkrow.storage.parquet.ROWS", rows)
        place = tmp_path / f"out-{threads}-{rows}"
        ds.write_parquet(str(place), bad_rows=QUARANTINE, limits=cr.Limits(threads=threads))
        bad = cr.scan(str(place), output="quarantine").drop("_run", "_instance").collect()
        digests.add((repr(cr.scan(str(place)).collect().to_pydict()), repr(bad.to_pydict())))
        assert len(list(place.with_name(place.name + ".quarantine").glob("*.parquet"))) > 1
    assert len(digests) == 1
    pq.read_table(tmp_path / "out-1-131072.quarantine")  # plain files, for every reader
