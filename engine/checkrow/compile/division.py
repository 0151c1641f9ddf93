"""Divisions of the user's code made to raise on an integer zero: `a // b` becomes `floor_divide(a, b)`, and so on.

The text is edited in place, so that every line stays where it was and errors map back to the user's file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

CHECKED = {
    "floor_divide": "floor_divide_checkrow",
    "remainder": "remainder_checkrow",
    "floor_and_remainder": "divmod_checkrow",
}
"""Functions of `checkrow_kernels.division` and what kernels call them by: names no user's code has."""
_NAMES: dict[type[ast.operator], str] = {ast.FloorDiv: CHECKED["floor_divide"], ast.Mod: CHECKED["remainder"]}
_TOKENS: dict[type[ast.operator], bytes] = {ast.FloorDiv: b"//", ast.Mod: b"%"}


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replaces `length` bytes at `start`."""

    start: int
    length: int
    text: bytes


def with_checked_divisions(source: str) -> str:
    """Returns a source text whose integer divisions raise ZeroDivisionError; it has the same lines."""
    data = source.encode()
    edits = sorted(_edits(ast.parse(source), data), key=lambda e: e.start)
    out, at = bytearray(), 0
    for edit in edits:
        out += data[at : edit.start] + edit.text
        at = edit.start + edit.length
    return (bytes(out) + data[at:]).decode()


class _Places:
    """Byte positions of nodes: Python counts columns in bytes of UTF-8."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._starts = [0]
        for line in data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def operator(self, left: ast.expr, token: bytes) -> int:
        """Returns where an operator stands behind its left operand; only brackets and comments can be between."""
        at = self.end(left)
        while not self._data.startswith(token, at):
            at = self._data.index(b"\n", at) if self._data.startswith(b"#", at) else at + 1
        return at


def _edits(tree: ast.AST, data: bytes) -> Iterator[_Edit]:
    places = _Places(data)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in _NAMES:
            token = _TOKENS[type(node.op)]
            yield _Edit(places.start(node), 0, f"{_NAMES[type(node.op)]}(".encode())
            yield _Edit(places.operator(node.left, token), len(token), b",")
            yield _Edit(places.end(node), 0, b")")
        elif isinstance(node, ast.AugAssign) and type(node.op) in _NAMES:
            token = _TOKENS[type(node.op)] + b"="
            target = with_checked_divisions(ast.unparse(node.target))
            call = f"= {_NAMES[type(node.op)]}({target}, (".encode()
            yield _Edit(places.operator(node.target, token), len(token), call)
            yield _Edit(places.end(node), 0, b"))")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "divmod":
            yield _Edit(places.start(node.func), len(b"divmod"), CHECKED["floor_and_remainder"].encode())
