"""The logical tree: what the user asked for, one small record per verb, each knowing its schema."""

from __future__ import annotations

import msgspec

from checkrow.errors import SchemaError
from checkrow.expressions.aggregates import AggregateCall
from checkrow.expressions.nodes import KernelCall, Node, OrderKey
from checkrow.expressions.types import Field, Schema
from checkrow.expressions.typing import field_of, resolve
from checkrow.plan.aggregates import aggregation
from checkrow.plan.expansions import expansion, kept_columns
from checkrow.plan.groups import grouping
from checkrow.plan.source import Source


class Scan(msgspec.Struct, frozen=True, tag="scan"):
    """Rows of a dataset."""

    source: Source


class Filter(msgspec.Struct, frozen=True, tag="filter"):
    """Rows for which a condition is true (null is not true)."""

    input: Relation
    condition: Node


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """All columns, with some added or replaced."""

    input: Relation
    columns: tuple[tuple[str, Node], ...]


class Select(msgspec.Struct, frozen=True, tag="select"):
    """Exactly the named expressions, in order."""

    input: Relation
    columns: tuple[tuple[str, Node], ...]


class Aggregate(msgspec.Struct, frozen=True, tag="aggregate"):
    """One row per distinct key, or one row when there are no keys."""

    input: Relation
    keys: tuple[tuple[str, Node], ...]
    calls: tuple[AggregateCall, ...]


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """What a kernel makes of each group of rows, ordered within the group."""

    input: Relation
    keys: tuple[tuple[str, Node], ...]
    order: tuple[OrderKey, ...]
    call: KernelCall


class Expand(msgspec.Struct, frozen=True, tag="expand"):
    """What a kernel makes of each row: any number of rows with the columns that are kept and its own."""

    input: Relation
    keep: tuple[str, ...]
    call: KernelCall


Relation = Scan | Filter | Assign | Select | Aggregate | Apply | Expand


def schema_of(relation: Relation) -> Schema:
    """Returns the columns of a relation.

    Raises
    ------
    SchemaError
        If an expression does not type over its input.
    """
    match relation:
        case Scan(source):
            return source.schema
        case Filter(below, condition):
            schema = schema_of(below)
            typed = resolve(condition, schema)
            if typed.dtype != "bool":
                raise SchemaError(f"filter() needs a condition, not {typed.dtype}; compare the column with a value")
            return schema
        case Assign(below, columns):
            return _assigned(schema_of(below), columns)
        case Select(below, columns):
            schema = schema_of(below)
            _refuse_twice([n for n, _ in columns])
            return tuple(_field(name, node, schema) for name, node in columns)
        case Aggregate(below, keys, calls):
            _refuse_twice([*(n for n, _ in keys), *(c.name for c in calls)])
            return aggregation(schema_of(below), keys, calls).schema()
        case Apply(below, keys, order, call):
            return grouping(schema_of(below), keys, order, call).schema()
        case Expand(below, keep, call):
            return expansion(schema_of(below), kept_columns(keep), call).schema()


def _field(name: str, node: Node, schema: Schema) -> Field:
    if node.op == "col":
        field = field_of(schema, node.name)
        return Field(name, field.dtype, field.nullable)
    typed = resolve(node, schema)
    if not typed.dtype:
        raise SchemaError(f"column {name!r} has only nulls and no type; cast it")
    return Field(name, typed.dtype, typed.nullable)


def _assigned(schema: Schema, columns: tuple[tuple[str, Node], ...]) -> Schema:
    new = {name: _field(name, node, schema) for name, node in columns}
    kept = [new.pop(f.name, f) for f in schema]
    return (*kept, *new.values())


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SchemaError(f"the column {twice[0]!r} would stand twice in the result; rename one with .alias(...)")
