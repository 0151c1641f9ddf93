"""Running a plan: claim, work, commit, reveal; or continue where another process stopped.

Order is everything: what is decided is recorded before it is used, data is durable before its manifest, manifests
before the commit, the commit before anything becomes visible.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from checkrow.clock import Clock, SystemClock
from checkrow.errors import ConfigError, ResumeMismatch, RunInterrupted, TaskError, TaskTimeout
from checkrow.events import Event, Listener, RunFinished, RunStarted, to_all
from checkrow.expressions import types
from checkrow.plan.bad_rows import QUARANTINE as QUARANTINED
from checkrow.plan.bad_rows import BadRows, quarantine_columns
from checkrow.plan.fingerprint import recordable
from checkrow.plan.stages import CollectSink, ParquetSink, ScanSource
from checkrow.run.executor import Executor
from checkrow.run.instance import Instance, token_of
from checkrow.run.interrupt import Interrupts, kept_back
from checkrow.run.lifecycle import Status, advance
from checkrow.run.physical import PhysicalPlan, options_of, recorded_plan, with_options
from checkrow.run.resume import added_inputs, difference, with_new_code
from checkrow.run.stage import CHECKPOINT_INTERVAL_S, Driving, StageOutcome
from checkrow.run.stages import drive_stages
from checkrow.storage.log import (
    OUTPUT,
    QUARANTINE,
    CommitLog,
    CommitRecord,
    FileEntry,
    OutputChange,
    encode_schema,
    refuse_conflict,
    snapshot,
    superseded,
)  # fmt: skip
from checkrow.storage.manifest import (
    Accounting,
    StagedOutput,
)
from checkrow.storage.reveal import locate, roll_forward
from checkrow.storage.roots import (
    DatasetRoot,
    Identity,
    ensure_identity,
    refuse_foreign_quarantine,
    require_exchange,
    resolve_root,
)
from checkrow.storage.runs import RunRecord, create_run, find_run, lock_instance
from checkrow.storage.store import PosixStore


def random_id() -> str:
    """Returns 64 random bits as hexadecimal: ids must never depend on a clock."""
    return secrets.token_hex(8)


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to run; none of it is part of a fingerprint.

    `resume` is "auto", "never" or "require"; `accept_code_change` continues an unfinished run although the plan
    differs, `recompute` starts over, `force` processes a finished instance again as its next generation.
    """

    resume: str = "auto"
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    accept_code_change: bool = False
    recompute: bool = False
    force: bool = False
    bad_rows: BadRows | None = None
    task_timeout_s: float | None = None
    listener: Listener = msgspec.field(default=lambda _: None)
    clock: Clock = msgspec.field(default_factory=SystemClock)
    new_id: Callable[[], str] = random_id

    def __post_init__(self) -> None:
        """Refuses what means nothing."""
        if self.resume not in {"auto", "never", "require"}:
            raise ConfigError(f"resume={self.resume!r} is not one of 'auto', 'never', 'require'")
        if not self.checkpoint_interval_s >= 0:  # NaN is refused too
            raise ConfigError(f"checkpoint_interval_s={self.checkpoint_interval_s}: at least 0 seconds are needed")


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended and what it did; `changed` is what differs now from what it did ("code", "inputs")."""

    run: str
    status: Status
    record: CommitRecord | None = None
    batches: tuple[pa.RecordBatch, ...] = ()
    events: tuple[Event, ...] = ()
    changed: str = ""


def collect(plan: PhysicalPlan, executor: Executor, options: RunOptions, workspace: Path | None) -> RunOutcome:
    """Runs a plan whose rows come back to the caller; nothing is recorded.

    Parameters
    ----------
    workspace : Path or None
        Where exchange files stand when the executor does not share this process's memory.
    """
    with kept_back(executor.wake) as interrupts:
        return _collect(plan, executor, options, workspace, interrupts)


def _collect(
    plan: PhysicalPlan, executor: Executor, options: RunOptions, workspace: Path | None, interrupts: Interrupts
) -> RunOutcome:
    events: list[Event] = []
    run = options.new_id()
    sink = plan.stages[-1].sink
    driving = Driving(
        run=run, dataset="", fingerprint=plan.fingerprint, executor=executor,
        listener=to_all(events.append, options.listener), clock=options.clock, new_id=options.new_id,
        interrupts=interrupts, workspace=workspace, recorded=False,
        checkpoint_interval_s=options.checkpoint_interval_s if workspace else 1e18,
        bad_rows=plan.bad_rows, rows_read=plan.rows_total - plan.rows_pruned,
        limit=sink.limit if isinstance(sink, CollectSink) else None, task_timeout_s=options.task_timeout_s,
    )  # fmt: skip
    started = options.clock.monotonic_s()
    driving.listener(RunStarted(run=run, job="", stages=len(plan.stages), resumed=False))
    outcome = drive_stages(driving, plan, None)
    batches = tuple(b for number in sorted(outcome.results) for b in outcome.results[number].batches)
    rows = sum(b.num_rows for b in batches)
    _finished(driving, Status.COMMITTED, rows, options.clock.monotonic_s() - started)
    return RunOutcome(run=run, status=Status.COMMITTED, batches=batches, events=tuple(events))


def write(plan: PhysicalPlan, instance: Instance, executor: Executor, options: RunOptions) -> RunOutcome:
    """Runs a plan whose rows become a commit.

    Raises
    ------
    ConfigError
        If the target is unusable, or has data where mode is "error".
    ResumeMismatch
        If an unfinished run of the instance had another plan, or input that changed.
    AlreadyRunning
        If another process drives the instance.
    CommitConflict
        If another commit came while this run was at work that it may not follow.
    RunInterrupted
        After Ctrl-C or SIGTERM, when the tasks that were running have ended.
    """
    sink = plan.stages[-1].sink
    if not isinstance(sink, ParquetSink):
        raise AssertionError("write() is for plans with a Parquet sink")
    root = resolve_root(sink.url, sink.control)
    identity = ensure_identity(root, options.clock.now().isoformat())
    with kept_back(executor.wake) as interrupts:
        return _Writing(plan, sink, instance, executor, options, root, identity, interrupts).run()


class _Writing:
    """One attempt to bring an instance to its commit."""

    def __init__(
        self, plan: PhysicalPlan, sink: ParquetSink, instance: Instance, executor: Executor, options: RunOptions,
        root: DatasetRoot, identity: Identity, interrupts: Interrupts,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._sink = sink
        self._instance = instance
        self._executor = executor
        self._options = options
        self._root = root
        self._interrupts = interrupts
        self._dataset = identity.dataset
        self._store: PosixStore = root.store
        self._events: list[Event] = []
        self._started = options.clock.monotonic_s()
        self._status = Status.PLANNED
        self._added_inputs = 0

    def run(self) -> RunOutcome:
        records = roll_forward(self._root)
        instance_id = self._instance.identity(self._dataset)
        with lock_instance(self._store, instance_id):
            generation = max((r.generation for r in records if r.instance == instance_id), default=0)
            committed = next((r for r in records if r.instance == instance_id and r.generation == generation), None)
            if committed is not None and not self._options.force:
                return self._already(committed)
            token = token_of(instance_id, generation + 1)
            self._before(records, instance_id)
            record = self._claim(token, instance_id, generation + 1, len(records))
            return self._drive(record)

    def _already(self, committed: CommitRecord) -> RunOutcome:
        """Reports a finished instance; its files must still be there."""
        records = CommitLog(self._store).read()
        for entry in snapshot(records, len(records)).files:
            locate(self._root, entry)
        same = committed.fingerprint == self._plan.fingerprint
        inputs = committed.inputs_fingerprint == self._plan.inputs_fingerprint
        changed = " and ".join([*([] if same else ["code"]), *([] if inputs else ["inputs"])])
        self._listen(RunStarted(run=committed.run, job=self._instance.job, stages=0, resumed=False))
        self._end(
            committed.run, Status.ALREADY_DONE, committed.outputs[OUTPUT].rows, f"changed: {changed}" if changed else ""
        )
        return RunOutcome(
            run=committed.run, status=Status.ALREADY_DONE, record=committed, events=tuple(self._events), changed=changed
        )

    def _before(self, records: tuple[CommitRecord, ...], instance_id: str) -> None:
        """Refuses before any work what the commit would refuse after it."""
        schema = encode_schema(types.arrow_schema(self._plan.stages[-1].output_schema()))
        refuse_conflict(records, self._sink.mode, len(records), schema, instance_id)
        if self._plan.bad_rows.action == QUARANTINED:
            refuse_foreign_quarantine(self._root, known=any(QUARANTINE in r.outputs for r in records))
        swaps = self._sink.mode == "replace" or any(superseded(records, instance_id, o) for o in (OUTPUT, QUARANTINE))
        if swaps and self._root.data.is_dir():
            require_exchange(self._root)

    def _claim(self, token: str, instance_id: str, generation: int, read_version: int) -> RunRecord:
        """Finds the unfinished run of this token, or records a new one."""
        if self._options.resume != "never" and not self._options.recompute:
            known = find_run(self._store, token)
            going = self._continued(known) if known is not None else None
            if going is not None:
                return going
            if self._options.resume == "require":
                raise ResumeMismatch("resume='require', but this instance has no unfinished run with this plan")
        plan = recordable(msgspec.to_builtins(with_options(self._plan, {})))
        record = RunRecord(
            run=self._options.new_id(), dataset=self._dataset, token=token, instance=instance_id,
            generation=generation, job=self._instance.job, job_file=self._instance.file,
            parameters=dict(self._instance.parameters), fingerprint=self._plan.fingerprint,
            inputs_fingerprint=self._plan.inputs_fingerprint, read_version=read_version,
            created_at=self._options.clock.now().isoformat(), plan=plan,
        )  # fmt: skip
        create_run(self._store, record)
        return record

    def _continued(self, known: RunRecord) -> RunRecord | None:
        """Returns the record with which an unfinished run goes on, or None when it is given up for a new one."""
        same = known.fingerprint == self._plan.fingerprint
        if not same and not self._options.accept_code_change:
            if self._instance.is_job:
                raise ResumeMismatch(difference(known, self._plan))
            return None
        self._added_inputs = added_inputs(known, self._plan)
        return known if same else with_new_code(known, self._plan)

    def _drive(self, record: RunRecord) -> RunOutcome:
        # Credentials are never recorded; they come from the call that drives the run now.
        plan = with_options(recorded_plan(record), options_of(self._plan))
        resumed = bool(self._store.list(f"runs/{record.run}/manifests"))
        with self._logged(record.run) as listener:
            driving = Driving(
                run=record.run, dataset=self._dataset, fingerprint=record.fingerprint, executor=self._executor,
                listener=listener, clock=self._options.clock, new_id=self._options.new_id,
                interrupts=self._interrupts, workspace=self._root.control, recorded=True,
                checkpoint_interval_s=self._options.checkpoint_interval_s,
                # Limits are those of this call: they identify nothing, and may be raised for a run that broke them.
                bad_rows=self._plan.bad_rows, rows_read=plan.rows_total - plan.rows_pruned,
                instance=record.instance, source_options=options_of(plan), task_timeout_s=self._options.task_timeout_s,
            )  # fmt: skip
            listener(RunStarted(run=record.run, job=record.job, stages=len(plan.stages), resumed=resumed))
            try:
                self._status = advance(self._status, Status.RUNNING)
                outcome = drive_stages(driving, plan, self._store)
                self._status = advance(self._status, Status.COMMITTING)
                commit = self._commit(record, plan, outcome)
                roll_forward(self._root)
            except (RunInterrupted, TaskTimeout) as stop:
                self._end(record.run, Status.INTERRUPTED, 0, str(stop), listener)
                raise
            except Exception as error:
                self._end(record.run, Status.FAILED, 0, str(error), listener)
                raise
            self._sweep(record.run)
            self._end(record.run, Status.COMMITTED, commit.outputs[OUTPUT].rows, self._unread(), listener)
        return RunOutcome(
            run=record.run, status=Status.COMMITTED, record=commit, events=tuple(self._events),
            changed="inputs" if self._added_inputs else "",
        )  # fmt: skip

    def _unread(self) -> str:
        """Says what a continued run left unread because it came after the run listed its input."""
        n = self._added_inputs
        return f"changed: inputs, {n} {'file' if n == 1 else 'files'} added since the run began, not read" if n else ""

    def _commit(self, run: RunRecord, plan: PhysicalPlan, outcome: StageOutcome) -> CommitRecord:
        files = [f for number in sorted(outcome.results) for f in outcome.results[number].files]
        bad = outcome.found_bad()
        for root, f in (*((self._root, f) for f in files), *((self._root.quarantine, f) for f in bad.quarantine)):
            if not self._store.path(f.staged).is_file() and not (root.data / f.path).is_file():
                raise TaskError(f"the staged file {f.staged} vanished before the commit; run the same command again")
        accounts = [r.accounting for r in outcome.results.values()]
        accounting = Accounting(
            rows_in=sum(a.rows_in for a in accounts), rows_out=sum(a.rows_out for a in accounts),
            rows_filtered=sum(a.rows_filtered for a in accounts), rows_nulled=sum(a.rows_nulled for a in accounts),
            rows_quarantined=sum(a.rows_quarantined for a in accounts),
            rows_expanded=sum(a.rows_expanded for a in accounts),
        )  # fmt: skip
        schema = encode_schema(types.arrow_schema(plan.stages[-1].output_schema()))
        committed_at = self._options.clock.now().isoformat()

        def make(number: int, previous: str) -> CommitRecord:
            records = CommitLog(self._store).read()[: number - 1]
            outputs = {OUTPUT: _change(files, self._removes(records, run.instance, OUTPUT), schema)}
            gone = self._removes(records, run.instance, QUARANTINE)
            if bad.quarantine or gone:
                outputs[QUARANTINE] = _change(bad.quarantine, gone, _quarantine_schema(records, plan))
            return CommitRecord(
                number=number, previous_sha256=previous, dataset=self._dataset, token=run.token, instance=run.instance,
                generation=run.generation, part=0, run=run.run, job=run.job, fingerprint=run.fingerprint,
                inputs_fingerprint=run.inputs_fingerprint, mode=self._sink.mode, read_version=run.read_version,
                outputs=outputs, staged={f.path: f.staged for f in (*files, *bad.quarantine)},
                accounting=accounting, rows_pruned=plan.rows_pruned, committed_at=committed_at,
            )  # fmt: skip

        def check(records: tuple[CommitRecord, ...]) -> None:
            refuse_conflict(records, self._sink.mode, run.read_version, schema, run.instance)

        return CommitLog(self._store).append(make, run.token, check)

    def _removes(self, records: tuple[CommitRecord, ...], instance_id: str, output: str) -> tuple[str, ...]:
        """Returns the files of an output that go: all, or those of earlier generations."""
        if self._sink.mode == "replace":
            return tuple(f.path for f in snapshot(records, len(records), output).files)
        return superseded(records, instance_id, output)

    def _sweep(self, run: str) -> None:
        """Removes what only an unfinished run needs."""
        for key in (*self._store.list(f"runs/{run}/exchange"), *self._store.list(f"runs/{run}/staging")):
            self._store.delete(key)

    @contextlib.contextmanager
    def _logged(self, run: str) -> Iterator[Listener]:
        """Yields the run's listener, which also keeps the events as JSON lines."""
        with self._store.open_shared(f"runs/{run}/events.jsonl") as file:

            def keep(event: Event) -> None:
                file.write(msgspec.json.encode(event) + b"\n")
                file.flush()

            yield to_all(self._events.append, keep, self._options.listener)

    def _listen(self, event: Event) -> None:
        self._events.append(event)
        self._options.listener(event)

    def _end(self, run: str, status: Status, rows: int, message: str, listener: Listener | None = None) -> None:
        self._status = advance(self._status, status)
        seconds = round(self._options.clock.monotonic_s() - self._started, 6)
        (listener or self._listen)(RunFinished(run=run, status=status, rows_out=rows, seconds=seconds, message=message))


def _change(files: Sequence[StagedOutput], removes: tuple[str, ...], schema: str) -> OutputChange:
    adds = tuple(
        FileEntry(path=f.path, rows=f.rows, size_bytes=f.size_bytes, sha256=f.sha256, partition=f.partition)
        for f in files
    )
    return OutputChange(adds=adds, removes=removes, schema=schema, rows=sum(f.rows for f in files))


def _quarantine_schema(records: tuple[CommitRecord, ...], plan: PhysicalPlan) -> str:
    """Returns the columns of a quarantine after this plan's rows: theirs, then what rows of other sources have."""
    first = plan.stages[0].source
    if not isinstance(first, ScanSource):
        raise AssertionError("the first stage scans")
    ours = types.arrow_schema(quarantine_columns(first.source.schema))
    before = snapshot(records, len(records), QUARANTINE)
    others = [f for f in before.arrow_schema() if f.name not in ours.names] if before.schema else []
    return encode_schema(pa.schema([*ours, *others]))


def _finished(driving: Driving, status: Status, rows: int, seconds: float) -> None:
    driving.listener(RunFinished(run=driving.run, status=status, rows_out=rows, seconds=round(seconds, 6)))
