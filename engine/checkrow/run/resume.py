"""Unfinished runs against the plan that is asked for now: what differs, and whether old and new fit together."""

from __future__ import annotations

from typing import Any

import msgspec

from checkrow.errors import ResumeMismatch
from checkrow.expressions.nodes import Node, walk
from checkrow.plan.aggregates import Aggregation, State
from checkrow.plan.bad_rows import QUARANTINE
from checkrow.plan.fingerprint import recordable
from checkrow.plan.groups import Grouping
from checkrow.plan.stages import Exchanged, ExchangeSink, ParquetSink, ScanSource, ScatterSink, Stage
from checkrow.run.physical import PhysicalPlan, recorded_plan
from checkrow.run.stage import stage_name
from checkrow.storage.runs import RunRecord

_START_OVER = "choose --recompute (recompute=True) to start over"


def added_inputs(known: RunRecord, plan: PhysicalPlan) -> int:
    """Returns how many input files were added since an unfinished run listed its input.

    Raises
    ------
    ResumeMismatch
        If a file that the run listed has another version now or is gone.
    """
    before, now = _versions(recorded_plan(known)), _versions(plan)
    lost = [url for url, version in before.items() if now.get(url) != version]
    if lost:
        raise ResumeMismatch(
            f"run {known.run} is unfinished, but {len(lost)} of its {len(before)} input files changed or are gone, "
            f"{lost[0]} first; {_START_OVER} with the files that are there now"
        )
    return len(now.keys() - before.keys())


def _versions(plan: PhysicalPlan) -> dict[str, str]:
    source = plan.stages[0].source
    return {f.url: f.version for f in source.source.files} if isinstance(source, ScanSource) else {}


def with_new_code(known: RunRecord, plan: PhysicalPlan) -> RunRecord:
    """Returns an unfinished run's record with new stages on its old slices: finished tasks stay as they are.

    Raises
    ------
    ResumeMismatch
        If what finished tasks left would not mean the same to the new plan's stages.
    """
    old = recorded_plan(known)
    reason = _misfit(old, plan)
    if reason:
        raise ResumeMismatch(f"run {known.run} cannot go on with the new code: {reason}; {_START_OVER}")
    first, before = plan.stages[0].source, old.stages[0].source
    if not (isinstance(first, ScanSource) and isinstance(before, ScanSource)):
        raise AssertionError("the first stage scans")
    source = msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, files=before.source.files))
    stages = (msgspec.structs.replace(plan.stages[0], source=source), *plan.stages[1:])
    mixed = msgspec.structs.replace(old, stages=stages)
    return msgspec.structs.replace(known, plan=recordable(msgspec.to_builtins(mixed)))


def _misfit(old: PhysicalPlan, new: PhysicalPlan) -> str:
    """Says why results of two plans' tasks cannot be mixed, or nothing.

    Expressions and kernels may differ: that is the change of code. What travels between stages, how it is put together,
    and where the rows go must not.
    """
    if [_kind(s) for s in old.stages] != [_kind(s) for s in new.stages]:
        return "it has other stages"
    if (old.bad_rows.action == QUARANTINE) != (new.bad_rows.action == QUARANTINE):
        return "rows on which kernels fail have another fate now (bad_rows)"
    for before, now in zip(old.stages, new.stages, strict=True):
        a, b = _meaning(before), _meaning(now)
        other = next((name for name in {**a, **b} if a.get(name) != b.get(name)), None)
        if other is not None:
            return f"{other} of the step '{stage_name(before)}' changed, which finished tasks were made for"
    if old.rows_pruned and not _bare(old.stages[0]) <= set(new.stages[0].source_predicates()):
        return "rows that the old filter left out unread are not in its slices"
    return ""


def _kind(stage: Stage) -> tuple[object, ...]:
    read = stage.source.stage if isinstance(stage.source, Exchanged) else None
    return (stage.number, type(stage.source), read, type(stage.sink))


def _bare(stage: Stage) -> set[Node]:
    """Returns the conditions that may have excluded row groups: those without a kernel."""
    return {p for p in stage.source_predicates() if not any(n.op == "kernel" for n in walk(p))}


def _meaning(stage: Stage) -> dict[str, object]:
    """Returns by name what must be the same in two stages whose tasks' results are mixed."""
    sink = stage.sink
    if isinstance(sink, ParquetSink):
        places = {name: getattr(sink, name) for name in sink.__struct_fields__ if name != "control"}
        return {"the columns": stage.output_schema(), **places}
    if isinstance(sink, ExchangeSink):
        return _meaning_of_states(sink.aggregation)
    return _meaning_of_rows(sink.grouping) if isinstance(sink, ScatterSink) else {}


def _meaning_of_states(aggregation: Aggregation) -> dict[str, object]:
    """Returns what groups mean on their way, whether states or their rows travel: per aggregate, then all states."""
    places = {node: name for name, node in aggregation.row_columns()}
    parts = [
        (_typed(p.second, places) if p.second is not None else None, [_of_state(s, places) for s in p.states])
        for p in aggregation.parts
    ]
    finishes = {f"the aggregate {f.name!r}": (f, parts[f.part][1][f.state : f.state + 1]) for f in aggregation.finishes}
    keys = [(name, node.dtype, node.nullable) for name, node in aggregation.keys]
    return {"the keys": keys, **finishes, "what is kept per group": parts}


def _of_state(state: State, places: dict[Node, str]) -> tuple[object, ...]:
    arguments = [_typed(a, places) for a in state.arguments]
    order = [(_typed(o.node, places), o.descending) for o in state.order]
    kernel = state.call.kernel.name if state.call is not None else ""
    return (state.kind, state.arrays, state.counted, arguments, order, kernel)


def _meaning_of_rows(grouping: Grouping) -> dict[str, object]:
    """Returns what the columns of scattered rows are for: keys, order, and arguments of the kernel by name."""
    places = {node: name for name, node in grouping.columns()}
    arguments = zip(grouping.call.kernel.columns, grouping.call.args, strict=True)
    return {
        "the keys": [(name, node.dtype, node.nullable) for name, node in grouping.keys],
        "order_by": [_typed(o.node, places) for o in grouping.order],
        **{f"the argument {name!r}": _typed(node, places) for name, node in arguments},
    }


def _typed(node: Node, places: dict[Node, str]) -> tuple[str, str, bool]:
    """Returns the name under which an expression's values travel, and their type."""
    return places[node], node.dtype, node.nullable


def difference(known: RunRecord, plan: PhysicalPlan) -> str:
    """Says how an unfinished run's plan differs from the one asked for."""
    before = recorded_plan(known)
    what = []
    if _kernels(before) != _kernels(plan):
        what.append("a kernel's code changed")
    if before.stages[-1].sink != plan.stages[-1].sink:
        what.append("the output changed")
    if before.bad_rows.action != plan.bad_rows.action:
        what.append(f"bad rows were to be '{before.bad_rows.action}' and are to be '{plan.bad_rows.action}'")
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
