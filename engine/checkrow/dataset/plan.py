"""`Plan`: datasets plus where they go; declared, explained, fingerprinted, run."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from checkrow.dataset.execution import Limits, executor_for
from checkrow.dataset.registry import remember
from checkrow.dataset.run import Run
from checkrow.errors import ConfigError
from checkrow.events import Event, Listener, RunStarted, to_all
from checkrow.plan.bad_rows import BadRows
from checkrow.plan.explain import explain
from checkrow.plan.fingerprint import plan_fingerprint
from checkrow.plan.stages import CollectSink, ParquetSink, Stage, cut
from checkrow.run.instance import Instance
from checkrow.run.physical import PhysicalPlan, physical_plan
from checkrow.run.runner import RunOptions, random_id, write
from checkrow.run.stage import CHECKPOINT_INTERVAL_S
from checkrow.storage.roots import DatasetRoot, refuse_foreign, resolve_root
from checkrow.storage.store import is_local, local_path

if TYPE_CHECKING:
    from checkrow.plan.logical import Relation


class Plan:
    """A tree with its sink; running it twice with a key or as a job commits once."""

    def __init__(self, relation: Relation, sink: ParquetSink | CollectSink, *, target_bytes: int | None = None) -> None:
        self._relation = relation
        self._sink = sink
        self._target_bytes = target_bytes

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, without their tasks."""
        return cut(self._relation, self._sink)

    @cached_property
    def fingerprint(self) -> str:
        """The identity of what is computed: the same code and parameters give the same text."""
        return plan_fingerprint(self._relation, self._sink)

    @property
    def url(self) -> str:
        """Where the rows go."""
        return self._sink.url if isinstance(self._sink, ParquetSink) else ""

    def __repr__(self) -> str:
        """Returns one line; never reads data."""
        return f"Plan({len(self.stages)} stages -> {self.url or 'collect'}, {self.fingerprint[:12]})"

    def with_target_bytes(self, target_bytes: int) -> Plan:
        """Returns the plan with tasks of about this many decoded bytes; default: 64 MiB, fewer for small inputs."""
        if target_bytes < 1:
            raise ConfigError(f"target_bytes={target_bytes}: at least 1 is needed")
        return Plan(self._relation, self._sink, target_bytes=target_bytes)

    def physical(self, bad_rows: BadRows | None = None) -> PhysicalPlan:
        """Returns the physical plan; reads the footers of all input files."""
        return physical_plan(self._relation, self._sink, self._target_bytes, bad_rows)

    def explain(self) -> str:
        """Returns stages, exchanges, estimates and reasons as text; reads footers only."""
        plan = self.physical()
        return explain(plan.stages, plan.tasks, plan.bits, plan.fused, plan.rows_pruned)

    def run(
        self,
        on: object = None,
        *,
        resume: str = "auto",
        limits: Limits | None = None,
        progress: Listener | None = None,
        recompute: bool = False,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        bad_rows: BadRows | None = None,
    ) -> Run:
        """Runs the plan and commits; a killed run with a key continues where it stopped.

        Parameters
        ----------
        on : None, distributed.Client, cluster or scheduler address
            Default: threads of this process.
        resume : {"auto", "never", "require"}
            Whether an unfinished run of the same key is continued.
        limits : Limits
            What the run may use.
        progress : callable
            Receives every event (see `checkrow.events`).
        recompute : bool
            Starts an unfinished run of the same key over instead of continuing it.
        checkpoint_interval_s : float
            Seconds of exchange work that may be lost with the process; 0 makes every task durable.
        bad_rows : BadRows
            What becomes of rows on which a kernel fails; by default the first one ends the run. Part of what identifies
            an unfinished run, as it decides what is written.

        Raises
        ------
        ConfigError
            If the target is unusable, or mode="error" and it has data.
        CommitConflict
            If another commit won the race.
        ResumeMismatch
            If an unfinished run of the same key listed input files that changed or are gone.
        """
        options = RunOptions(
            resume=resume, checkpoint_interval_s=checkpoint_interval_s, recompute=recompute,
            listener=progress or (lambda _: None), bad_rows=bad_rows,
        )  # fmt: skip
        key = self._sink.key if isinstance(self._sink, ParquetSink) else None
        return self.run_as(Instance(job="", key=key or random_id()), options, on=on, limits=limits)

    def run_as(
        self, instance: Instance, options: RunOptions, *, on: object = None, limits: Limits | None = None
    ) -> Run:
        """Runs the plan as an instance; what jobs call."""
        if not isinstance(self._sink, ParquetSink):
            raise ConfigError("a plan that collects has no target; use Dataset.collect()")
        root = resolve_root(self._sink.url, self._sink.control)
        self._refuse_target_in_source(root)
        plan = self.physical(options.bad_rows)
        # The canonical place is recorded, so that a resume from another directory finds it.
        plan = with_sink(plan, canonical_sink(self._sink, root))
        refuse_foreign(root)  # before a cluster's workers are shown the control root, which makes it
        with executor_for(on, limits, root.control if on is not None else None) as executor:
            listener = to_all(lambda event: _note(event, root), options.listener)
            timeout_s = (limits or Limits()).task_timeout_s
            outcome = write(
                plan, instance, executor, msgspec.structs.replace(options, listener=listener, task_timeout_s=timeout_s)
            )
        return Run(outcome, root.data, root.control)

    def _refuse_target_in_source(self, root: DatasetRoot) -> None:
        """Refuses a target below a source: the next listing would read its own output."""
        for source in _source_directories(self._relation):
            if source != root.data and (source in root.data.parents or source in root.control.parents):
                raise ConfigError(f"the target {root.data} lies inside the source {source}; write outside of it")


def _note(event: Event, root: DatasetRoot) -> None:
    if isinstance(event, RunStarted):
        remember(event.run, root.control)


def _source_directories(relation: Relation) -> list[Path]:
    below = relation
    while hasattr(below, "input"):
        below = below.input
    urls = below.source.url.split(", ")
    return [p.resolve() for p in (local_path(u) for u in urls if is_local(u)) if p.is_dir()]


def canonical_sink(sink: ParquetSink, root: DatasetRoot) -> ParquetSink:
    """Returns a sink with canonical places."""
    control = str(root.control) if sink.control is not None else None
    return msgspec.structs.replace(sink, url=str(root.data), control=control)


def with_sink(plan: PhysicalPlan, sink: ParquetSink) -> PhysicalPlan:
    """Returns a physical plan whose last stage has another sink of the same kind."""
    last = msgspec.structs.replace(plan.stages[-1], sink=sink)
    return msgspec.structs.replace(plan, stages=(*plan.stages[:-1], last))
