"""Stages: a logical tree optimised and cut at its exchanges.

Row-wise verbs vanish here: filters and assigned columns are substituted into expressions over the stage's input, which
pushes predicates down, fuses all row-wise work into one pass and leaves unread columns unread.
"""

from __future__ import annotations

import msgspec

from checkrow.errors import PlanError
from checkrow.expressions.nodes import Node, column, columns_of, substitute, walk
from checkrow.expressions.types import Field, Schema
from checkrow.expressions.typing import field_of, resolve
from checkrow.plan.aggregates import Aggregation, aggregation
from checkrow.plan.expansions import Expansion, expansion, kept_columns, pruned, sunk
from checkrow.plan.groups import Grouping, grouping
from checkrow.plan.logical import Aggregate, Apply, Assign, Expand, Filter, Relation, Scan, Select, schema_of
from checkrow.plan.source import Source


class ParquetSink(msgspec.Struct, frozen=True, kw_only=True, tag="parquet"):
    """Rows become committed Parquet files of a dataset."""

    url: str
    mode: str = "error"
    partition_by: tuple[str, ...] = ()
    compression: str = "zstd"
    target_file_bytes: int = 256 << 20
    control: str | None = None
    key: str | None = None


class CollectSink(msgspec.Struct, frozen=True, kw_only=True, tag="collect"):
    """Rows come back to the caller; `limit` stops early."""

    limit: int | None = None


class ExchangeSink(msgspec.Struct, frozen=True, kw_only=True, tag="exchange"):
    """Rows are pre-aggregated and change partition by the hash of the keys."""

    aggregation: Aggregation

    @property
    def keys(self) -> tuple[tuple[str, Node], ...]:
        """Names and expressions of what decides a row's partition."""
        return self.aggregation.keys

    def nodes(self) -> tuple[Node, ...]:
        """Returns the expressions the sink computes."""
        return (*(n for _, n in self.keys), *self.aggregation.arguments())


class ScatterSink(msgspec.Struct, frozen=True, kw_only=True, tag="scatter"):
    """Rows themselves change partition by the hash of the keys, with all columns a kernel over groups needs."""

    grouping: Grouping

    @property
    def keys(self) -> tuple[tuple[str, Node], ...]:
        """Names and expressions of what decides a row's partition."""
        return self.grouping.keys

    def nodes(self) -> tuple[Node, ...]:
        """Returns the expressions the sink computes."""
        return tuple(n for _, n in self.grouping.columns())


class ScanSource(msgspec.Struct, frozen=True, kw_only=True, tag="scan"):
    """A stage that reads files; `columns` are those it needs."""

    source: Source
    columns: Schema


class MergeSource(msgspec.Struct, frozen=True, kw_only=True, tag="merge"):
    """A stage that merges the partial states an earlier stage exchanged."""

    stage: int
    aggregation: Aggregation

    @property
    def keys(self) -> tuple[tuple[str, Node], ...]:
        """Names and expressions, over the columns of the stage before, of the group keys."""
        return self.aggregation.keys

    def schema(self) -> Schema:
        """Returns the columns the merge gives."""
        return self.aggregation.schema()


class GroupSource(msgspec.Struct, frozen=True, kw_only=True, tag="groups"):
    """A stage that calls a kernel for every group of the rows an earlier stage scattered."""

    stage: int
    grouping: Grouping

    @property
    def keys(self) -> tuple[tuple[str, Node], ...]:
        """Names and expressions, over the columns of the stage before, of the group keys."""
        return self.grouping.keys

    def schema(self) -> Schema:
        """Returns the columns the kernel gives, after the keys."""
        return self.grouping.schema()


Exchanged = MergeSource | GroupSource
"""Sources that read what an earlier stage exchanged."""
Sink = ParquetSink | CollectSink | ExchangeSink | ScatterSink


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over a slice: source, row-wise work as typed expressions, sink.

    Predicates and outputs are over the columns of the source or, where rows are expanded in between, over those of the
    last expansion; each expansion is over the columns of what stands before it.
    """

    number: int
    source: ScanSource | MergeSource | GroupSource
    predicates: tuple[Node, ...]
    outputs: tuple[tuple[str, Node], ...]
    sink: ParquetSink | CollectSink | ExchangeSink | ScatterSink
    expansions: tuple[Expansion, ...] = ()

    def nodes(self) -> tuple[Node, ...]:
        """Returns every expression the stage computes."""
        return (*(n for e in self.expansions for n in e.nodes()), *self.nodes_above())

    def nodes_above(self) -> tuple[Node, ...]:
        """Returns the expressions over what its expansions give, or over its source where it has none."""
        return _nodes(self.predicates, self.outputs, self.sink)

    def source_predicates(self) -> tuple[Node, ...]:
        """Returns the conditions over the source's columns that every row must meet."""
        return self.expansions[0].predicates if self.expansions else self.predicates

    def has_kernel(self) -> bool:
        """Tells whether the stage compiles user code into the loop over its source's rows."""
        own = bool(self.expansions) or (isinstance(self.sink, ExchangeSink) and self.sink.aggregation.has_kernel())
        return own or any(n.kernel.kind != "batch" for node in self.nodes() for n in walk(node) if n.kernel)

    def output_schema(self) -> Schema:
        """Returns the columns of the rows that reach the sink."""
        return tuple(Field(name, node.dtype, node.nullable) for name, node in self.outputs)


class _Open:
    """A stage under construction: visible columns as untyped expressions over those of the source or last expansion."""

    def __init__(self, source: Source | MergeSource | GroupSource, schema: Schema) -> None:
        self.source = source
        self.source_schema = schema
        self.expansions: list[Expansion] = []
        self.start(schema)

    def start(self, schema: Schema) -> None:
        """Begins with the columns of a schema, whatever came before."""
        self.schema = schema
        self.visible: dict[str, Node] = {f.name: column(f.name) for f in schema}
        self.predicates: list[Node] = []

    def typed(self, node: Node) -> Node:
        return resolve(substitute(node, self.visible), self.schema)


def cut(relation: Relation, sink: ParquetSink | CollectSink) -> tuple[Stage, ...]:
    """Returns the stages of a tree, in the order they run.

    Raises
    ------
    SchemaError
        If an expression does not type over its input.
    """
    schema_of(relation)
    stages: list[Stage] = []
    stage = _build(relation, stages)
    outputs = tuple((name, stage.typed(column(name))) for name in stage.visible)
    stages.append(_close(stage, len(stages), outputs, sink))
    return tuple(stages)


def _build(relation: Relation, stages: list[Stage]) -> _Open:
    if isinstance(relation, Scan):
        return _Open(relation.source, relation.source.schema)
    stage = _build(relation.input, stages)
    if isinstance(relation, Filter):
        _add_filter(stage, stages, relation.condition)
    elif isinstance(relation, Assign):
        stage.visible |= {name: substitute(node, dict(stage.visible)) for name, node in relation.columns}
    elif isinstance(relation, Select):
        stage.visible = {name: substitute(node, stage.visible) for name, node in relation.columns}
    elif isinstance(relation, Aggregate):
        return _aggregate(stage, stages, relation)
    elif isinstance(relation, Apply):
        return _apply(stage, stages, relation)
    elif isinstance(relation, Expand):
        _expand(stage, relation)
    return stage


def _expand(stage: _Open, relation: Expand) -> None:
    keep = tuple((name, substitute(node, stage.visible)) for name, node in kept_columns(relation.keep))
    made = expansion(stage.schema, keep, relation.call.substituted(stage.visible), stage.predicates)
    stage.expansions.append(made)
    stage.start(made.schema())


def _add_filter(stage: _Open, stages: list[Stage], condition: Node) -> None:
    """Adds a condition, below expansions that keep what it reads, and below the exchange when that is group keys."""
    for part in _conjuncts(substitute(condition, stage.visible)):
        level, typed = sunk(stage.expansions, resolve(part, stage.schema))
        if level == 0 and not isinstance(stage.source, Source):
            keys = dict(stage.source.keys)
            if keys and set(columns_of(typed)) <= keys.keys():
                below = stages[-1]
                stages[-1] = msgspec.structs.replace(below, predicates=(*below.predicates, substitute(typed, keys)))
                continue
        if level == len(stage.expansions):
            stage.predicates.append(typed)
            continue
        above = stage.expansions[level]
        stage.expansions[level] = msgspec.structs.replace(above, predicates=(*above.predicates, typed))


def _conjuncts(node: Node) -> list[Node]:
    if node.op == "and":
        return [p for a in node.args for p in _conjuncts(a)]
    return [node]


def _aggregate(stage: _Open, stages: list[Stage], relation: Aggregate) -> _Open:
    keys = tuple((name, substitute(node, stage.visible)) for name, node in relation.keys)
    calls = tuple(c.substituted(stage.visible) for c in relation.calls)
    grouped = aggregation(stage.schema, keys, calls)
    number = len(stages)
    stages.append(_close(stage, number, (), ExchangeSink(aggregation=grouped)))
    return _Open(MergeSource(stage=number, aggregation=grouped), grouped.schema())


def _apply(stage: _Open, stages: list[Stage], relation: Apply) -> _Open:
    keys = tuple((name, substitute(node, stage.visible)) for name, node in relation.keys)
    order = tuple(o.substituted(stage.visible) for o in relation.order)
    grouped = grouping(stage.schema, keys, order, relation.call.substituted(stage.visible))
    number = len(stages)
    stages.append(_close(stage, number, (), ScatterSink(grouping=grouped)))
    return _Open(GroupSource(stage=number, grouping=grouped), grouped.schema())


def _close(stage: _Open, number: int, outputs: tuple[tuple[str, Node], ...], sink: Sink) -> Stage:
    predicates = tuple(stage.predicates)
    expansions, names = pruned(stage.expansions, _nodes(predicates, outputs, sink))
    source: ScanSource | MergeSource | GroupSource
    if isinstance(stage.source, Source):
        columns = tuple(field_of(stage.source_schema, name) for name in names)
        source = ScanSource(source=stage.source, columns=columns)
    else:
        source = stage.source
    return Stage(
        number=number, source=source, predicates=predicates, outputs=outputs, sink=sink, expansions=expansions
    )  # fmt: skip


def _nodes(predicates: tuple[Node, ...], outputs: tuple[tuple[str, Node], ...], sink: Sink) -> tuple[Node, ...]:
    computed = sink.nodes() if isinstance(sink, (ExchangeSink, ScatterSink)) else ()
    return (*predicates, *(n for _, n in outputs), *computed)


def check_sink(sink: ParquetSink, schema: Schema) -> None:
    """Raises PlanError when a sink does not fit the rows that reach it."""
    names = [f.name for f in schema]
    for name in sink.partition_by:
        field_of(schema, name)
    hidden = [name for name in sink.partition_by if name.startswith(("_", "."))]
    if hidden:
        raise PlanError(
            f"partition_by names {hidden[0]!r}: readers skip directories that start with '_' or '.'; rename the column"
        )
    if sink.partition_by and len(sink.partition_by) >= len(names):
        raise PlanError("partition_by names every column; at least one must stay in the files")
    if sink.mode not in {"error", "append", "replace"}:
        raise PlanError(f"mode={sink.mode!r} is not one of 'error', 'append', 'replace'")
