"""The quarantine is an output of the same commit: limits, generations, replacements, resumes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors
from checkrow.events import Event, StageFinished
from checkrow.run.inspect import commits, open_dataset, verify
from checkrow.run.lifecycle import Status
from checkrow.storage.manifest import read_manifests
from tests.jobs.stopping import Stop

KEEP = cr.BadRows("quarantine")


@cr.row_kernel(returns=pa.int64())
def ratio(x, z):
    return x // z


@cr.row_kernel(returns=pa.int64())
def strict(q):
    if q < 0:
        raise ValueError("negative")
    return q


@cr.group_kernel(returns={"q": pa.int64()})
def total(x, z):
    return (x // z).sum()


@cr.group_kernel(returns={"s": pa.int64()}, nulls={"q": 0})
def above(q):
    if q.sum() > 3:
        raise ValueError("too large")
    return q.sum()


@pytest.fixture
def source(tmp_path: Path) -> cr.Dataset:
    """Two files of 50 rows; z is 0 in every tenth row."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(2):
        rows = range(number * 50, number * 50 + 50)
        table = pa.table({"x": list(rows), "z": pa.array([i % 10 for i in rows], pa.int32())})
        pq.write_table(table, place / f"{number}.parquet", row_group_size=20)
    return cr.scan(str(place))


def quarantined(url: str = "out") -> list[int]:
    """Returns x of the quarantined rows, once snapshot readers and glob readers agree on them."""
    seen = sorted(x for p in Path(f"{url}.quarantine").rglob("*.parquet") for x in pq.read_table(p)["x"].to_pylist())
    assert sorted(cr.scan(url, output="quarantine").collect()["x"].to_pylist()) == seen
    return seen


def test_one_record_commits_both(source) -> None:
    run = source.map(ratio).write_parquet("out", bad_rows=KEEP)
    (record,) = commits(open_dataset("out"))
    assert {o: (c.rows, len(c.adds), c.removes) for o, c in record.outputs.items()} == {
        "data": (90, 1, ()),
        "quarantine": (10, 1, ()),
    }
    assert (record.accounting.rows_in, record.accounting.rows_out, record.accounting.rows_quarantined) == (100, 90, 10)
    assert (run.rows_out, run.rows_quarantined, run.rows_nulled, run.metrics["rows_quarantined"]) == (90, 10, 0, 10)
    assert ">quarantined</th>" in run._repr_html_()
    assert quarantined() == list(range(0, 100, 10))
    row = cr.scan("out", output="quarantine").collect().to_pylist()[7]
    assert {n: v for n, v in row.items() if n not in {"_source_file", "_instance"}} == {
        "x": 70, "z": 0, "_row_group": 1, "_row_index": 0, "_values": None, "_kernel": "ratio",
        "_error": "ZeroDivisionError", "_message": "raised ZeroDivisionError: integer division by zero", "_run": run.id,
    }  # fmt: skip
    assert (row["_source_file"].endswith("in/1.parquet"), row["_instance"]) == (True, record.instance)
    verdict = verify(open_dataset("out"))
    assert (verdict.rows, verdict.rows_quarantined, verdict.problems) == (90, 10, ())
    assert not list(Path("out.checkrow").rglob("*.parquet"))


def test_a_run_without_bad_rows_has_no_quarantine(source) -> None:
    run = source.filter(cr.col("z") > 0).map(ratio).write_parquet("out", bad_rows=KEEP)
    assert (run.rows_quarantined, Path("out.quarantine").exists()) == (0, False)
    with pytest.raises(errors.ConfigError, match="committed no quarantine yet"):
        cr.scan("out", output="quarantine")
    with pytest.raises(errors.ConfigError, match="is not 'quarantine'"):
        cr.scan("out", output="bad")
    with pytest.raises(errors.ConfigError, match="no dataset that checkrow wrote"):
        cr.scan("in", output="quarantine")


@pytest.mark.parametrize("policy", [cr.BadRows("quarantine", max_rows=9), cr.BadRows("quarantine", max_share=0.05)])
def test_more_than_allowed_commit_nothing(source, policy) -> None:
    with pytest.raises(errors.KernelRowError, match=r"failed on \d+ rows; of 100 rows read.*Nothing was committed"):
        source.map(ratio).write_parquet("out", bad_rows=policy)
    assert not Path("out").exists()
    assert not Path("out.quarantine").exists()
    assert errors.KernelRowError.exit_code == 1


def test_the_limit_counts_all_stages(source) -> None:
    """It was applied to each stage by itself: ten rows and then three more passed a limit of twelve."""
    grouped = source.map(ratio).group_by("z").agg(q=cr.sum("ratio")).with_columns(q=cr.col("q") - 170)
    ds = grouped.with_columns(s=strict(cr.col("q")))
    run = ds.write_parquet("out", bad_rows=KEEP)
    assert [s.rows_quarantined for s in run.steps] == [10, 7]
    with pytest.raises(errors.KernelRowError, match="failed on 17 rows"):
        ds.write_parquet("other", bad_rows=cr.BadRows("quarantine", max_rows=16))
    again = ds.plan_parquet("third", key="k")
    with pytest.raises(errors.KernelRowError, match="failed on 17 rows"):
        again.run(bad_rows=cr.BadRows("quarantine", max_rows=16))
    with pytest.raises(errors.KernelRowError, match="failed on 17 rows"):
        again.run(bad_rows=cr.BadRows("quarantine", max_rows=16))  # resumed, with all its tasks done
    assert again.run(bad_rows=cr.BadRows("quarantine", max_rows=17)).rows_quarantined == 17


def test_rows_that_stand_in_no_file_are_told(source) -> None:
    ds = source.group_by("z").agg(q=cr.sum("x"), m=cr.mean("x")).with_columns(s=strict(cr.col("q") - 470))
    run = ds.write_parquet("out", bad_rows=KEEP)
    rows = cr.scan("out", output="quarantine").collect().to_pylist()
    assert run.rows_quarantined == len(rows) == 2
    assert sorted(rows[0]) == sorted(["x", "z", *(n for n in rows[0] if n.startswith("_"))])
    assert {r["x"] for r in rows} == {r["z"] for r in rows} == {r["_source_file"] for r in rows} == {None}
    told = sorted((json.loads(r["_values"]) for r in rows), key=lambda v: v["z"])
    assert told == [{"z": 0, "q": 450, "m": 45.0}, {"z": 1, "q": 460, "m": 46.0}]
    assert all(r["_message"].startswith("partition 0, row ") for r in rows)


def test_groups_of_rows_that_stand_in_no_file_are_told(source) -> None:
    small = source.filter(cr.col("x") < 20).group_by("z", "x").agg(q=cr.count())
    run = small.with_columns(q=cr.col("q") * 2).group_by("z").apply(above).write_parquet("out", bad_rows=KEEP)
    rows = cr.scan("out", output="quarantine").collect().to_pylist()
    assert [s.rows_quarantined for s in run.steps] == [0, 0, 20]
    assert (run.rows_out, len(rows)) == (0, 20)
    told = [json.loads(r["_values"]) for r in rows]
    assert sorted(t["z"] for t in told) == sorted([*range(10)] * 2)
    assert {n: v for t in told for n, v in t.items() if n != "z"} == {"(q * 2)": 2}


def test_a_group_leaves_whole(source) -> None:
    run = source.group_by("z").apply(total).write_parquet("out", bad_rows=KEEP)
    assert [(s.rows_in, s.rows_out, s.rows_filtered, s.rows_quarantined) for s in run.steps] == [
        (100, 100, 0, 0),
        (100, 9, 0, 10),
    ]
    rows = cr.scan("out", output="quarantine").collect().to_pylist()
    assert [r["x"] for r in rows] == list(range(0, 100, 10))
    assert [(Path(r["_source_file"]).name, r["_row_group"], r["_row_index"]) for r in rows][4:7] == [
        ("0.parquet", 2, 0), ("1.parquet", 0, 0), ("1.parquet", 0, 10)]  # fmt: skip
    assert {r["_message"] for r in rows} == {"group z=0: raised ZeroDivisionError: integer division by zero"}


def test_a_generation_supersedes_the_quarantine_of_the_one_before(tmp_path, source) -> None:
    job = _job()
    job.run(source="in", target="out")
    assert quarantined() == list(range(0, 100, 10))
    other = pa.table({"x": [1_000], "z": pa.array([0], pa.int32())})
    source.map(ratio).write_parquet("out", mode="append", bad_rows=KEEP, key="another")
    pq.write_table(other, tmp_path / "in" / "0.parquet")
    job.run(source="in", target="out", force=True)
    assert quarantined() == sorted([*range(0, 100, 10), *range(50, 100, 10), 1_000])
    pq.write_table(other.set_column(1, "z", pa.array([1], pa.int32())), tmp_path / "in" / "0.parquet")
    pq.write_table(other.slice(0, 0), tmp_path / "in" / "1.parquet")
    job.run(source="in", target="out", force=True)
    assert quarantined() == list(range(0, 100, 10)), "what another instance left stays"
    assert verify(open_dataset("out")).problems == ()


def test_replace_replaces_the_quarantine(source) -> None:
    source.map(ratio).write_parquet("out", bad_rows=KEEP)
    source.filter(cr.col("x") < 15).map(ratio).write_parquet("out", bad_rows=KEEP, mode="replace")
    assert quarantined() == [0, 10]
    source.filter(cr.col("z") > 0).map(ratio).write_parquet("out", mode="replace")
    assert quarantined() == []
    assert verify(open_dataset("out")).problems == ()


def test_rows_of_other_sources_stay_readable(tmp_path, source) -> None:
    source.map(ratio).select("ratio").write_parquet("out", bad_rows=KEEP)
    pq.write_table(pa.table({"x": [5], "z": pa.array([0], pa.int32()), "note": ["n"]}), tmp_path / "more.parquet")
    cr.scan("more.parquet").map(ratio).select("ratio").write_parquet("out", mode="append", bad_rows=KEEP)
    source.map(ratio).select("ratio").write_parquet("out", mode="append", bad_rows=KEEP)
    rows = cr.scan("out", output="quarantine").collect().to_pylist()
    assert [(r["x"], r["note"]) for r in rows if r["note"]] == [(5, "n")]
    assert len(rows) == 21


def test_what_stands_where_the_quarantine_belongs_is_not_touched(source) -> None:
    Path("out.quarantine").mkdir()
    Path("out.quarantine/mine.txt").write_text("mine")
    with pytest.raises(errors.ConfigError, match="holds files that no commit"):
        source.map(ratio).write_parquet("out", bad_rows=KEEP)
    assert Path("out.quarantine/mine.txt").read_text() == "mine"


def test_another_control_root_has_its_quarantine_beside_it(source) -> None:
    source.map(ratio).write_parquet("out", bad_rows=KEEP, control="aside/ctl")
    assert len(list(Path("aside/ctl.quarantine").glob("*.parquet"))) == 1
    assert cr.scan("out", output="quarantine", control="aside/ctl").collect().num_rows == 10


def test_collect_has_no_place_for_bad_rows(source) -> None:
    with pytest.raises(errors.ConfigError, match="needs a dataset to commit to"):
        source.map(ratio).collect(bad_rows=KEEP)


def test_a_source_with_a_column_of_the_quarantine_is_refused(tmp_path) -> None:
    pq.write_table(pa.table({"x": [1], "z": [0], "_run": ["r"]}), tmp_path / "t.parquet")
    with pytest.raises(errors.PlanError, match="'_run', which is a column of the quarantine too"):
        cr.scan("t.parquet").map(ratio).write_parquet("out", bad_rows=KEEP)
    assert not Path("out.checkrow").exists()


def test_a_changed_policy_is_seen_by_resume(source) -> None:
    job, null = _job(), _job(cr.BadRows("null"))
    with pytest.raises(RuntimeError, match="stopped by the test"):
        job.run(source="in", target="out", progress=Stop(1))
    with pytest.raises(errors.ResumeMismatch, match="bad rows were to be 'quarantine' and are to be 'null'"):
        null.run(source="in", target="out")
    with pytest.raises(errors.ResumeMismatch, match="another fate"):
        null.run(source="in", target="out", accept_code_change=True)


@pytest.mark.parametrize("interval_s", [0.0, 60.0])
@pytest.mark.parametrize("kind", ["rows", "groups", "states"])
def test_a_resume_has_the_same_quarantine(source, many_slices, kind: str, interval_s: float) -> None:
    ds = {
        "rows": source.map(ratio),
        "groups": source.group_by("z").apply(total),
        "states": source.map(ratio).group_by("z").agg(n=cr.count(), q=cr.sum("ratio")),
    }[kind]
    whole, stops = ds.write_parquet("whole", bad_rows=KEEP), 0
    for after in range(1, 40):
        target, plan = f"out-{after}", ds.plan_parquet(f"out-{after}", key="k")
        try:
            plan.run(bad_rows=KEEP, checkpoint_interval_s=interval_s, progress=Stop(after))
        except RuntimeError as stop:
            assert str(stop) == "stopped by the test"  # the last round has no stop
            stops += 1
        else:
            break
        run = plan.run(bad_rows=KEEP, checkpoint_interval_s=interval_s)
        assert run.status == Status.COMMITTED
        assert (run.rows_out, run.rows_quarantined) == (whole.rows_out, whole.rows_quarantined)
        assert quarantined(target) == quarantined("whole")
        found = [m for n in (0, 1) for m in read_manifests(open_dataset(target).store, run.id, n).values()]
        assert sum(m.accounting.rows_quarantined for m in found) == sum(f.rows for m in found for f in m.quarantine)
    assert stops >= (2 if kind == "rows" else 3)


@pytest.mark.parametrize("kind", ["rows", "states"])
def test_a_quarantined_file_that_somebody_removed_is_made_again(source, many_slices, kind: str) -> None:
    ds = source.map(ratio)
    ds = ds if kind == "rows" else ds.group_by("z").agg(q=cr.sum("ratio"))
    plan = ds.plan_parquet("out", key="k")

    def stop_at_the_end(event: Event) -> None:
        if isinstance(event, StageFinished) and event.name.endswith("and write"):
            raise RuntimeError("stopped by the test")

    for stop in (Stop(3), stop_at_the_end, stop_at_the_end):
        with pytest.raises(RuntimeError, match="stopped by the test"):
            plan.run(bad_rows=KEEP, checkpoint_interval_s=0, progress=stop)
        lost = list(Path("out.checkrow").glob("runs/*/staging/*/quarantine/00000"))
        assert lost
        for path in lost:
            path.unlink()
    run = plan.run(bad_rows=KEEP, checkpoint_interval_s=0)
    assert run.rows_quarantined == 10
    assert quarantined() == list(range(0, 100, 10))


def _job(policy: cr.BadRows = KEEP):
    @cr.job(name="bad", bad_rows=policy)
    def bad(*, source: str, target: str):
        return cr.scan(source).map(ratio).plan_parquet(target, mode="append")

    return bad
