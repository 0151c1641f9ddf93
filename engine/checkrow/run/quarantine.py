"""What the quarantine of a task's rows is made from: the source as it was planned, whichever stage the task is of."""

from __future__ import annotations

from checkrow.operators.quarantine import Quarantine
from checkrow.plan.stages import ScanSource, Stage
from checkrow.run.physical import open_source, recorded_plan
from checkrow.storage.runs import read_run
from checkrow.storage.store import PosixStore

Options = dict[str, str | int | float | bool | None]


def quarantine_of(stage: Stage, options: Options, store: PosixStore, *, run: str, instance: str) -> Quarantine:
    """Returns what makes quarantined rows of the bad rows of a task.

    Parameters
    ----------
    stage : Stage
        The task's; the files of a first stage are those its bad rows name. A later one finds them in the run's plan.
    options : dict
        How source files are opened, for a later stage.
    store : PosixStore
        The control root.
    run, instance : str
    """
    if isinstance(stage.source, ScanSource):
        source = stage.source.source
        return Quarantine(source, (), open_source(source.storage_options), run=run, instance=instance)
    plan = recorded_plan(read_run(store, run))
    first = plan.stages[0].source
    if not isinstance(first, ScanSource):
        raise AssertionError("the first stage scans")
    return Quarantine(first.source, plan.tasks, open_source(options), run=run, instance=instance)
