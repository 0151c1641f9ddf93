"""What may be wrong with a kernel, by kind: a typed error that names the user's file and line, and nothing committed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors
from tests.jobs.stopping import interrupted

FILE = """import checkrow as cr, numpy as np, pyarrow as pa
TABLE = {{"a": 1}}


{definition}

@cr.job(name="misused")
def job(*, source: str, target: str):
    return {plan}.plan_parquet(target).with_target_bytes(3_000)
"""
DEFINITIONS = {
    "group": "@cr.group_kernel(returns={{'y': pa.int64()}}{options})\ndef made({arguments}):\n{body}",
    "fold": "@cr.fold_kernel(returns={{'y': pa.int64()}}{options})\nclass made:\n    def init():\n        return 0\n\n"
    "    def step(state, {arguments}):\n{body}",
    "aggregator": "@cr.aggregator(returns=pa.int64(){options})\nclass made:\n    def init():\n        return 0\n\n"
    "    def update(state, {arguments}):\n{body}\n\n    def merge(state, other):\n        return state + other\n\n"
    "    def finish(state):\n        return state",
}
PLANS = {
    "group": "cr.scan(source).group_by('k').apply(made, order_by='a')",
    "fold": "cr.scan(source).group_by('k').apply(made, order_by='a')",
    "aggregator": "cr.scan(source).group_by('k').agg(y=made({columns}))",
}
ROW, TYPE, PLAN = errors.KernelRowError, errors.KernelTypeError, errors.PlanError


@dataclass(frozen=True)
class Wrong:
    """A body that does something wrong, by kind, and what is said about it."""

    error: type[errors.CheckrowError]
    message: str
    group: str = ""
    fold: str = ""
    aggregator: str = ""
    arguments: str = "a"
    options: str = ""


WRONG = {
    "raises on some rows": Wrong(
        ROW, "raised ValueError: seven",
        group="if a[len(a) - 1] == 7:\n    raise ValueError('seven')\nreturn a[0]",
        fold="if a == 7:\n    raise ValueError('seven')\nreturn state, a",
        aggregator="if a == 7:\n    raise ValueError('seven')\nreturn state + a",
    ),
    "divides by zero": Wrong(
        ROW, "raised ZeroDivisionError: integer division by zero",
        group="return 10 // (a[0] - a[0])", fold="return state, 10 % (a - a)", aggregator="return state + 10 // (a - a)",
    ),
    "leaves an array": Wrong(
        ROW, "raised IndexError: index is out of bounds",
        group="return a[len(a)]",
        fold="box = np.zeros(2, np.int64)\nreturn state, box[a + 2]",
        aggregator="box = np.zeros(2, np.int64)\nreturn state + box[a + 2]",
    ),
    "returns too much": Wrong(
        TYPE, "it must be a single number", group="return a[0], a[0]", fold="return state, (a, a)",
        aggregator="return state, a",
    ),
    "returns floats": Wrong(
        TYPE, "convert it|let init\\(\\) return a float", group="return a[0] / 2", fold="return state, a / 2",
        aggregator="return state + a / 2",
    ),
    "gives what does not fit": Wrong(
        errors.ArithmeticRangeError, "value .*does not fit int64", arguments="u", group="return u[0]",
        fold="return state, u",
    ),
    "is as long as it likes": Wrong(
        ROW, r"returned \d+ values for 'y'; the group has \d+ rows", options=", shape='map'", group="return a[:1]"
    ),
    "gives more rows than there is room for": Wrong(
        ROW, "says it wrote 9 rows; between 0 and 4 are allowed", arguments="a, out",
        options=", shape='expand', max_rows=4", group="return 9",
    ),
    "does not compile": Wrong(
        TYPE, "does not compile in `return .*upper.*Its columns: .*\\(int64\\)",
        group="return a.upper()", fold="return state, a.upper()", aggregator="return state + a.upper()",
    ),
    "captures a dictionary": Wrong(
        TYPE, "reaches 'TABLE', a dict: only numbers, texts and functions",
        group="return TABLE['a']", fold="return state, TABLE['a']", aggregator="return state + TABLE['a'] * a",
    ),
    "uses a name there is not": Wrong(
        TYPE, "uses the undefined name 'nothing'",
        group="return nothing", fold="return state, nothing", aggregator="return state + nothing",
    ),
    "meets a null it forbids": Wrong(
        ROW, "forbids nulls but column 'n' holds one; give nulls=", arguments="n", group="return n[0]",
        fold="return state, n",
    ),
    "takes a finer unit": Wrong(
        TYPE, "argument 't': timestamp\\[ns\\] has finer units than time_unit='us'; set time_unit='ns'", arguments="t",
        group="return t[0]", fold="return state, t", aggregator="return state + t",
    ),
    "takes decimals undecided": Wrong(
        TYPE, "argument 'd': is decimal128\\(9, 2\\); choose decimals=", arguments="d",
        group="return d[0]", fold="return state, d", aggregator="return state + d",
    ),
}  # fmt: skip
CASES = [(kind, name) for name, wrong in WRONG.items() for kind in DEFINITIONS if getattr(wrong, kind)]


@pytest.fixture
def source(tmp_path: Path) -> str:
    rows = 40
    table = pa.table(
        {
            "k": [i % 4 for i in range(rows)],
            "a": pa.array([i % 8 for i in range(rows)], pa.int64()),
            "u": pa.array([2**63 + i for i in range(rows)], pa.uint64()),
            "n": pa.array([None if i == 17 else i for i in range(rows)], pa.int64()),
            "t": pa.array(range(rows), pa.timestamp("ns")),
            "d": pa.array([Decimal(i) for i in range(rows)], pa.decimal128(9, 2)),
        }
    )
    (tmp_path / "in").mkdir()
    for part in range(2):
        pq.write_table(table.slice(20 * part, 20), tmp_path / "in" / f"{part}.parquet", row_group_size=5)
    return str(tmp_path / "in")


def load(kind: str, wrong: Wrong, body: str, name: str = "misused") -> dict[str, Any]:
    """Runs a file of the user's that defines a kernel and a job with it."""
    indent = "    " if kind == "group" else "        "
    text = FILE.format(
        definition=DEFINITIONS[kind].format(
            options=wrong.options,
            arguments=wrong.arguments,
            body="\n".join(indent + line for line in body.splitlines()),
        ),
        plan=PLANS[kind].format(columns=repr(wrong.arguments.partition(",")[0])),
    )
    path = Path(f"{name}.py")
    path.write_text(text)
    space: dict[str, Any] = {"__name__": name}
    exec(compile(text, str(path.resolve()), "exec"), space)
    return space


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_it_is_told_where_and_nothing_is_committed(source: str, kind: str, name: str) -> None:
    wrong = WRONG[name]
    with pytest.raises(wrong.error, match=wrong.message) as caught:
        load(kind, wrong, getattr(wrong, kind))["job"].run(source=source, target="out")
    assert type(caught.value) is wrong.error
    place = re.search(r"misused\.py:(\d+)", str(caught.value))
    assert place, str(caught.value)
    lines = Path("misused.py").read_text().splitlines()
    assert re.search(r"\b(def|return|raise)\b", lines[int(place[1]) - 1])
    assert "'made'" in str(caught.value) or {"group": "made", "fold": "step", "aggregator": "update"}[kind] in str(
        caught.value
    )
    assert not Path("out").exists()
    assert list(Path("out.checkrow/log").glob("*.json")) == []


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_lambda_is_refused(kind: str) -> None:
    kernel = {
        "group": lambda: cr.group_kernel(returns=pa.int64())(lambda a: a[0]),
        "fold": lambda: cr.fold_kernel(returns=pa.int64())(
            type("Made", (), {"init": good_init, "step": lambda state, a: (state, a)})
        ),
        "aggregator": lambda: cr.aggregator(returns=pa.int64())(
            type("Made", (), {"init": good_init, "update": lambda state, a: state, "merge": max, "finish": abs})
        ),
    }[kind]
    with pytest.raises(TYPE, match="a lambda cannot be a kernel; write a def"):
        kernel()


def good_init() -> int:
    return 0


GOOD = Wrong(ROW, "", group="return a.sum() + 1", fold="return state + a, state + 1", aggregator="return state + a + 1")


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_edited_between_a_run_and_its_resume(monkeypatch, source: str, kind: str) -> None:
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", 1)
    interrupted(load(kind, GOOD, getattr(GOOD, kind))["job"], source, 1)
    edited = load(kind, GOOD, getattr(GOOD, kind).replace("+ 1", "+ 2"), "edited")["job"]
    with pytest.raises(errors.ResumeMismatch, match="a kernel's code changed.*--accept-code-change") as caught:
        edited.run(source=source, target="out")
    assert caught.value.exit_code == 6
    assert not Path("out").exists()
    run = load(kind, GOOD, getattr(GOOD, kind))["job"].run(source=source, target="out")
    assert run.metrics["tasks_reused"] >= 1


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_failed_run_goes_on_once_its_kernel_is_mended(source: str, kind: str) -> None:
    wrong = WRONG["raises on some rows"]
    with pytest.raises(ROW):
        load(kind, wrong, getattr(wrong, kind))["job"].run(source=source, target="out")
    mended = getattr(wrong, kind).replace("== 7", "== 700")
    run = load(kind, wrong, mended)["job"].run(source=source, target="out", accept_code_change=True)
    assert run.rows_out == {"group": 4, "fold": 40, "aggregator": 4}[kind]
