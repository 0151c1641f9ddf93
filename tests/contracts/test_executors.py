"""One suite for every executor: the same program gives the same result, errors and records, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import checkrow as cr
from checkrow import col
from tests.conftest import sample


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    with cr.cluster.local(processes=2) as made:
        yield made


@pytest.fixture(params=["threads-1", "threads-2", "threads-4", "dask-2"])
def where(request: pytest.FixtureRequest) -> dict[str, object]:
    kind, number = request.param.split("-")
    if kind == "threads":
        return {"limits": cr.Limits(threads=int(number))}
    return {"on": request.getfixturevalue("cluster")}


@cr.row_kernel(returns={"charge": pa.decimal128(18, 6), "level": pa.float64()}, decimals="scaled")
def charge(price, rate):
    return price * (10000 - rate), price / 7


def grouped(source: str) -> cr.Dataset:
    return (
        cr.scan(source)
        .filter(col("id") > 10)
        .map(charge)
        .group_by("city", "flag", "day")
        .agg(total=cr.sum("charge"), level=cr.sum("level"), mean=cr.mean("ratio"), n=cr.count())
    )


@cr.group_kernel(returns={"rank": pa.int32(), "ratio": pa.float64()}, shape="expand", nulls={"ratio": 0.5})
def kept(id, ratio, out, *, least):  # noqa: A002  # the column's name
    n = 0
    for i in range(len(id)):
        if id[i] >= least:
            out.rank[n] = i
            out.ratio[n] = ratio[i] * 3.0
            n += 1
    return n


@cr.fold_kernel(returns={"ratio": pa.float64()})
class Smooth:
    def init():
        return 0.0

    def step(state, ratio, *, share):
        state += share * (ratio - state)
        return state, state


@cr.aggregator(returns=pa.float64())
class Spread:
    def init():
        return 0.0, 0.0, 0

    def update(state, x):
        return state[0] + x, state[1] + x * x, state[2] + 1

    def merge(state, other):
        return state[0] + other[0], state[1] + other[1], state[2] + other[2]

    def finish(state):
        return state[1] / state[2] - (state[0] / state[2]) ** 2


def own_code(source: str) -> cr.Dataset:
    groups = cr.scan(source).group_by("city", "small").apply(kept.bind(least=40), order_by=col("day").desc())
    smooth = groups.group_by("city").apply(Smooth.bind(share=0.3), order_by="rank")
    return smooth.group_by("city").agg(spread=Spread("ratio"), n=cr.count())


@cr.expand_kernel(
    returns={"step": pa.int64(), "share": pa.float64()}, keep=["city", "day", "ratio"], nulls={"ratio": 0.5}
)
def steps(small, ratio, out):
    n = small % 5
    for k in range(n):
        out.step[k] = k
        out.share[k] = ratio / n
    return n


@cr.batch_kernel(returns={"scaled": pa.float64()}, nulls={"ratio": -1.0})
def scaled(share, ratio, ratio_valid):
    return share * 3.0 + ratio * ratio_valid


def row_wise(source: str) -> cr.Dataset:
    made = cr.scan(source).filter(col("id") > 10).map(steps).filter(col("city") != "city-3").map(scaled)
    return made.group_by("city", "step").agg(
        total=cr.sum("scaled"), n=cr.count(), last=cr.last("share", order_by="day")
    )


def content(root: str) -> list[tuple[str, bytes]]:
    """Returns partition and bytes of the rows of every file: everything but the run's id in the names."""
    import pyarrow.parquet as pq

    out = []
    for path in sorted(Path(root).rglob("*.parquet"), key=lambda p: (p.parent, p.name.split("-", 2)[2])):
        sink = pa.BufferOutputStream()
        table = pq.read_table(path, partitioning=None).replace_schema_metadata()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        out.append((path.parent.name, sink.getvalue().to_pybytes()))
    return out


@pytest.mark.usefixtures("many_partitions")
def test_collect_is_bit_equal(source, where) -> None:
    wanted = grouped(source).collect(limits=cr.Limits(threads=1))
    assert grouped(source).collect(**where).equals(wanted)


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_group_kernels_folds_and_aggregators_are_bit_equal(source, where) -> None:
    wanted = own_code(source).collect(limits=cr.Limits(threads=1))
    assert wanted.num_rows > 3
    assert own_code(source).collect(**where).equals(wanted)


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_row_wise_kernels_are_bit_equal(source, where) -> None:
    wanted = row_wise(source).collect(limits=cr.Limits(threads=1))
    assert wanted.num_rows > 30
    assert row_wise(source).collect(**where).equals(wanted)


@pytest.mark.usefixtures("many_partitions")
def test_written_files_are_bit_equal(source, where) -> None:
    plan = grouped(source).plan_parquet("wanted", partition_by="city").with_target_bytes(4_000)
    plan.run(limits=cr.Limits(threads=1))
    run = grouped(source).plan_parquet("found", partition_by="city").with_target_bytes(4_000).run(**where)
    assert run.metrics["tasks_run"] > 12
    assert content("found") == content("wanted")


def test_rows_without_aggregate(source, where) -> None:
    ds = cr.scan(source).filter(col("small") > 0).map(charge).select("id", "charge")
    assert ds.collect(**where).sort_by("id").equals(ds.collect(limits=cr.Limits(threads=1)).sort_by("id"))


def test_errors_travel(source, where) -> None:
    with pytest.raises(cr.errors.ArithmeticRangeError):
        cr.scan(source).select(x=col("big") * (2**40)).collect(**where)
    with pytest.raises(cr.errors.KernelRowError, match=r"kernel 'picky' .* raised ValueError: no"):
        cr.scan(source).map(picky).write_parquet("bad", **where)
    assert not Path("bad").exists()


@cr.row_kernel(returns={"y": pa.int64()})
def picky(id):  # noqa: A002  # the column's name
    if id == 1234:
        raise ValueError("no")
    return id


@cr.group_kernel(returns={"q": pa.int64()}, nulls={"small": 0})
def total(id, small):  # noqa: A002  # the column's name
    return (id // small).sum()


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_quarantined_rows_are_bit_equal(source, where) -> None:
    keep = cr.BadRows("quarantine")
    for number, ds in enumerate((cr.scan(source).group_by("city").apply(total), cr.scan(source).map(picky))):
        wanted = ds.write_parquet(f"wanted{number}", bad_rows=keep, limits=cr.Limits(threads=1))
        found = ds.write_parquet(f"found{number}", bad_rows=keep, **where)
        assert found.rows_quarantined == wanted.rows_quarantined > 0
        bad = [
            cr.scan(f"{name}{number}", output="quarantine").drop("_run", "_instance").collect()
            for name in ("wanted", "found")
        ]
        assert bad[0].equals(bad[1])


def test_nothing_finished_is_done_twice(source, where) -> None:
    plan = grouped(source).plan_parquet("out", key="k").with_target_bytes(4_000)
    first = plan.run(checkpoint_interval_s=0, **where)
    again = plan.run(checkpoint_interval_s=0, **where)
    assert again.already_done
    assert (again.id, again.metrics["tasks_run"]) == (first.id, 0)


def test_an_address_that_nobody_answers() -> None:
    with pytest.raises(cr.errors.ConfigError, match="not a distributed Client"):
        cr.scan(sample_file()).collect(on=42)


def sample_file() -> str:
    import pyarrow.parquet as pq

    pq.write_table(sample(10), "x.parquet")
    return "x.parquet"
