"""Whether a source text is that of the code in memory: a file may have been edited after it was loaded."""

from __future__ import annotations

import ast
import copy
import dis
import types
from collections.abc import Callable

Essence = tuple[object, ...]
_SAME = {"LOAD_METHOD": "LOAD_ATTR"}
_CALLING = {"PUSH_NULL", "PRECALL", "EXTENDED_ARG"}
_PLACED = {*dis.hasjrel, *dis.hasjabs}


def is_loaded(function: Callable[..., object], tree: ast.FunctionDef) -> bool:
    """Tells whether a function's code is what its definition compiles to; where lines stand does not count."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        return True  # test runners rewrite assertions when they load a file
    code = function.__code__
    found = _compiled(tree, code.co_freevars)
    return found is not None and _essence(found) == _essence(code)


def _compiled(tree: ast.FunctionDef, captured: tuple[str, ...]) -> types.CodeType | None:
    """Returns the code of a definition, compiled inside a function that has the variables it captures."""
    inner = copy.deepcopy(tree)
    inner.decorator_list = []
    nothing = ast.Constant(None)
    held: list[ast.stmt] = [ast.Assign([ast.Name(n, ast.Store())], nothing) for n in captured]
    if tree.name not in captured:
        held.append(ast.Global([tree.name]))
    outer = ast.parse("def outer(): pass")
    definition = outer.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise AssertionError("a definition")
    definition.body = [*held, inner]
    module = compile(ast.fix_missing_locations(outer), "<source>", "exec", dont_inherit=True)
    inside = next(c for c in module.co_consts if isinstance(c, types.CodeType))
    return next((c for c in inside.co_consts if isinstance(c, types.CodeType) and c.co_name == tree.name), None)


def _essence(code: types.CodeType) -> Essence:
    """Returns what code does, without what depends on its place: offsets, and how imported names are read."""
    consts = tuple(_essence(c) if isinstance(c, types.CodeType) else (type(c), repr(c)) for c in code.co_consts)
    steps = tuple(
        (
            _SAME.get(i.opname, i.opname),
            None if i.opcode in _PLACED else i.argval if isinstance(i.argval, str) else i.arg,
        )
        for i in dis.get_instructions(code)
        if i.opname not in _CALLING
    )
    return steps, code.co_varnames, code.co_freevars, code.co_cellvars, consts
