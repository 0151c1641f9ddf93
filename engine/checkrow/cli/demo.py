"""`checkrow demo`: the main job on real data, killed and resumed, both results proved with DuckDB."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from checkrow.cli import demo_job
from checkrow.cli.commands import steps_table, to_stdout
from checkrow.cli.progress import ProgressDisplay
from checkrow.dataset.run import Run
from checkrow.errors import CheckFailed, ConfigError

PARTS = 8
_MARK = ".checkrow-demo"
_POLL_S = 0.01
_PATIENCE_S = 300.0

_PROOF = """
with wanted as (
    select l_suppkey, date_trunc('month', l_shipdate)::date as month, l_returnflag, l_linestatus,
           sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as revenue, sum(l_quantity) as quantity,
           count(*) as items
    from read_parquet(?) where l_shipdate <= date '1998-09-02' group by all
), found as (select * from read_parquet(?, hive_partitioning = true, hive_types = {'month': date}))
select (select count(*) from wanted), (select count(*) from found), (select sum(revenue) from found),
       (select count(*) from wanted w join found f using (l_suppkey, month, l_returnflag, l_linestatus)
        where w.revenue = f.revenue and w.quantity = f.quantity and w.items = f.items)
"""


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What the killed process left, and what its successor did."""

    manifests: int
    result: dict[str, Any]


def demo(directory: str, scale: float, json: bool) -> None:
    """Runs the demo and prints one screen."""
    say = Console(stderr=True, highlight=False).print
    top = _claim(Path(directory))
    say(f"[bold]1[/] TPC-H line items, scale {scale:g}, by the public generator")
    source = _generate(top, scale)
    say("[bold]2[/] the job: read, filter, own kernel, aggregate, write by month, commit")
    calm = top / "revenue"
    with ProgressDisplay(enabled=True) as display:
        run = demo_job.revenue.run(source=str(source), target=str(calm), progress=display)
    say("[bold]3[/] the same job in its own process, every task saved, killed with SIGKILL in the middle, run again")
    shaken = top / "revenue_after_kill"
    killed = _kill_and_resume(source, shaken)
    say("[bold]4[/] both outputs against DuckDB on the same files")
    proofs = [_prove(source, target) for target in (calm, shaken)]
    if json:
        to_stdout(
            {
                "run": run.id,
                "metrics": run.metrics,
                "killed": {"manifests": killed.manifests, **killed.result},
                "groups": proofs,
            }
        )
    _screen(run, killed, proofs, source)


def _claim(top: Path) -> Path:
    """Returns an empty place for outputs; only a directory the demo made itself is cleared."""
    if top.exists() and not (top / _MARK).is_file():
        raise ConfigError(f"{top} exists and is not the demo's; choose another place with --directory")
    top.mkdir(parents=True, exist_ok=True)
    (top / _MARK).touch()
    for name in ("revenue", "revenue_after_kill"):
        for path in (top / name, top / f"{name}.checkrow"):
            shutil.rmtree(path, ignore_errors=True)
    return top.resolve()


def _generate(top: Path, scale: float) -> Path:
    """Makes the line items unless they are there from an earlier demo."""
    target = top / f"tpch-{scale:g}"
    table = target / "lineitem"
    if (target / "complete").is_file():
        return table
    shutil.rmtree(target, ignore_errors=True)
    program = Path(sys.executable).with_name("tpchgen-cli")
    found = str(program) if program.is_file() else shutil.which("tpchgen-cli")
    if found is None:
        raise ConfigError("the demo needs the TPC-H generator: pip install 'checkrow[demo]'")
    command = [found, "parquet", "-s", f"{scale:g}", "--tables=lineitem", f"--parts={PARTS}", f"--output-dir={target}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own arguments, no shell
    (target / "complete").touch()
    return table


def _command(source: Path, target: Path) -> list[str]:
    return [
        sys.executable, "-m", "checkrow", "run", f"{demo_job.__file__}:revenue", "-p", f"source={source}", "-p",
        f"target={target}", "--checkpoint-interval", "0", "--json", "--no-progress",
    ]  # fmt: skip


def _kill_and_resume(source: Path, target: Path) -> Killed:
    """Starts the job as a process, kills it when about half its manifests are written, and runs it again."""
    control = target.with_name(target.name + ".checkrow")
    victim = subprocess.Popen(_command(source, target), stdout=subprocess.DEVNULL)  # noqa: S603  # our own arguments
    seen = _await_middle(victim, control)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    survivor = subprocess.run(_command(source, target), check=True, stdout=subprocess.PIPE)  # noqa: S603  # as above
    return Killed(manifests=seen, result=msgspec.json.decode(survivor.stdout))


def _await_middle(victim: subprocess.Popen[bytes], control: Path) -> int:
    """Waits until the second stage has some manifests; returns how many manifests there are."""
    started = time.monotonic()
    while time.monotonic() - started < _PATIENCE_S:
        names = [p.name for p in control.glob("runs/*/manifests/*.json")]
        if sum(n.startswith("001-") for n in names) >= 2:
            return len(names)
        if victim.poll() is not None:
            raise CheckFailed(f"the demo's job ended before it was killed (exit code {victim.returncode})")
        time.sleep(_POLL_S)
    raise CheckFailed(f"the demo's job made no progress within {_PATIENCE_S:g} s")


def _prove(source: Path, target: Path) -> dict[str, Any]:
    """Compares an output with the query's answer, group by group, to the last cent."""
    try:
        duckdb = importlib.import_module("duckdb")
    except ImportError:
        raise ConfigError("the demo proves its result with DuckDB: pip install 'checkrow[demo]'") from None
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {len(os.sched_getaffinity(0))}")
        row = connection.execute(_PROOF, [f"{source}/*.parquet", f"{target}/**/*.parquet"]).fetchone()
    wanted, found, total, equal = row
    if not wanted == found == equal:
        raise CheckFailed(f"{target}: {equal} of {wanted} groups equal DuckDB's, {found} were written")
    return {"groups": wanted, "equal": equal, "revenue": str(total)}


def _screen(run: Run, killed: Killed, proofs: list[dict[str, Any]], source: Path) -> None:
    console = Console(stderr=True, highlight=False)
    metrics = run.metrics
    read = sum(f.stat().st_size for f in source.glob("*.parquet"))
    console.print()
    console.print(steps_table(f"run {run.id}", run.steps))
    after = killed.result["metrics"]
    facts = Table(show_header=False, box=None)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")  # paths are to be copied: never cut
    facts.add_row("rows", f"{metrics['rows_in']:,} in, {metrics['rows_out']:,} out")
    facts.add_row("bytes", f"{read:,} read, {metrics['bytes_out']:,} written")
    facts.add_row(
        "speed", f"{metrics['rows_in'] / max(metrics['seconds'], 1e-9):,.0f} rows/s, {metrics['seconds']:.2f} s"
    )
    facts.add_row("tasks", f"{metrics['tasks_run']} run")
    facts.add_row(
        "after the kill",
        f"{killed.manifests} tasks were done, {after['tasks_reused']} reused, {after['tasks_run']} run",
    )
    for name, proof in zip(("undisturbed", "after the kill"), proofs, strict=True):
        facts.add_row(
            f"proof, {name}",
            f"{proof['equal']:,} of {proof['groups']:,} groups equal DuckDB's; total {proof['revenue']}",
        )
    facts.add_row("output", str(run.data))
    facts.add_row("manifests", str(run.control / "runs" / run.id / "manifests"))
    console.print(facts)
    console.print("\nnext:")
    where = os.path.relpath(run.data)
    for line in (f"checkrow dataset log {where}", f"checkrow dataset verify {where}", f"checkrow show {run.id}"):
        console.print(f"  {line}")
