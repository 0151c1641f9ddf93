"""Plans in words: stages, what they read and skip, where rows change partition, and why."""

from __future__ import annotations

from collections.abc import Sequence

from checkrow.expressions.expression import render
from checkrow.expressions.nodes import Node, walk
from checkrow.kernels.fold import FOLD
from checkrow.plan.expansions import Expansion
from checkrow.plan.slices import PARTITION_ROWS, Task
from checkrow.plan.stages import (
    CollectSink,
    ExchangeSink,
    GroupSource,
    MergeSource,
    ParquetSink,
    ScatterSink,
    Stage,
)


def explain(
    stages: Sequence[Stage], tasks: Sequence[Task], bits: Sequence[int], fused: Sequence[bool], pruned: int
) -> str:
    """Returns a plan as text, one block per stage."""
    lines: list[str] = []
    for stage in stages:
        lines.append(f"stage {stage.number}")
        lines += [f"  {line}" for line in (*_source(stage, tasks, pruned), *_work(stage, fused[stage.number]))]
        lines += [f"  {line}" for line in _sink(stage, bits[stage.number])]
    return "\n".join(lines)


def _source(stage: Stage, tasks: Sequence[Task], pruned: int) -> list[str]:
    if isinstance(stage.source, MergeSource):
        return [f"merge partial states of stage {stage.source.stage}, slice by slice"]
    if isinstance(stage.source, GroupSource):
        return _groups(stage.source)
    source = stage.source.source
    rows, size = sum(t.rows for t in tasks), sum(t.size_bytes for t in tasks)
    held = len(source.schema)
    out = [
        f"read {source.url}: {len(source.files):,} files, {len(stage.source.columns)} of {held} columns",
        f"  {rows:,} rows, about {_size(size)} decoded, in {len(tasks):,} tasks",
    ]
    if pruned:
        out.append(f"  {pruned:,} rows skipped: row-group statistics exclude them")
    return out


def _groups(source: GroupSource) -> list[str]:
    call = source.grouping.call
    order = ", ".join(render(o.node) + (" descending" if o.descending else "") for o in source.grouping.order)
    args = ", ".join([*(render(a) for a in call.args), *(f"{n}={v}" for n, v in call.parameters)])
    each = "row by row from a new state for each group" if call.kernel.kind == FOLD else "for each group"
    return [
        f"gather the rows of each group from all slices of stage {source.stage}",
        *([f"order them by {order}, nulls last"] if order else ["keep them in the order they were read"]),
        f"call {call.kernel.kind} kernel {call.kernel.name}({args}) {each}: one compiled loop",
    ]


def _work(stage: Stage, fused: bool) -> list[str]:
    out = [line for e in stage.expansions for line in _expansion(e)]
    out += [f"keep rows where {render(p)}" for p in stage.predicates]
    out += [f"compute {name} = {render(node)}" for name, node in stage.outputs if node.op != "col"]
    whole = dict.fromkeys(k for node in stage.nodes() for n in walk(node) if (k := n.kernel) and k.kind == "batch")
    out += [f"call batch kernel {k.name} with the arrays of each batch" for k in whole]
    if whole:
        return out
    if stage.predicates or isinstance(stage.sink, ExchangeSink):
        reason = "a kernel or enough rows pay for compiling" if fused else "too few rows to compile for"
        out.append(f"{'one compiled loop' if fused else 'vectorised'}: {reason}")
    return out


def _expansion(made: Expansion) -> list[str]:
    spec = made.call.kernel
    args = ", ".join([*(render(a) for a in made.call.args), *(f"{n}={v}" for n, v in made.call.parameters)])
    kept = ", ".join(name for name, _ in made.kept)
    beside = f"each with its {kept}" if kept else "with no other columns"
    return [
        *(f"keep rows where {render(p)}" for p in made.predicates),
        *(f"compute {name} = {render(node)}" for name, node in made.kept if node.op != "col"),
        f"make 0 to {spec.max_rows:,} rows of each by expand kernel {spec.name}({args}), {beside}",
    ]


def _sink(stage: Stage, bits: int) -> list[str]:
    sink = stage.sink
    if isinstance(sink, ExchangeSink):
        keys = _keys(sink.keys)
        calls = ", ".join(f"{f.name} = {f.function}" for f in sink.aggregation.finishes)
        reason = f"at most {PARTITION_ROWS:,} rows each" if keys else "no keys"
        return [
            f"aggregate per slice by {keys or 'nothing'}: {calls}",
            f"exchange by key hash into {1 << bits:,} partitions ({reason})",
        ]
    if isinstance(sink, ScatterSink):
        keys = _keys(sink.keys)
        return [
            f"scatter rows by {keys or 'nothing'} with {len(sink.grouping.columns())} columns",
            f"exchange by key hash into {1 << bits:,} partitions (about {PARTITION_ROWS:,} rows each)",
        ]
    if isinstance(sink, ParquetSink):
        by = f", partitioned by {', '.join(sink.partition_by)}" if sink.partition_by else ""
        return [f"write {sink.url} ({sink.mode}{by})"]
    limit = f", at most {sink.limit:,} rows" if isinstance(sink, CollectSink) and sink.limit is not None else ""
    return [f"collect{limit}"]


def _keys(keys: tuple[tuple[str, Node], ...]) -> str:
    return ", ".join(f"{n}" if k.op == "col" and k.name == n else f"{n} = {render(k)}" for n, k in keys)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB" if size_bytes < 1 << 30 else f"{size_bytes / (1 << 30):,.2f} GiB"
