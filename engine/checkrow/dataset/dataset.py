"""`Dataset`: a lazy, immutable description of rows, and `GroupedDataset` on its way to an aggregate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa

from checkrow.dataset.execution import Limits, execute_collect
from checkrow.dataset.html import dataset_html
from checkrow.dataset.plan import Plan
from checkrow.dataset.run import Run
from checkrow.errors import PlanError
from checkrow.events import Listener
from checkrow.expressions.aggregates import AggregateExpr
from checkrow.expressions.expression import Expr, OrderBy, as_node, order_keys
from checkrow.expressions.nodes import Node, column
from checkrow.expressions.types import arrow_schema
from checkrow.expressions.typing import field_of, unknown_column
from checkrow.kernels.columns import ColumnKernel
from checkrow.kernels.expand import ExpandKernel
from checkrow.kernels.fold import FoldKernel
from checkrow.kernels.group import GroupKernel
from checkrow.plan.bad_rows import BadRows
from checkrow.plan.logical import Aggregate, Apply, Assign, Expand, Filter, Relation, Select, schema_of
from checkrow.plan.stages import CollectSink, ParquetSink

Result = TypeVar("Result")


class Dataset:
    """Rows that are described but not read; every method returns a new dataset.

    Build one with `cr.scan`. Work happens in `collect`, `head`, `write_parquet` and nowhere else.
    """

    __slots__ = ("_relation", "_schema")

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._schema = schema_of(relation)

    @property
    def schema(self) -> pa.Schema:
        """The columns, as an Arrow schema; known without reading rows."""
        return arrow_schema(self._schema)

    @property
    def relation(self) -> Relation:
        """The logical tree."""
        return self._relation

    def __repr__(self) -> str:
        """Returns names and types; never reads data."""
        fields = ", ".join(f"{f.name}: {f.dtype}" for f in self._schema)
        return f"Dataset({fields})"

    def _repr_html_(self) -> str:
        return dataset_html(self._schema)

    # -- rows and columns ---------------------------------------------------------------------------------------------

    def filter(self, condition: Expr | ColumnKernel) -> Dataset:
        """Keeps the rows for which a condition is true; null is not true. A kernel that returns bool is a condition."""
        node = _kernel_output(condition) if isinstance(condition, ColumnKernel) else as_node(condition)
        return Dataset(Filter(self._relation, node))

    def select(self, *columns: str | Expr, **named: Expr | str) -> Dataset:
        """Returns exactly these columns, in order; keywords name expressions."""
        chosen = [(c, column(c)) if isinstance(c, str) else _named(c) for c in columns]
        chosen += [(n, column(e) if isinstance(e, str) else as_node(e)) for n, e in named.items()]
        if not chosen:
            raise PlanError("select() needs at least one column")
        return Dataset(Select(self._relation, tuple(chosen)))

    def drop(self, *names: str) -> Dataset:
        """Returns all columns but these."""
        for name in names:
            self._require(name)
        return self.select(*(f.name for f in self._schema if f.name not in names))

    def rename(self, **names: str) -> Dataset:
        """Returns all columns, some under new names: `rename(old="new")`."""
        for name in names:
            self._require(name)
        return Dataset(Select(self._relation, tuple((names.get(f.name, f.name), column(f.name)) for f in self._schema)))

    def with_columns(self, **columns: object) -> Dataset:
        """Adds columns, or replaces those of the same name."""
        if not columns:
            raise PlanError("with_columns() needs at least one column")
        return Dataset(Assign(self._relation, tuple((n, as_node(e)) for n, e in columns.items())))

    def map(self, kernel: ColumnKernel | ExpandKernel) -> Dataset:
        """Calls a kernel with the columns its arguments are named after.

        A row or batch kernel adds its columns, or replaces those of the same name. An expand kernel makes any number of
        rows of each: the columns its `keep=` names, repeated, then its own.
        """
        if isinstance(kernel, ExpandKernel):
            return Dataset(Expand(self._relation, kernel.kept(f.name for f in self._schema), kernel.call()))
        if not isinstance(kernel, ColumnKernel):
            raise PlanError(
                f"map() takes a row, batch or expand kernel (see row_kernel), not {type(kernel).__name__}"
                + ("; a group kernel goes with group_by(...).apply()" if isinstance(kernel, GroupKernel) else "")
            )
        return Dataset(Assign(self._relation, kernel.outputs()))

    def pipe(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Returns `function(self, ...)`, to keep a chain readable."""
        return function(self, *args, **kwargs)

    def group_by(self, *keys: str | Expr) -> GroupedDataset:
        """Groups rows by columns or expressions; without keys everything is one group."""
        return GroupedDataset(self, tuple((k, column(k)) if isinstance(k, str) else _named(k) for k in keys))

    def _require(self, name: str) -> None:
        if all(f.name != name for f in self._schema):
            raise unknown_column(name, (f.name for f in self._schema))

    # -- results ------------------------------------------------------------------------------------------------------

    def collect(self, on: object = None, *, limits: Limits | None = None, bad_rows: BadRows | None = None) -> pa.Table:
        """Computes all rows and returns them as an Arrow table.

        Parameters
        ----------
        on : None, distributed.Client, cluster or scheduler address
            Where to run; default: threads of this process.
        limits : Limits
            Threads and bytes the run may use.
        bad_rows : BadRows
            What becomes of rows on which a kernel fails; by default the first one is an error.
        """
        return execute_collect(self._relation, CollectSink(), on, limits, bad_rows)

    def head(self, n: int = 10) -> pa.Table:
        """Computes at most `n` rows and returns them; stops reading when it has them."""
        if n < 0:
            raise PlanError(f"head({n}): the number of rows cannot be negative")
        return execute_collect(self._relation, CollectSink(limit=n), None, None, None).slice(0, n)

    def to_reader(self) -> pa.RecordBatchReader:
        """Returns the rows as an Arrow stream."""
        table = self.collect()
        return table.to_reader()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hands the rows to anything that speaks the Arrow stream interface."""
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def plan_parquet(
        self,
        url: str,
        *,
        partition_by: str | list[str] | tuple[str, ...] | None = None,
        mode: str = "error",
        key: str | None = None,
        target_file_bytes: int = 256 << 20,
        compression: str = "zstd",
        control: str | None = None,
    ) -> Plan:
        """Declares that the rows become committed Parquet files; runs nothing. This is what a job returns.

        Parameters
        ----------
        url : str
            The data root. Everything but data files goes to its sibling `<url>.checkrow`.
        partition_by : str or list of str
            Columns that become `name=value` directories.
        mode : {"error", "append", "replace"}
            What happens to data that is there: refuse, keep and add, or swap for the new.
        key : str
            Makes the write an instance: the same key is committed once, and a killed run resumes.
        target_file_bytes : int
            Size in memory at which a new file is begun.
        compression : str
            Parquet codec, of columns that it makes at least an eighth smaller and of all text.
        control : str
            Another place for the control root.
        """
        names = (partition_by,) if isinstance(partition_by, str) else tuple(partition_by or ())
        for name in names:
            field_of(self._schema, name)
        sink = ParquetSink(
            url=url, mode=mode, partition_by=names, compression=compression, target_file_bytes=target_file_bytes,
            control=control, key=key,
        )  # fmt: skip
        return Plan(self._relation, sink)

    def write_parquet(
        self,
        url: str,
        *,
        partition_by: str | list[str] | tuple[str, ...] | None = None,
        mode: str = "error",
        key: str | None = None,
        target_file_bytes: int = 256 << 20,
        compression: str = "zstd",
        control: str | None = None,
        on: object = None,
        limits: Limits | None = None,
        progress: Listener | None = None,
        bad_rows: BadRows | None = None,
    ) -> Run:
        """Computes all rows and commits them as Parquet files; see `plan_parquet` and `Plan.run` for the parameters."""
        plan = self.plan_parquet(
            url, partition_by=partition_by, mode=mode, key=key, target_file_bytes=target_file_bytes,
            compression=compression, control=control,
        )  # fmt: skip
        return plan.run(on, limits=limits, progress=progress, bad_rows=bad_rows)

    def explain(self) -> str:
        """Returns the stages in which the rows would be computed, with estimates and reasons; reads footers only."""
        return Plan(self._relation, CollectSink()).explain()


class GroupedDataset:
    """Rows grouped by keys, waiting for aggregates."""

    __slots__ = ("_dataset", "_keys")

    def __init__(self, dataset: Dataset, keys: tuple[tuple[str, Node], ...]) -> None:
        self._dataset = dataset
        self._keys = keys

    def agg(self, **named: AggregateExpr) -> Dataset:
        """Returns one row per group: the keys, then the named aggregates.

        Examples
        --------
        `ds.group_by("city").agg(n=cr.count(), paid=cr.sum("amount"))`
        """
        for name, call in named.items():
            if not isinstance(call, AggregateExpr):
                raise PlanError(f"agg({name}=...) needs an aggregate such as cr.sum('x'), not {type(call).__name__}")
        if not named and not self._keys:
            raise PlanError("agg() without keys needs at least one aggregate")
        calls = tuple(call.named(name) for name, call in named.items())
        return Dataset(Aggregate(self._dataset.relation, self._keys, calls))

    def apply(self, kernel: GroupKernel | FoldKernel, *, order_by: OrderBy = ()) -> Dataset:
        """Calls a kernel with the rows of each group; returns the group keys, then the kernel's columns.

        Parameters
        ----------
        kernel : GroupKernel or FoldKernel
            See `cr.group_kernel` and `cr.fold_kernel`; its arguments read the columns they are named after.
        order_by : column, expression, `col(...).desc()` or a list of them
            The order of rows within a group; nulls come last and NaN counts as the greatest. Ties, and everything
            without `order_by`, stay in the order in which the input is read.

        Examples
        --------
        `ds.group_by("user_id").apply(sessions.bind(gap_us=1_800_000_000), order_by="ts")`
        """
        if not isinstance(kernel, (GroupKernel, FoldKernel)):
            raise PlanError(
                f"apply() takes a kernel over groups (see group_kernel, fold_kernel), not {type(kernel).__name__}"
            )
        return Dataset(Apply(self._dataset.relation, self._keys, order_keys(order_by), kernel.call()))


def _named(expr: Expr) -> tuple[str, Node]:
    if not isinstance(expr, Expr):
        raise PlanError(f"expected a column name or an expression, not {expr!r}")
    if not expr.name:
        raise PlanError(f"{expr!r} has no column name; add .alias('name')")
    return expr.name, expr.node


def _kernel_output(kernel: ColumnKernel) -> Node:
    outputs = kernel.outputs()
    if len(outputs) != 1:
        raise PlanError(f"filter() needs a kernel with one bool output; {kernel.__name__!r} has {len(outputs)}")
    return outputs[0][1]
