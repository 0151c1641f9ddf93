"""Unfinished runs against the plan that is asked for now: what differs, and whether old and new fit together."""

from __future__ import annotations

from typing import Any

import msgspec

from checkrow.errors import ResumeMismatch
from checkrow.plan.fingerprint import recordable, recorded
from checkrow.plan.stages import ScanSource
from checkrow.run.physical import PhysicalPlan
from checkrow.storage.runs import RunRecord


def with_new_code(known: RunRecord, plan: PhysicalPlan) -> RunRecord:
    """Returns an unfinished run's record with new stages on its old slices: finished tasks stay as they are.

    Raises
    ------
    ResumeMismatch
        If the new plan has other stages or another output, so that old and new tasks would not fit together.
    """
    old = msgspec.convert(recorded(known.plan), PhysicalPlan)
    shapes = [[(s.number, s.output_schema(), type(s.sink)) for s in p.stages] for p in (old, plan)]
    first, before = plan.stages[0].source, old.stages[0].source
    if (
        shapes[0] != shapes[1]
        or old.bits != plan.bits
        or not (isinstance(first, ScanSource) and isinstance(before, ScanSource))
    ):
        raise ResumeMismatch(f"run {known.run} cannot go on with the new plan: its stages differ; choose --recompute")
    source = msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, files=before.source.files))
    stages = (msgspec.structs.replace(plan.stages[0], source=source), *plan.stages[1:])
    mixed = msgspec.structs.replace(old, stages=stages)
    return msgspec.structs.replace(known, plan=recordable(msgspec.to_builtins(mixed)))


def difference(known: RunRecord, plan: PhysicalPlan) -> str:
    """Says how an unfinished run's plan differs from the one asked for."""
    before = msgspec.convert(recorded(known.plan), PhysicalPlan)
    what = []
    if _kernels(before) != _kernels(plan):
        what.append("a kernel's code changed")
    if before.stages[-1].sink != plan.stages[-1].sink:
        what.append("the output changed")
    if not what:
        what.append("filters, columns or parameters changed")
    return (
        f"run {known.run} of this job is unfinished and had another plan: {', '.join(what)}. "
        "Continue it as it was with the old code, or choose --recompute (start over) or --accept-code-change"
    )


def _kernels(plan: PhysicalPlan) -> set[str]:
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if "fingerprint" in value and "blocks" in value:
                found.add(str(value["fingerprint"]))
            for v in value.values():
                visit(v)
        elif isinstance(value, (list, tuple)):
            for v in value:
                visit(v)

    visit(msgspec.to_builtins(plan.stages))
    return found
