"""Which expressions compile into a loop, and how their inputs arrive there."""

from __future__ import annotations

import msgspec

from checkrow.expressions import types
from checkrow.expressions.nodes import Node


def fusible(node: Node) -> bool:
    """Tells whether a node compiles into a driver: no kernel over arrays, no cast that may fail, little of text.

    Texts are read from columns, handed to kernels and returned by them, and can be missing.
    """
    if node.kernel is not None and node.kernel.kind == "batch":
        return False
    if types.is_wide(node.dtype) or not node.dtype:
        return False
    if types.is_text(node.dtype) and node.op not in {"col", "kernel"}:
        return False
    if node.op not in {"kernel", "is_null"} and any(types.is_text(a.dtype) for a in node.args):
        return False
    if node.op == "cast" and not exact_cast(node.args[0].dtype, node.dtype):
        return False
    return all(fusible(a) for a in node.args)


def exact_cast(source: str, target: str) -> bool:
    """Tells whether a conversion cannot fail or lose within 64 bits (given the interval check of each batch)."""
    if source == "bool":
        return types.is_integer(target) or types.is_float(target)
    if types.is_integer(source):
        return types.is_float(target) or types.is_decimal(target) or target in {"int64", "int32", "date32[day]"}
    if types.is_decimal(source):
        grows = types.is_decimal(target) and types.decimal_shape(target)[1] >= types.decimal_shape(source)[1]
        return grows or target == "double"
    if types.is_float(source):
        return target == "double" or source == target
    if types.share_time(source, target):
        return types.time_factor(source, target) is not None
    return source == "date32[day]" and target == "int32"


def codes_of(node: Node) -> Node:
    """Returns the input that holds the codes of a text column instead of its texts."""
    return msgspec.structs.replace(node, op="codes")


def reads_text(node: Node) -> bool:
    """Tells whether an input arrives as texts: where each starts and stops, and their bytes."""
    return node.op != "codes" and types.is_text(node.dtype)
