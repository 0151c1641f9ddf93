"""What the commands do, once their libraries are loaded."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numba
import numpy as np
import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import checkrow
from checkrow.cli.progress import ProgressDisplay
from checkrow.compile import cache_files
from checkrow.dataset.execution import TASK_TIMEOUT_S, Limits
from checkrow.dataset.registry import recall
from checkrow.dataset.run import Run, some_columns, steps_of
from checkrow.errors import CheckFailed, ConfigError
from checkrow.jobs.job import Job
from checkrow.jobs.loading import jobs_in, load_job
from checkrow.run.inspect import commits, open_dataset, read_events, verify
from checkrow.run.on import local_cluster
from checkrow.storage.log import CommitLog
from checkrow.storage.runs import read_run
from checkrow.storage.store import PosixStore
from checkrow.storage.swap import exchange_works
from checkrow_kernels.warm import compile_pages, is_ready


def to_stdout(value: Any) -> None:
    """Prints a value as one JSON object."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def to_person(table: Table | str) -> None:
    """Prints for a person, to standard error; into a file or a log in lines long enough for every table."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def _table(title: str, *heads: str, show_header: bool = True) -> Table:
    """Returns an empty table; cells are never cut."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_header=show_header)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def parse_parameters(pairs: list[str]) -> dict[str, str]:
    """Returns `name=value` texts as a dict."""
    out = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"the parameter {pair!r} is not of the form name=value")
        out[name] = value
    return out


class Means(msgspec.Struct, frozen=True):
    """Where a command runs a job, and what it may use."""

    threads: int | None
    processes: int | None
    cluster: str | None
    checkpoint_interval_s: float
    task_timeout_s: float | None

    @property
    def limits(self) -> Limits:
        """The limits of the run."""
        return Limits(threads=self.threads, task_timeout_s=self.task_timeout_s or TASK_TIMEOUT_S)

    @contextlib.contextmanager
    def place(self) -> Iterator[object]:
        """Yields what `on=` takes."""
        if self.processes is not None and self.cluster is not None:
            raise ConfigError("--processes and --cluster exclude each other")
        if self.processes is None:
            yield self.cluster
            return
        if self.processes < 1:
            raise ConfigError(f"--processes {self.processes}: at least 1 is needed")
        with local_cluster(self.processes) as made:
            yield made


def run(
    reference: str, pairs: list[str], means: Means, *, force: bool, recompute: bool, accept_code_change: bool,
    json: bool, quiet: bool, progress: bool,
) -> None:  # fmt: skip
    """Runs a job."""
    job = load_job(reference)
    with means.place() as on, ProgressDisplay(enabled=progress) as display:
        result = job.run(
            on, limits=means.limits, progress=display, force=force, recompute=recompute,
            accept_code_change=accept_code_change, checkpoint_interval_s=means.checkpoint_interval_s,
            **parse_parameters(pairs),
        )  # fmt: skip
    _report(result, json=json, quiet=quiet)


def resume(run_id: str, means: Means, *, json: bool, quiet: bool, progress: bool) -> None:
    """Continues a job's unfinished run; the job's file is loaded again and must still be the same plan."""
    full, control = recall(run_id)
    record = read_run(PosixStore(control), full)
    if not record.job:
        raise ConfigError(
            f"run {full} was an ad-hoc write; run the same Python code again with its key= to continue it"
        )
    job = _job_of(record.job, Path(record.job_file))
    committed = {r.token for r in CommitLog(PosixStore(control)).read()}
    with means.place() as on, ProgressDisplay(enabled=progress) as display:
        result = job.run(
            on, limits=means.limits, progress=display, checkpoint_interval_s=means.checkpoint_interval_s,
            force=record.generation > 1 and record.token not in committed, **record.parameters,
        )  # fmt: skip
    _report(result, json=json, quiet=quiet)


def _job_of(name: str, file: Path) -> Job:
    found = jobs_in(file).get(name)
    if found is None:
        raise ConfigError(f"{file} has no job {name!r} any more")
    return found


def _report(result: Run, *, json: bool, quiet: bool) -> None:
    if json:
        to_stdout(run_json(result))
    elif not quiet:
        to_person(_run_table(result))


def run_json(result: Run) -> dict[str, Any]:
    """Returns a run as plain data."""
    return {
        "run": result.id, "status": result.status, "changed": result.changed, "snapshot": result.snapshot,
        "data": str(result.data), "control": str(result.control), "metrics": result.metrics,
        "steps": [_step(s) for s in result.steps],
    }  # fmt: skip


def _step(step: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(step)


def _run_table(result: Run) -> Table | str:
    if result.already_done:
        note = f"; since then {result.changed} changed: --force processes it again" if result.changed else ""
        return f"already done: run {result.id} committed {result.rows_out:,} rows as snapshot {result.snapshot}{note}"
    title = f"run {result.id}: {result.status}, {result.rows_out:,} rows in {result.data}"
    if result.changed:
        title += "\ninput files were added since the run began and not read: --force processes all of them"
    return steps_table(title, result.steps)


def steps_table(title: str, steps: Any) -> Table:
    """Returns steps as a table; rows that kernels added or failed on have a column where there are any."""
    table = _table(title)
    some = some_columns(steps)
    for head in ("step", "rows in", "rows out", "filtered", *some, "tasks", "done before", "seconds"):
        table.add_column(head, justify="left" if head == "step" else "right")
    for s in steps:
        table.add_row(
            s.name, f"{s.rows_in:,}", f"{s.rows_out:,}", f"{s.rows_filtered:,}",
            *(f"{getattr(s, f'rows_{name}'):,}" for name in some), f"{s.tasks:,}", f"{s.tasks_reused:,}",
            f"{s.seconds:.2f}",
        )  # fmt: skip
    return table


def plan(reference: str, pairs: list[str], *, json: bool) -> None:
    """Shows what a job would do."""
    made = load_job(reference).plan(**parse_parameters(pairs))
    if json:
        physical = made.physical()
        to_stdout(
            {
                "fingerprint": made.fingerprint, "inputs": physical.inputs_fingerprint, "stages": len(physical.stages),
                "tasks": len(physical.tasks), "rows": physical.rows_total, "rows_pruned": physical.rows_pruned,
                "url": made.url,
            }
        )  # fmt: skip
    else:
        to_person(made.explain())


def show(run_id: str, *, json: bool) -> None:
    """Shows a run."""
    full, control = recall(run_id)
    record, events = read_events(control, full)
    status = next((e.status for e in reversed(events) if type(e).__name__ == "RunFinished"), "unfinished")  # type: ignore[union-attr]
    steps = steps_of(events)
    if json:
        to_stdout(
            {
                "run": full, "job": record.job, "parameters": record.parameters, "status": status,
                "control": str(control), "created_at": record.created_at, "steps": [_step(s) for s in steps],
            }
        )  # fmt: skip
        return
    to_person(
        steps_table(
            f"run {full} of {record.job or 'an ad-hoc write'}: {status}; manifests in {control}/runs/{full}", steps
        )
    )


def dataset_log(url: str, *, json: bool) -> None:
    """Lists commits."""
    records = commits(open_dataset(url))
    if json:
        to_stdout(
            [
                {
                    "number": r.number, "run": r.run, "job": r.job, "mode": r.mode, "generation": r.generation,
                    "output": output,
                    "rows": c.rows, "files_added": len(c.adds), "files_removed": len(c.removes),
                    "committed_at": r.committed_at,
                }
                for r in records
                for output, c in r.outputs.items()
            ]
        )  # fmt: skip
        return
    heads = ("number", "committed at", "job", "run", "mode", "output", "rows", "files added", "removed")
    table = _table(f"commits of {url}", *heads)
    for r in records:
        for output, c in r.outputs.items():
            counts = (f"{c.rows:,}", len(c.adds), len(c.removes))
            row = (r.number, r.committed_at[:19], r.job, r.run, r.mode, output, *counts)
            table.add_row(*(str(x) for x in row))
    to_person(table)


def dataset_verify(url: str, *, json: bool) -> None:
    """Verifies the current snapshot; problems exit with 3."""
    verdict = verify(open_dataset(url))
    if json:
        to_stdout(msgspec.structs.asdict(verdict))
    else:
        to_person(
            f"snapshot {verdict.snapshot}: {verdict.files:,} files, {verdict.rows:,} rows, "
            f"{verdict.rows_quarantined:,} quarantined, {verdict.size_bytes:,} bytes"
        )
    if verdict.problems:
        raise CheckFailed(f"{url}: {len(verdict.problems)} problems. " + "; ".join(verdict.problems[:5]))


def doctor(*, warm: bool, clear_cache: bool, json: bool) -> None:
    """Shows this machine's suitability; first empties the kernel cache, then compiles the page decoder, if asked to."""
    if clear_cache:
        cache_files.clear_cache()
    if warm:
        compile_pages()
    held = cache_files.cache_contents()
    with tempfile.TemporaryDirectory() as probe:
        swaps = exchange_works(Path(probe))
    facts = {
        "checkrow": checkrow.__version__, "python": platform.python_version(), "numba": numba.__version__,
        "numpy": np.__version__, "pyarrow": pa.__version__, "cores": len(os.sched_getaffinity(0)),
        "kernel_cache": str(held.directory), "kernel_cache_bytes": held.size_bytes,
        "kernel_cache_drivers": held.drivers, "kernel_cache_writable": os.access(_existing(held.directory), os.W_OK),
        "page_decoder": "ready" if is_ready() else "not compiled: pyarrow decodes (checkrow doctor --warm)",
        "swaps_directories": swaps,
    }  # fmt: skip
    if json:
        to_stdout(facts)
        return
    table = _table("checkrow doctor", show_header=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if type(value) is int else str(value))
    to_person(table)


def _existing(path: Path) -> Path:
    """Returns a path, or the nearest directory above it that is there."""
    return next(p for p in (path, *path.parents) if p.exists())
