"""Skipping row groups and files whose statistics prove that a condition cannot be true there.

Only ever errs towards reading: an unknown range, operation or type keeps the row group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from checkrow.expressions import types
from checkrow.expressions.bounds import Interval, interval
from checkrow.expressions.nodes import Node
from checkrow.plan.source import ColumnRange, DataFile

_MIRROR = {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"}


def prune(files: tuple[DataFile, ...], predicates: tuple[Node, ...]) -> tuple[tuple[DataFile, ...], int]:
    """Returns the files with only the row groups that may match (the others keep no rows), and the rows skipped.

    Row groups keep their position: a skipped one has `rows == 0`.
    """
    skipped = 0
    out = []
    for file in files:
        groups = []
        for group in file.row_groups:
            if all(may_be_true(p, group.ranges) for p in predicates):
                groups.append(group)
            else:
                skipped += group.rows
                groups.append(msgspec.structs.replace(group, rows=0, size_bytes=0))
        out.append(msgspec.structs.replace(file, row_groups=tuple(groups)))
    return tuple(out), skipped


def may_be_true(node: Node, ranges: Mapping[str, ColumnRange]) -> bool:
    """Tells whether a typed condition can be true for any row within the ranges."""
    if node.op == "and":
        return all(may_be_true(a, ranges) for a in node.args)
    if node.op == "or":
        return any(may_be_true(a, ranges) for a in node.args)
    if node.op in {"less", "less_equal", "greater", "greater_equal", "equal"}:
        return _compare(node, ranges)
    return True


def _compare(node: Node, ranges: Mapping[str, ColumnRange]) -> bool:
    left, right = (_bounds(a, ranges) for a in node.args)
    if left is None or right is None:
        return True
    op, a, b = node.op, left, right
    if op in {"greater", "greater_equal"}:
        op, a, b = _MIRROR[op], right, left
    if op == "less":
        return bool(a[0] < b[1])
    if op == "less_equal":
        return bool(a[0] <= b[1])
    return bool(a[0] <= b[1] and b[0] <= a[1])


def _bounds(node: Node, ranges: Mapping[str, ColumnRange]) -> tuple[Any, Any] | None:
    if types.is_text(node.dtype) or types.is_float(node.dtype):
        return _direct(node, ranges)
    known: dict[str, Interval] = {
        n: (r.low, r.high) for n, r in ranges.items() if isinstance(r.low, int) and isinstance(r.high, int)
    }
    return interval(node, known)


def _direct(node: Node, ranges: Mapping[str, ColumnRange]) -> tuple[Any, Any] | None:
    """Bounds of a text or float column or literal; anything computed is unknown."""
    if node.op == "lit" and isinstance(node.value, (str, float)):
        return (node.value, node.value)
    found = ranges.get(node.name) if node.op == "col" else None
    if found is None or found.low is None or found.high is None:
        return None
    same = isinstance(found.low, str) == types.is_text(node.dtype)
    return (found.low, found.high) if same else None
