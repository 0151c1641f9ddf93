"""The one node of expression trees, and the record of a kernel: frozen, hashable, JSON.

A node as the user writes it has an empty `dtype`; `resolve` in `typing` returns the same tree with every `dtype` set
and every conversion made explicit, so that nothing above has to know promotion rules.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from checkrow.expressions.types import Field

Scalar = str | int | float | bool | None


class SourceBlock(msgspec.Struct, frozen=True):
    """A function's source text, where it stands in the user's file, and the name the block defines."""

    name: str
    text: str
    file: str
    line: int


class KernelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is needed to compile and call a kernel elsewhere: source, not objects.

    `blocks` are the helper functions it reaches, in order of definition, then the kernel itself; `constants` are the
    module-level numbers it reaches, by name. `columns` are the arguments that read a column; `arguments` are all
    positional ones in order, `out` and `<column>_valid` among them (empty: just the columns). `fills` says by column
    what stands in for nulls; `nulls` what becomes of a null in the other columns. `texts` and `text_fills` are the
    constants and fills that are text, as bytes. `shape`, `checked` and `max_rows` (rows a call may give; None: as many
    as it was given) concern kernels over arrays. A kernel may be a class:
    `methods` are its functions with the parameters each takes, `entry` is the one that is meant, `shape` says whether
    its state is a "tuple" or a bare "number", and the first `state` of `returns` are that state's numbers. `may_fail`
    says that nulls stand in where it fails.
    """

    name: str
    kind: str
    blocks: tuple[SourceBlock, ...]
    constants: tuple[tuple[str, int | float | bool], ...]
    modules: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    returns: tuple[Field, ...]
    nulls: str
    decimals: str
    time_unit: str
    fingerprint: str
    arguments: tuple[str, ...] = ()
    fills: tuple[tuple[str, int | float | bool], ...] = ()
    shape: str = ""
    checked: bool = False
    max_rows: int | None = None
    methods: tuple[tuple[str, tuple[str, ...]], ...] = ()
    entry: str = ""
    state: int = 0
    may_fail: bool = False
    texts: tuple[tuple[str, bytes], ...] = ()
    text_fills: tuple[tuple[str, bytes], ...] = ()

    @property
    def function(self) -> str:
        """The name of the function to call, which `blocks` define."""
        return self.entry or self.name

    @property
    def block(self) -> SourceBlock:
        """The source of the function to call."""
        return next((b for b in reversed(self.blocks) if b.name == self.function), self.blocks[-1])

    def takes_null(self, column: str) -> bool:
        """Tells whether the function is called although a column is null: that has a fill, or tells its validity."""
        return f"{column}_valid" in self.arguments or any(c == column for c, _ in (*self.fills, *self.text_fills))

    @property
    def place(self) -> str:
        """Where the user wrote it: `file:line`."""
        return f"{self.block.file}:{self.block.line}"


class Node(msgspec.Struct, frozen=True):
    """One operation of an expression.

    `op` is "col", "lit", "cast", "case", "kernel" or a key of `operations.OPERATIONS`. `name` is the column of "col";
    `value` the literal of "lit" (decimals as text, dates and times as their stored integer), the output number of
    "kernel", the unit of "truncate". `parameters` are bound kernel parameters.
    """

    op: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Scalar = None
    dtype: str = ""
    nullable: bool = True
    kernel: KernelSpec | None = None
    parameters: tuple[tuple[str, int | float | bool], ...] = ()


class KernelCall(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel over groups, or an aggregator, as it was applied: its record, its arguments, its bound parameters.

    `state` is what the `init` of an aggregator or fold kernel gives.
    """

    kernel: KernelSpec
    args: tuple[Node, ...]
    parameters: tuple[tuple[str, int | float | bool], ...] = ()
    state: tuple[int | float | bool, ...] = ()

    def substituted(self, by: dict[str, Node]) -> KernelCall:
        """Returns the call over what computes the columns it reads."""
        return msgspec.structs.replace(self, args=tuple(substitute(a, by) for a in self.args))

    def method(self, name: str) -> KernelSpec:
        """Returns one method of a kernel that is a class as a kernel of its own, with all that it returns.

        `update` and `merge` return the state, `finish` the values, `step` the state and then the values.
        """
        spec = self.kernel
        takes = dict(spec.methods)[name]
        kinds = tuple(Field(f"state[{i}]", state_type(v), False) for i, v in enumerate(self.state))
        returns = {"finish": spec.returns, "step": (*kinds, *spec.returns)}.get(name, kinds)
        state = 0 if name == "finish" else len(kinds)
        return msgspec.structs.replace(spec, entry=name, parameters=takes, returns=returns, state=state)


class OrderKey(msgspec.Struct, frozen=True):
    """What rows are ordered by: nulls last either way, NaN as the greatest value."""

    node: Node
    descending: bool = False

    def substituted(self, by: dict[str, Node]) -> OrderKey:
        """Returns the key over what computes the columns it reads."""
        return OrderKey(substitute(self.node, by), self.descending)


def state_type(value: float | bool) -> str:
    """Returns the Arrow type in which a number of a state is kept."""
    if isinstance(value, bool):
        return "bool"
    return "int64" if isinstance(value, int) else "double"


def column(name: str) -> Node:
    """Returns a reference to a column."""
    return Node("col", name=name)


def walk(node: Node) -> Iterator[Node]:
    """Yields a node and everything below it, parents first."""
    yield node
    for arg in node.args:
        yield from walk(arg)


def columns_of(*nodes: Node) -> tuple[str, ...]:
    """Returns the names of the columns that nodes read, in order of first use."""
    return tuple(dict.fromkeys(n.name for node in nodes for n in walk(node) if n.op == "col"))


def compared_columns(*nodes: Node) -> tuple[str, ...]:
    """Returns the names of the columns that nodes read themselves, not through a kernel."""
    names = (
        (n.name,) if n.op == "col" else (() if n.op == "kernel" else compared_columns(*n.args)) for n in nodes
    )  # fmt: skip
    return tuple(dict.fromkeys(name for some in names for name in some))


def substitute(node: Node, replacements: dict[str, Node]) -> Node:
    """Returns a node with columns replaced by what computes them."""
    if node.op == "col":
        return replacements.get(node.name, node)
    if not node.args:
        return node
    return msgspec.structs.replace(node, args=tuple(substitute(a, replacements) for a in node.args))
