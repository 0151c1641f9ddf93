"""`--accept-code-change` goes on only where what finished tasks left means the same to the new code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checkrow import errors
from checkrow.dataset.run import Run
from checkrow.jobs.loading import load_job
from checkrow.run.lifecycle import Status
from tests.jobs.stopping import interrupted

AGGREGATES = """
import checkrow as cr, pyarrow as pa

@cr.aggregator(returns=pa.int64())
class {aggregator}:
    def init(): return {init}
    def update(state, x): return {update}
    def merge(state, other): return {merge}
    def finish(state): return {finish}

@cr.group_kernel(returns={{"top": pa.int64()}}, shape="reduce")
def top(a, b):
    return max(a.max(), b.max()) {kernel}

@cr.fold_kernel(returns={{"top": pa.int64()}})
class Top:
    def init(): return {first}
    def step(state, a, b): return max(state, a), state + b {kernel}

@cr.job(name="stages")
def job(*, source: str, target: str):
    ds = cr.scan(source).with_columns(a=cr.col("number").fill_null(0), b=cr.col("small").cast(pa.int32()).fill_null(0)){rows}
    return {plan}.plan_parquet(target, {sink}).with_target_bytes(3_000)
"""
DEFAULTS = {
    "aggregator": "Own", "init": "(0, 0)", "update": "(state[0] + x, state[1])", "finish": "state[0] + state[1]",
    "merge": "(state[0] + other[0], state[1])", "first": "0", "kernel": "", "rows": "", "sink": "mode='append'",
    "plan": "ds.group_by('city').agg(m=cr.mean('a'))",
}  # fmt: skip
OWN = "ds.group_by('city').agg(m=Own('a'))"
FOLD = "ds.group_by('city').apply(Top, order_by='a')"
ROWS = "ds.group_by('city').apply(top, order_by='a')"


@pytest.fixture
def changing(tmp_path: Path, source: str) -> Callable[[dict[str, str], dict[str, str]], Run]:
    """Returns what runs a job, stops it after its first task, and goes on with changed code."""

    def load(name: str, changes: dict[str, str]):
        path = tmp_path / f"{name}.py"
        path.write_text(AGGREGATES.format(**{**DEFAULTS, **changes}))
        return load_job(f"{path}:job")

    def run(before: dict[str, str], after: dict[str, str], tasks: int = 1):
        interrupted(load("before", before), source, tasks)
        return load("after", {**before, **after}).run(
            source=source, target="out", accept_code_change=True, checkpoint_interval_s=0
        )

    return run


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({}, {"plan": "ds.group_by('city').agg(m=cr.max(cr.col('a').cast(pa.float64())))"}, "the aggregate 'm'"),
        ({}, {"plan": "ds.group_by('city').agg(m=cr.mean('a'), n=cr.count())"}, "the aggregate 'n'"),
        ({}, {"plan": "ds.group_by('a').agg(m=cr.mean('a'))"}, "the keys"),
        ({}, {"plan": "ds.with_columns(m=cr.col('a') / 2).select('city', 'm')"}, "other stages"),
        ({}, {"sink": "mode='append', partition_by='city'"}, "partition_by of the step 'merge and write'"),
        ({}, {"sink": "mode='replace'"}, "mode of the step"),
        (
            {"plan": "ds.group_by('city').agg(m=cr.quantile('a', 0.5))"},
            {"plan": "ds.group_by('city').agg(m=cr.quantile('a', 0.9))"},
            "the aggregate 'm'",
        ),
        (
            {"plan": "ds.group_by('city').agg(m=cr.first('a', order_by='id'))"},
            {"plan": "ds.group_by('city').agg(m=cr.first('a', order_by=cr.col('id').desc()))"},
            "the aggregate 'm'",
        ),
        (
            {"plan": "ds.group_by('city').agg(m=cr.sum('a'), k=cr.min('b'), l=cr.max('a'))"},
            {"plan": "ds.group_by('city').agg(m=cr.sum('b'), k=cr.min('b'), l=cr.max('a'))"},
            "the aggregate 'k'",
        ),
        ({"plan": OWN}, {"plan": OWN.replace("Own", "Another"), "aggregator": "Another"}, "the aggregate 'm'"),
        (
            {"plan": OWN},
            {"init": "(0, 0.0)", "update": "(state[0] + x, state[1] + 1.0)", "finish": "state[0]"},
            "the aggregate 'm'",
        ),
        ({"plan": ROWS}, {"plan": ROWS.replace("'a'", "'b'")}, "the argument 'a'"),
        ({"plan": ROWS}, {"plan": ROWS.replace("'a'", "['a', 'id']")}, "order_by"),
        ({"plan": FOLD}, {"plan": FOLD.replace("'a'", "['a', 'id']")}, "order_by"),
        ({"plan": FOLD}, {"plan": FOLD.replace("'city'", "'flag'")}, "the keys"),
        ({"rows": ".filter(cr.col('id') >= 1_950)"}, {"rows": ".filter(cr.col('id') >= 0)"}, "left out unread"),
    ],
)
def test_accepted_code_must_fit_what_finished_tasks_left(changing, before, after, reason) -> None:
    """States of a mean were merged as those of a maximum, and committed."""
    with pytest.raises(errors.ResumeMismatch, match=rf"cannot go on with the new code: .*{reason}.*--recompute") as no:
        changing(before, after)
    assert no.value.exit_code == 6
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"plan": "ds.group_by('city').agg(m=cr.mean('b'))"}),
        ({"plan": OWN}, {"update": "(state[0] + 2 * x, state[1])"}),
        ({"plan": ROWS}, {"kernel": "+ 1"}),
        ({"plan": FOLD}, {"kernel": "+ 1", "first": "9"}),
        (
            {"rows": ".filter(cr.col('id') >= 1_000)"},
            {"rows": ".filter(cr.col('id') >= 1_000).filter(cr.col('a') > 0)"},
        ),
    ],
)
def test_arguments_and_kernels_may_change(changing, before, after) -> None:
    run = changing(before, after)
    assert (run.status, run.metrics["tasks_reused"]) == (Status.COMMITTED, 1)
