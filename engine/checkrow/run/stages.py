"""Driving all stages of a plan in order: what is recorded and valid is reused, what follows is recorded first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from checkrow.errors import TaskError
from checkrow.operators.exchange import ExchangeOutput, FileExchange
from checkrow.plan.slices import Task, partition_tasks
from checkrow.plan.stages import Exchanged, Stage
from checkrow.run.physical import PhysicalPlan
from checkrow.run.stage import Driving, FoundBad, StageDriver, StageOutcome, tasks_from_json, tasks_to_json
from checkrow.storage.manifest import TaskManifest, newest_generations, read_manifests, why_invalid
from checkrow.storage.runs import StageRecord, find_stage, put_stage
from checkrow.storage.store import PosixStore


def drive_stages(driving: Driving, plan: PhysicalPlan, store: PosixStore | None) -> StageOutcome:
    """Drives all stages, or only the last when its tasks are known and all done."""
    inputs: list[ExchangeOutput | str] = []
    outcome = StageOutcome()
    if store is not None and (finished := _last_stage_done(driving, plan, store)) is not None:
        return finished
    for stage in plan.stages:
        last = stage.number == len(plan.stages) - 1
        tasks, before = plan.tasks, FoundBad()
        if stage.number:
            tasks, before = _begun(driving, stage, _later_tasks(plan, stage, inputs), outcome.found_bad(), store)
        known, generations = _known(driving, stage, tasks, store)
        limited = msgspec.structs.replace(driving, limit=driving.limit if last else None)
        driver = StageDriver(
            limited, stage, tasks, plan.bits[stage.number],
            fused=plan.fused[stage.number], known=known, generations=generations, before=before,
        )  # fmt: skip
        outcome = driver.run(inputs)
        if driving.limit is None or not last:
            _conserved(stage, tasks, inputs, outcome)
        if not last:
            inputs = outcome.exchanges()
    return outcome


def _last_stage_done(driving: Driving, plan: PhysicalPlan, store: PosixStore) -> StageOutcome | None:
    """Returns the outcome of the last stage when every task of it has a valid manifest, so that nothing runs."""
    number = len(plan.stages) - 1
    record = find_stage(store, driving.run, number)
    if record is None:
        return None
    tasks = tasks_from_json(record.tasks)
    known, _ = _known(driving, plan.stages[number], tasks, store)
    if len(known) < len(tasks):
        return None
    before = FoundBad(rows=record.rows_bad, quarantine=record.quarantine)
    if not _in_place(store, before):
        return None
    driver = StageDriver(
        driving, plan.stages[number], tasks, 0, fused=False, known=known, generations={}, before=before
    )
    return driver.run([])


def _begun(
    driving: Driving, stage: Stage, tasks: tuple[Task, ...], before: FoundBad, store: PosixStore | None
) -> tuple[tuple[Task, ...], FoundBad]:
    """Records a later stage before it begins: its tasks, and what was found bad until then; returns what counts.

    From then on the earlier stages' quarantined files are settled, whatever a resume has to do over; unless one of them
    was removed by hand: then those of the tasks that were done over take their place.
    """
    if store is None:
        return tasks, before
    record = StageRecord(
        run=driving.run, stage=stage.number, tasks=tasks_to_json(tasks), rows_bad=before.rows,
        quarantine=before.quarantine,
    )  # fmt: skip
    counts = put_stage(store, record)
    settled = FoundBad(rows=counts.rows_bad, quarantine=counts.quarantine)
    return tasks_from_json(counts.tasks), settled if _in_place(store, settled) else before


def _in_place(store: PosixStore, found: FoundBad) -> bool:
    return all(store.path(f.staged).is_file() for f in found.quarantine)


def _later_tasks(plan: PhysicalPlan, stage: Stage, inputs: Sequence[ExchangeOutput | str]) -> tuple[Task, ...]:
    """Returns a later stage's tasks from the sizes that reached its exchange."""
    if not isinstance(stage.source, Exchanged):
        raise AssertionError("the first stage's tasks are in the plan")
    partitions = 1 << plan.bits[stage.source.stage]
    sizes, rows = [0] * partitions, [0] * partitions
    for opened in _opened(inputs):
        for p, (size, count) in enumerate(zip(opened.partition_bytes, opened.partition_rows, strict=True)):
            sizes[p] += size
            rows[p] += count
    return partition_tasks(sizes, rows, plan.target_bytes)


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


def _conserved(
    stage: Stage, tasks: Sequence[Task], inputs: Sequence[ExchangeOutput | str], outcome: StageOutcome
) -> None:
    """Raises TaskError when rows were lost or doubled: between files, or an exchange, and a stage, or within it."""
    accounts = [r.accounting for r in outcome.results.values()]
    received = sum(a.rows_in for a in accounts)
    if isinstance(stage.source, Exchanged):
        sent, what = sum(sum(o.partition_rows) for o in _opened(inputs)), "the exchange before it sent"
    else:
        sent, what = sum(t.rows for t in tasks), "its files hold"
    if sent != received:
        raise TaskError(f"stage {stage.number} read {received} rows but {what} {sent}; nothing was committed")
    if any(a.rows_filtered < 0 for a in accounts):
        raise TaskError(f"stage {stage.number} gave more rows than it was given; nothing was committed")
