"""Edits of a user's source text in place, so that every line stays where it was and errors map back to the file."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import msgspec


class Edit(msgspec.Struct, frozen=True):
    """Replaces `length` bytes at `start`."""

    start: int
    length: int
    text: bytes


class Places:
    """Byte positions of nodes: Python counts columns in bytes of UTF-8."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._starts = [0]
        for line in data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        """Returns where a node begins."""
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        """Returns the position behind a node."""
        return self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def operator(self, left: ast.expr, token: bytes) -> int:
        """Returns where an operator stands behind its left operand; only brackets and comments can be between."""
        at = self.end(left)
        while not self._data.startswith(token, at):
            at = self._data.index(b"\n", at) if self._data.startswith(b"#", at) else at + 1
        return at


def edited(data: bytes, edits: Iterable[Edit]) -> str:
    """Returns a source text with edits that do not overlap."""
    out, at = bytearray(), 0
    for edit in sorted(edits, key=lambda e: e.start):
        out += data[at : edit.start] + edit.text
        at = edit.start + edit.length
    return (bytes(out) + data[at:]).decode()
