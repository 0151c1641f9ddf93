"""Divisions of the user's code made to raise on an integer zero: `a // b` becomes `floor_divide(a, b)`, and so on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkrow.compile.edits import Edit, Places, edited

CHECKED = {
    "floor_divide": "floor_divide_checkrow",
    "remainder": "remainder_checkrow",
    "floor_and_remainder": "divmod_checkrow",
}
"""Functions of `checkrow_kernels.division` and what kernels call them by: names no user's code has."""
_NAMES: dict[type[ast.operator], str] = {ast.FloorDiv: CHECKED["floor_divide"], ast.Mod: CHECKED["remainder"]}
_TOKENS: dict[type[ast.operator], bytes] = {ast.FloorDiv: b"//", ast.Mod: b"%"}


def with_checked_divisions(source: str) -> str:
    """Returns a source text whose integer divisions raise ZeroDivisionError; it has the same lines."""
    data = source.encode()
    return edited(data, _edits(ast.parse(source), data))


def _edits(tree: ast.AST, data: bytes) -> Iterator[Edit]:
    places = Places(data)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in _NAMES:
            token = _TOKENS[type(node.op)]
            yield Edit(places.start(node), 0, f"{_NAMES[type(node.op)]}(".encode())
            yield Edit(places.operator(node.left, token), len(token), b",")
            yield Edit(places.end(node), 0, b")")
        elif isinstance(node, ast.AugAssign) and type(node.op) in _NAMES:
            token = _TOKENS[type(node.op)] + b"="
            target = with_checked_divisions(ast.unparse(node.target))
            call = f"= {_NAMES[type(node.op)]}({target}, (".encode()
            yield Edit(places.operator(node.target, token), len(token), call)
            yield Edit(places.end(node), 0, b"))")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "divmod":
            yield Edit(places.start(node.func), len(b"divmod"), CHECKED["floor_and_remainder"].encode())
