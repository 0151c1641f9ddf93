"""Expansions inside a stage: a kernel makes any number of rows of each, which row-wise work then goes on with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from checkrow.errors import PlanError
from checkrow.expressions.nodes import KernelCall, Node, column, columns_of, substitute, walk
from checkrow.expressions.types import Field, Schema
from checkrow.expressions.typing import kernel_argument, resolve

_SAFE = {
    "col", "lit", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "not", "is_null",
    "fill_null",
}  # fmt: skip
"""Operations that cannot fail on a value, so that it does no harm to try them on rows that give no rows."""


class Expansion(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel with the conditions before it, the columns it keeps and its arguments, typed over the columns below."""

    predicates: tuple[Node, ...]
    kept: tuple[tuple[str, Node], ...]
    call: KernelCall

    def nodes(self) -> tuple[Node, ...]:
        """Returns every expression it needs of the columns below."""
        return (*self.predicates, *(n for _, n in self.kept), *self.call.args)

    def columns(self) -> tuple[tuple[str, Node], ...]:
        """Returns what is computed of each row that passes: what is kept, then each argument, as `#0`, `#1`, ..."""
        return (*self.kept, *((f"#{j}", arg) for j, arg in enumerate(self.call.args)))

    def inputs(self) -> KernelCall:
        """Returns the call over the columns of `columns`."""
        args = enumerate(self.call.args)
        return msgspec.structs.replace(
            self.call, args=tuple(Node("col", name=f"#{j}", dtype=a.dtype, nullable=a.nullable) for j, a in args)
        )

    def schema(self) -> Schema:
        """Returns the columns that come out: what is kept, then what the kernel returns."""
        kept = (Field(name, node.dtype, node.nullable) for name, node in self.kept)
        return (*kept, *(Field(f.name, f.dtype, nullable=False) for f in self.call.kernel.returns))


def expansion(
    schema: Schema, keep: tuple[tuple[str, Node], ...], call: KernelCall, predicates: Sequence[Node] = ()
) -> Expansion:
    """Returns the typed expansion of a kernel over a schema.

    Raises
    ------
    SchemaError
        If a column is missing.
    KernelTypeError
        If the kernel cannot take a column's type.
    PlanError
        If a column that is kept is also one that the kernel returns.
    """
    spec = call.kernel
    names = [name for name, _ in keep] + [f.name for f in spec.returns]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise PlanError(
            f"{spec.place}: the column {twice!r} would stand twice: kernel {spec.name!r} keeps columns of the input "
            "and returns its own; leave it out of keep=, or rename one"
        )
    args = zip(spec.columns, call.args, strict=True)
    typed = tuple(kernel_argument(spec, name, resolve(arg, schema)) for name, arg in args)
    return Expansion(
        predicates=tuple(predicates), kept=tuple((n, resolve(node, schema)) for n, node in keep),
        call=msgspec.structs.replace(call, args=typed),
    )  # fmt: skip


def kept_columns(names: Sequence[str]) -> tuple[tuple[str, Node], ...]:
    """Returns columns under their own names."""
    return tuple((name, column(name)) for name in names)


def sunk(expansions: Sequence[Expansion], predicate: Node) -> tuple[int, Node]:
    """Returns below how many of some expansions a typed condition may be tried, and the condition as it reads there.

    It sinks below an expansion when it reads only columns that are kept, and cannot fail.
    """
    level = len(expansions)
    while level:
        kept, read = dict(expansions[level - 1].kept), columns_of(predicate)
        if not read or not set(read) <= kept.keys() or any(n.op not in _SAFE for n in walk(predicate)):
            break
        predicate, level = substitute(predicate, kept), level - 1
    return level, predicate


def pruned(expansions: Sequence[Expansion], nodes: Sequence[Node]) -> tuple[tuple[Expansion, ...], tuple[str, ...]]:
    """Returns expansions that keep only what is read above them, and the columns that are read below them all."""
    read, out = columns_of(*nodes), []
    for above in reversed(expansions):
        kept = tuple((name, node) for name, node in above.kept if name in read)
        out.append(msgspec.structs.replace(above, kept=kept))
        read = columns_of(*out[-1].nodes())
    return tuple(reversed(out)), read
