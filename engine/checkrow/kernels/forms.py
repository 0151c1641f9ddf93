"""What the text of a kernel may not contain, each with the reason, told before anything is compiled."""

from __future__ import annotations

import ast

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock

_IMPURE = frozenset(
    {"print", "input", "open", "exec", "eval", "compile", "breakpoint", "globals", "locals", "vars", "__import__"}
)
_APART = "write it beside the kernel, as a function of its own"
_REFUSED: tuple[tuple[tuple[type[ast.AST], ...], str], ...] = (
    ((ast.FunctionDef, ast.AsyncFunctionDef), f"defines a function inside; {_APART}"),
    ((ast.Lambda,), f"has a lambda inside; {_APART}"),
    ((ast.ClassDef,), "defines a class; a kernel works on numbers"),
    ((ast.Import, ast.ImportFrom), "imports inside; import at the top of the file"),
    ((ast.Global, ast.Nonlocal), "assigns a variable outside of it; a kernel may be called in any order, or again"),
    ((ast.Yield, ast.YieldFrom), "is a generator; return the values, or use a kernel that writes rows to `out`"),
    ((ast.Await, ast.AsyncFor, ast.AsyncWith), "is a coroutine; a kernel waits for nothing"),
    ((ast.With,), "uses `with`; a kernel holds nothing that must be closed"),
)


def refuse_forms(block: SourceBlock) -> None:
    """Raises KernelTypeError for the first form in a function that no kernel may have."""
    tree = _definition_of(block)
    bound = bound_names(tree)
    for node in (n for statement in tree.body for n in ast.walk(statement)):
        reason = _reason(node, bound)
        if reason:
            line = block.line + getattr(node, "lineno", 1) - 1
            raise KernelTypeError(f"{block.file}:{line}: kernel {block.name!r} {reason}")


def _definition_of(block: SourceBlock) -> ast.FunctionDef:
    tree = ast.parse(block.text).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise AssertionError("a block defines one function")
    return tree


def bound_names(tree: ast.AST) -> frozenset[str]:
    """Returns the names a function binds itself: arguments, variables, what `except` and `match` name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
    return frozenset(names)


def _reason(node: ast.AST, bound: frozenset[str]) -> str:
    for kinds, reason in _REFUSED:
        if isinstance(node, kinds):
            return reason
    if isinstance(node, ast.ExceptHandler) and node.type is not None and ast.unparse(node.type) != "Exception":
        return f"catches {ast.unparse(node.type)}; compiled code can tell no errors apart, catch Exception"
    if isinstance(node, ast.Name) and node.id in _IMPURE and node.id not in bound:
        return (
            f"uses {node.id}(); a kernel may be called in any order, or again, so it only computes. "
            "Call it with plain values to look into it"
        )
    return ""


def refuse_no_value(block: SourceBlock) -> None:
    """Raises KernelTypeError if a function may end without a value, which interpreted would be None."""
    tree = _definition_of(block)
    returns = [n for n in ast.walk(tree) if isinstance(n, ast.Return)]
    bare = next((n.lineno for n in returns if n.value is None or _is_none(n.value)), None)
    if bare is None and not _goes_on(tree.body):
        return
    line = block.line + (bare or 1) - 1
    where = f"{block.file}:{line}: kernel {block.name!r}"
    raise KernelTypeError(
        f"{where} returns no value{'' if not returns else ' on one of its ways'}; return one wherever it ends"
    )


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _goes_on(statements: list[ast.stmt]) -> bool:
    """Tells whether what follows some statements can be reached, as far as their form shows."""
    match statements[-1]:
        case ast.Return() | ast.Raise():
            return False
        case ast.If(body=body, orelse=orelse):
            return not orelse or _goes_on(body) or _goes_on(orelse)
        case ast.While(test=ast.Constant(value=value), body=body) if value:
            return any(isinstance(n, ast.Break) for s in body for n in ast.walk(s))
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            ends = bool(final) and not _goes_on(final)
            return not ends and (_goes_on(orelse or body) or any(_goes_on(h.body) for h in handlers))
        case ast.Match(cases=cases):
            last = cases[-1].pattern
            whole = isinstance(last, ast.MatchAs) and last.pattern is None and cases[-1].guard is None
            return not whole or any(_goes_on(c.body) for c in cases)
    return True
