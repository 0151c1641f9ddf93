"""Control files: canonical JSON in an envelope that shows a torn or edited file for what it is.

An envelope is `{"body": ..., "len": N, "sha256": "..."}`: `len` and `sha256` are of the body's canonical bytes
(keys sorted, no white space, UTF-8). Byte for byte in docs/format.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, TypeVar

import msgspec

from checkrow.errors import CorruptControlFile

MAJOR = 1
"""Format of everything in a control root; a reader refuses a larger one."""
LIMIT_BYTES = 16 << 20

Record = TypeVar("Record", bound=msgspec.Struct)


def canonical(value: Any) -> bytes:
    """Returns the one byte form of a JSON value; raises ValueError for NaN and infinity."""
    _refuse_unrecordable(msgspec.to_builtins(value))
    return msgspec.json.encode(value, order="sorted")


def _refuse_unrecordable(value: Any) -> None:
    """Raises ValueError for what another reader would read back as another value, or not at all."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be recorded")
    if isinstance(value, dict):
        for v in value.values():
            _refuse_unrecordable(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            _refuse_unrecordable(v)


def encode(record: msgspec.Struct) -> bytes:
    """Returns a record as the bytes of a control file.

    Raises
    ------
    CorruptControlFile
        If it is larger than 16 MiB: nothing would read it back.
    """
    body = canonical(record)
    if len(body) > LIMIT_BYTES:
        raise CorruptControlFile(
            f"a {type(record).__name__} of {len(body)} bytes exceeds {LIMIT_BYTES}; use fewer files"
        )
    digest = hashlib.sha256(body).hexdigest()
    return b'{"body":' + body + b',"len":' + str(len(body)).encode() + b',"sha256":"' + digest.encode() + b'"}'


def decode(data: bytes, kind: type[Record], name: str) -> Record:
    """Returns the record in a control file.

    Raises
    ------
    CorruptControlFile
        If the file is torn, edited, foreign or written by a newer version.
    """
    if len(data) > LIMIT_BYTES + 4096:
        raise CorruptControlFile(f"{name} has {len(data)} bytes; control files have at most {LIMIT_BYTES}")
    try:
        envelope = json.loads(data, object_pairs_hook=_unique)
        body = canonical(envelope["body"])
        whole = set(envelope) == {"body", "len", "sha256"}
        digest = hashlib.sha256(body).hexdigest()
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise CorruptControlFile(f"{name} is torn or not a control file ({error})") from None
    if not whole or envelope["len"] != len(body) or envelope["sha256"] != digest or data != _again(body, digest):
        raise CorruptControlFile(f"{name} does not have the content it was written with (its digest differs)")
    major = envelope["body"].get("format") if isinstance(envelope["body"], dict) else None
    if isinstance(major, int) and major > MAJOR:
        raise CorruptControlFile(f"{name} has format {major}; this version reads up to {MAJOR}: upgrade checkrow")
    try:
        return msgspec.convert(envelope["body"], kind)
    except msgspec.ValidationError as error:
        raise CorruptControlFile(f"{name} is not a {kind.__name__}: {error}") from None


def body_digest(data: bytes) -> str:
    """Returns the sha256 that a control file carries: of its body's bytes as written, unknown fields and all."""
    found: str = json.loads(data)["sha256"]
    return found


def _again(body: bytes, digest: str) -> bytes:
    return b'{"body":' + body + b',"len":' + str(len(body)).encode() + b',"sha256":"' + digest.encode() + b'"}'


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice")
    return out
