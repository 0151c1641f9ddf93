"""Fingerprints: what a plan computes, and from which input.

Two plans with the same fingerprint compute the same function. Limits, executor, file lists, line numbers and comments
are not part of it.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from checkrow.plan.logical import Relation
from checkrow.plan.source import DataFile
from checkrow.plan.stages import CollectSink, ParquetSink

_LEFT_OUT = {"files", "storage_options", "snapshot", "blocks", "control"}


def plan_fingerprint(relation: Relation, sink: ParquetSink | CollectSink, *marks: str) -> str:
    """Returns the identity of what is computed: the tree, its kernels' code, its parameters, its sink.

    `marks` are what else decides the output; a tree that is planned for null instead of failures says so itself.
    """
    return _digest([_without(msgspec.to_builtins(relation)), _without(msgspec.to_builtins(sink)), *marks])


def inputs_fingerprint(files: tuple[DataFile, ...]) -> str:
    """Returns the identity of the input: paths, sizes and versions of all files."""
    return _digest([[f.path, f.size_bytes, f.version] for f in files])


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [_without(v) for v in value]
    return recordable(value)


def recordable(value: Any) -> Any:
    """Returns plain data with NaN and infinities as `{"$float": "inf"}`: JSON cannot hold them, msgspec writes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, dict):
        return {k: recordable(v) for k, v in value.items()}
    return [recordable(v) for v in value] if isinstance(value, (list, tuple)) else value


def recorded(value: Any) -> Any:
    """Returns what `recordable` was given."""
    if isinstance(value, dict):
        return float(value["$float"]) if value.keys() == {"$float"} else {k: recorded(v) for k, v in value.items()}
    return [recorded(v) for v in value] if isinstance(value, list) else value


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
