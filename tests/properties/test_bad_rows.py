"""Rows on which kernels fail, over random tables: the others are as if those were not there, or null stands for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import checkrow as cr
from checkrow.compile.cache import driver_cache
from checkrow.expressions.types import Field, type_text
from checkrow.expressions.typing import resolve
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Batch, Origin
from checkrow.operators.rows import RowPipeline
from checkrow.plan.bad_rows import QUARANTINE
from tests.profiles import drawing
from tests.properties.tables import groups, same_key, tables

NULLS = cr.BadRows("null")
FEW = drawing(0.5)


@cr.row_kernel(returns={"q": pa.int64(), "small": pa.int8()})
def shares(x, z):
    return x // z, z * 20


@cr.row_kernel(returns=pa.int64(), nulls="forbid")
def strict(z):
    if z == 3:
        raise ValueError("three")
    return z


@cr.aggregator(returns=pa.int64())
class Shares:
    def init():
        return 0, 0

    def update(state, x, z):
        return state[0] + x // z, state[1] + 1

    def merge(state, other):
        return state[0] + other[0], state[1] + other[1]

    def finish(state):
        return state[0] - state[1]


@cr.aggregator(returns=pa.int64())
class Picky:
    def init():
        return 0

    def update(state, z):
        if z == 5:
            raise ValueError("five")
        return state + z

    def merge(state, other):
        return state + other

    def finish(state):
        return state


@cr.group_kernel(returns={"q": pa.int64()}, nulls={"z": 1})
def shared(x, z):
    return (x // z).sum()


@cr.group_kernel(returns={"q": pa.int64()}, shape="map", nulls={"z": 1})
def each(x, z, out):
    for i in range(len(x)):
        out.q[i] = x[i] // z[i]


def expected_shares(x: int, z: int | None) -> tuple[bool, int | None, int | None]:
    if z is None:
        return False, None, None
    if z == 0 or not -128 <= z * 20 <= 127:
        return True, None, None
    return False, x // z, z * 20


@pytest.fixture(params=["one batch", "small batches", "vectorised"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs with whole batches, with batches of seven rows, and without the fused loop."""
    if request.param == "small batches":
        monkeypatch.setattr("checkrow.storage.parquet.ROWS", 7)
    if request.param == "vectorised":
        monkeypatch.setattr("checkrow.operators.fuse.RangeProof.holds", lambda *_: False)
    return str(request.param)


def scanned(table: pa.Table, place: Path, groups_of: int = 25) -> cr.Dataset:
    place.mkdir(exist_ok=True)
    pq.write_table(table, place / "t.parquet", row_group_size=groups_of)
    return cr.scan(str(place / "t.parquet"))


@FEW
@given(table=tables())
def test_row_kernels(tmp_path: Path, way: str, table: pa.Table) -> None:
    rows = scanned(table, tmp_path)
    wanted = [(r["x"], *expected_shares(r["x"], r["z"])) for r in table.to_pylist()]
    found = rows.map(shares).collect(bad_rows=NULLS).to_pylist()
    assert [(r["x"], r["q"], r["small"]) for r in found] == [(x, q, s) for x, _, q, s in wanted]
    kept = rows.map(shares).filter(cr.col("q") > 0).select("q").collect(bad_rows=NULLS)
    assert kept["q"].to_pylist() == [q for _, _, q, _ in wanted if q is not None and q > 0]
    chosen = cr.when(cr.col("x") > 0).then(strict(cr.col("z"))).otherwise(-1)
    some = rows.select(c=chosen).collect(bad_rows=NULLS)["c"].to_pylist()
    assert some == [-1 if r["x"] <= 0 else (None if r["z"] in {None, 3} else r["z"]) for r in table.to_pylist()]


@drawing(0.25)
@given(table=tables(), keys=st.sampled_from([("k1",), ("k1", "k2"), ()]))
def test_sums_of_kernels_and_aggregators(tmp_path: Path, way: str, table: pa.Table, keys: tuple[str, ...]) -> None:
    rows = scanned(table, tmp_path)
    found = (
        rows.map(shares).group_by(*keys)
        .agg(n=cr.count(), q=cr.sum("q"), v=cr.count("q"), own=Shares("x", "z"), picky=Picky("z"), d=cr.count_distinct("z"))
        .collect(bad_rows=NULLS)
    )  # fmt: skip
    wanted = groups(table.to_pylist(), keys) or ({(): []} if not keys else {})
    mine = {tuple(same_key(r[k]) for k in keys): r for r in found.to_pylist()}
    assert mine.keys() == wanted.keys()
    for key, some in wanted.items():
        good = [q for r in some if (q := expected_shares(r["x"], r["z"])[1]) is not None]
        own = [r["x"] // r["z"] for r in some if r["z"]]
        picky = [r["z"] for r in some if r["z"] not in {None, 5}]
        assert mine[key]["n"] == len(some)
        assert (mine[key]["v"], mine[key]["q"]) == (len(good), sum(good) if good else None)
        assert mine[key]["own"] == (sum(own) - len(own) if own else None)
        assert mine[key]["picky"] == (sum(picky) if picky else None)
        assert mine[key]["d"] == len({r["z"] for r in some if r["z"] is not None})


@FEW
@given(table=tables())
def test_group_kernels(tmp_path: Path, table: pa.Table) -> None:
    rows = scanned(table, tmp_path)
    for kernel, shape in ((shared, "reduce"), (each, "map")):
        found = rows.group_by("k1").apply(kernel).collect(bad_rows=NULLS).to_pylist()
        wanted = []
        for key, some in groups(table.to_pylist(), ("k1",)).items():
            z = [1 if r["z"] is None else r["z"] for r in some]
            parts = None if 0 in z else [r["x"] // d for r, d in zip(some, z, strict=True)]
            if shape == "reduce":
                wanted.append((key[0], None if parts is None else sum(parts)))
            else:
                wanted += [(key[0], None if parts is None else p) for p in parts or some]
        assert [(same_key(r["k1"]), r["q"]) for r in found] == wanted


@FEW
@given(table=tables(), cut=st.integers(1, 60))
def test_rows_that_leave(way: str, table: pa.Table, cut: int) -> None:
    # What the quarantine will be made of: bad rows are gone, the others in order, each bad row noted once by number.
    keeper = BadRowKeeper(QUARANTINE)
    fields = tuple(Field(f.name, type_text(f.type)) for f in table.schema)
    outputs = tuple((name, resolve(node, fields)) for name, node in shares.outputs())
    pipeline = RowPipeline((), (("x", resolve(cr.col("x").node, fields)), *outputs), driver_cache(), keeper, fused=True)
    found: list[Any] = []
    for first in range(0, table.num_rows, cut):
        part = table.slice(first, cut).combine_chunks().to_batches()
        for raw in part:
            batch = Batch(raw, {}, {f.name: f.dtype for f in fields}, Origin("here"), first)
            found += pipeline.run(batch).to_pylist()
    wanted = [(r["x"], *expected_shares(r["x"], r["z"])) for r in table.to_pylist()]
    assert [(r["x"], r["q"], r["small"]) for r in found] == [(x, q, s) for x, bad, q, s in wanted if not bad]
    assert [b.row for b in keeper.rows] == [i for i, (_, bad, _, _) in enumerate(wanted) if bad]


def test_too_many_end_the_run_and_nothing_is_committed(tmp_path: Path) -> None:
    table = pa.table({"x": list(range(100)), "z": pa.array([0 if i % 10 == 0 else 1 for i in range(100)], pa.int32())})
    rows = scanned(table, tmp_path / "in").map(shares)
    target = str(tmp_path / "out")
    for policy, allowed in ((cr.BadRows("null", max_rows=9), 9), (cr.BadRows("null", max_share=0.05), 5)):
        with pytest.raises(
            cr.errors.KernelRowError, match=rf"failed on \d+ rows; of 100 rows read, {allowed} are allowed"
        ):
            rows.write_parquet(target, bad_rows=policy)
    assert not (tmp_path / "out").exists()
    run = rows.write_parquet(target, bad_rows=cr.BadRows("null", max_rows=10, max_share=0.1))
    assert (run.rows_out, run.rows_nulled, run.steps[0].rows_nulled) == (100, 10, 10)
    assert cr.scan(target).filter(cr.col("q").is_null()).collect().num_rows == 10


@pytest.mark.parametrize(
    ("given_", "what"),
    [
        (("drop",), "is not one of"),
        (("fail", 3), "stops at the first"),
        (("null", -1), "0 or more"),
        (("null", None, 1.5), "from 0 to 1"),
    ],
)
def test_policies_that_cannot_be_meant(given_: tuple[Any, ...], what: str) -> None:
    with pytest.raises(cr.errors.ConfigError, match=what):
        cr.BadRows(*given_)


def test_the_policy_is_part_of_what_identifies_an_unfinished_run(tmp_path: Path) -> None:
    rows = scanned(pa.table({"x": [1], "z": pa.array([1], pa.int32())}), tmp_path / "in").map(shares)
    plan = rows.plan_parquet(str(tmp_path / "out"))
    assert plan.physical().fingerprint != plan.physical(NULLS).fingerprint
    assert plan.physical(NULLS).fingerprint == plan.physical(cr.BadRows("null", max_rows=3)).fingerprint
