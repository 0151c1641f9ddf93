"""`job`: the smallest unit of work that can be run by name, once per set of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, overload

from checkrow.dataset.plan import Plan
from checkrow.errors import ConfigError
from checkrow.jobs.parameters import bind, canonical_values, parameters_of
from checkrow.run.instance import Instance
from checkrow.run.runner import RunOptions
from checkrow.run.stage import CHECKPOINT_INTERVAL_S

if TYPE_CHECKING:
    from checkrow.dataset.execution import Limits
    from checkrow.dataset.run import Run
    from checkrow.events import Listener
    from checkrow.plan.bad_rows import BadRows

_RESERVED = {
    "on", "limits", "progress", "force", "recompute", "accept_code_change", "checkpoint_interval_s", "resume",
}  # fmt: skip


class Job:
    """A named function of keyword parameters that returns a plan.

    The name and all parameters identify an instance. Running a committed instance again does nothing and says so;
    running a killed one continues it.
    """

    def __init__(self, function: Callable[..., Plan], name: str, bad_rows: BadRows | None = None) -> None:
        self.function = function
        self.bad_rows = bad_rows
        self.name = name
        self.parameters = parameters_of(function)
        self.file = inspect.getsourcefile(function) or ""
        self.__doc__ = function.__doc__
        taken = sorted(_RESERVED & {p.name for p in self.parameters})
        if taken:
            raise ConfigError(f"job {name!r}: the parameter name {taken[0]!r} is an option of run(); choose another")

    def __repr__(self) -> str:
        """Returns name and parameters."""
        return f"Job({self.name}: {', '.join(p.name for p in self.parameters)})"

    def plan(self, **parameters: object) -> Plan:
        """Returns the plan for some parameters; runs nothing."""
        made = self.function(**bind(self.name, self.parameters, parameters))
        if not isinstance(made, Plan):
            raise ConfigError(
                f"job {self.name!r} returned {type(made).__name__}; return a plan, as .plan_parquet(...) does"
            )
        return made

    def instance(self, **parameters: object) -> Instance:
        """Returns who a run with these parameters is."""
        values = bind(self.name, self.parameters, parameters)
        return Instance(job=self.name, parameters=canonical_values(values), file=self.file, is_job=True)

    def run(
        self,
        on: object = None,
        *,
        resume: str = "auto",
        limits: Limits | None = None,
        progress: Listener | None = None,
        force: bool = False,
        recompute: bool = False,
        accept_code_change: bool = False,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        **parameters: object,
    ) -> Run:
        """Runs the job for some parameters and commits once.

        Parameters
        ----------
        on, limits, progress, checkpoint_interval_s
            As in `Plan.run`.
        resume : {"auto", "never", "require"}
            Whether an unfinished run is continued.
        force : bool
            Processes a committed instance again, as its next generation: it takes the place of what was committed.
        recompute : bool
            Starts an unfinished instance over instead of continuing it.
        accept_code_change : bool
            Continues an unfinished run although the code changed; finished tasks stay as they are, so what travels
            between stages must be the same.

        Raises
        ------
        ResumeMismatch
            If an unfinished run of this instance had another plan, or listed input files that changed or are gone.
        AlreadyRunning
            If another process runs it now.
        """
        options = RunOptions(
            resume=resume, checkpoint_interval_s=checkpoint_interval_s, accept_code_change=accept_code_change,
            recompute=recompute, force=force, listener=progress or (lambda _: None), bad_rows=self.bad_rows,
        )  # fmt: skip
        return self.plan(**parameters).run_as(self.instance(**parameters), options, on=on, limits=limits)


@overload
def job(name: Callable[..., Plan]) -> Job: ...


@overload
def job(name: str | None = None, *, bad_rows: BadRows | None = None) -> Callable[[Callable[..., Plan]], Job]: ...


def job(
    name: str | Callable[..., Plan] | None = None, *, bad_rows: BadRows | None = None
) -> Job | Callable[[Callable[..., Plan]], Job]:
    """Makes a function of typed keyword parameters a job.

    Parameters
    ----------
    name : str
        Identifies the job's instances for ever; default: the function's name.
    bad_rows : BadRows
        What becomes of rows on which a kernel fails; by default the first one ends the run.

    Examples
    --------
    >>> @job(name="daily-copy")
    ... def daily_copy(*, source: str, target: str) -> Plan:
    ...     return scan(source).plan_parquet(target, mode="append")
    >>> daily_copy
    Job(daily-copy: source, target)
    """
    if callable(name):
        return Job(name, name.__name__)

    def decorate(function: Callable[..., Plan]) -> Job:
        return Job(function, name if isinstance(name, str) else function.__name__, bad_rows)

    return decorate
