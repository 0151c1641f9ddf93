"""Driving all stages of a plan in order: what is recorded and valid is reused, what follows is recorded first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from checkrow.errors import TaskError
from checkrow.operators.exchange import ExchangeOutput, FileExchange
from checkrow.plan.slices import Task, partition_tasks
from checkrow.plan.stages import Exchanged, Stage
from checkrow.run.physical import PhysicalPlan
from checkrow.run.stage import Driving, StageDriver, StageOutcome, tasks_from_json, tasks_to_json
from checkrow.storage.manifest import TaskManifest, newest_generations, read_manifests, why_invalid
from checkrow.storage.runs import put_stage
from checkrow.storage.store import PosixStore


def drive_stages(driving: Driving, plan: PhysicalPlan, store: PosixStore | None) -> StageOutcome:
    """Drives all stages, or only the last when its tasks are known and all done."""
    inputs: list[ExchangeOutput | str] = []
    outcome = StageOutcome()
    if store is not None and (finished := _last_stage_done(driving, plan, store)) is not None:
        return finished
    for stage in plan.stages:
        last = stage.number == len(plan.stages) - 1
        tasks = plan.tasks if stage.number == 0 else _later_tasks(driving, plan, stage, inputs, store)
        known, generations = _known(driving, stage, tasks, store)
        driver = StageDriver(
            replace(driving, limit=driving.limit if last else None), stage, tasks, plan.bits[stage.number],
            fused=plan.fused[stage.number], known=known, generations=generations,
        )  # fmt: skip
        outcome = driver.run(inputs)
        if isinstance(stage.source, Exchanged):
            _conserved(stage, inputs, outcome, driving.limit if last else None)
        if not last:
            inputs = outcome.exchanges()
    return outcome


def _last_stage_done(driving: Driving, plan: PhysicalPlan, store: PosixStore) -> StageOutcome | None:
    """Returns the outcome of the last stage when every task of it has a valid manifest, so that nothing runs."""
    number = len(plan.stages) - 1
    recorded = store.list(f"runs/{driving.run}/stages")
    if number == 0 or f"runs/{driving.run}/stages/{number}.json" not in recorded:
        return None
    tasks = tasks_from_json(put_stage(store, driving.run, number, []))
    known, _ = _known(driving, plan.stages[number], tasks, store)
    if len(known) < len(tasks):
        return None
    driver = StageDriver(driving, plan.stages[number], tasks, 0, fused=False, known=known, generations={})
    return driver.run([])


def _later_tasks(
    driving: Driving, plan: PhysicalPlan, stage: Stage, inputs: Sequence[ExchangeOutput | str], store: PosixStore | None
) -> tuple[Task, ...]:
    """Returns a later stage's tasks from the sizes that reached its exchange; recorded before they are used."""
    if not isinstance(stage.source, Exchanged):
        raise AssertionError("the first stage's tasks are in the plan")
    partitions = 1 << plan.bits[stage.source.stage]
    sizes, rows = [0] * partitions, [0] * partitions
    for opened in _opened(inputs):
        for p, (size, count) in enumerate(zip(opened.partition_bytes, opened.partition_rows, strict=True)):
            sizes[p] += size
            rows[p] += count
    tasks = partition_tasks(sizes, rows, plan.target_bytes)
    if store is None:
        return tasks
    return tasks_from_json(put_stage(store, driving.run, stage.number, tasks_to_json(tasks)))


def _opened(inputs: Sequence[ExchangeOutput | str]) -> Iterator[ExchangeOutput]:
    for i in inputs:
        yield FileExchange(Path(i)) if isinstance(i, str) else i


def _known(
    driving: Driving, stage: Stage, tasks: Sequence[Task], store: PosixStore | None
) -> tuple[dict[int, TaskManifest], dict[int, int]]:
    """Returns the manifests that still hold, and generations for tasks whose manifest does not."""
    if store is None:
        return {}, {}
    numbers = {t.number for t in tasks}
    slices = {t.number: t.slice_id() for t in tasks}
    valid = {
        number: manifest
        for number, manifest in read_manifests(store, driving.run, stage.number).items()
        if number in numbers
        and (manifest.fingerprint, manifest.slice_id) == (driving.fingerprint, slices[number])
        and why_invalid(store, manifest, deep=False) is None
    }
    written = newest_generations(store, driving.run, stage.number)
    return valid, {n: written[n] + 1 for n in numbers & set(written) if n not in valid}


def _conserved(stage: Stage, inputs: Sequence[ExchangeOutput | str], outcome: StageOutcome, limit: int | None) -> None:
    """Raises TaskError when an exchange lost or doubled rows."""
    if limit is not None:
        return
    sent = sum(sum(o.partition_rows) for o in _opened(inputs))
    received = sum(r.accounting.rows_in for r in outcome.results.values())
    if sent != received:
        raise TaskError(
            f"the exchange before stage {stage.number} sent {sent} rows but {received} arrived; nothing was committed"
        )
