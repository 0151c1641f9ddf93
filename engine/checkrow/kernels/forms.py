"""What the text of a kernel may not contain, each with the reason, told before anything is compiled."""

from __future__ import annotations

import ast

from checkrow.errors import KernelTypeError

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


def refuse_forms(tree: ast.FunctionDef, file: str, first: int) -> None:
    """Raises KernelTypeError for the first form in a function that no kernel may have.

    Parameters
    ----------
    tree : ast.FunctionDef
    file : str
    first : int
        The line of the file on which line 1 of the tree stands.
    """
    arguments = tree.args
    if arguments.vararg or arguments.kwarg:
        raise KernelTypeError(
            f"{file}:{first + tree.lineno - 1}: kernel {tree.name!r} has *args or **kwargs; name every argument"
        )
    bound = bound_names(tree)
    for statement in tree.body:
        for node in ast.walk(statement):
            reason = _reason(node, bound)
            if reason:
                line = first + getattr(node, "lineno", tree.lineno) - 1
                raise KernelTypeError(f"{file}:{line}: kernel {tree.name!r} {reason}")


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
    if isinstance(node, ast.Name) and node.id in _IMPURE and node.id not in bound:
        return (
            f"uses {node.id}(); a kernel may be called in any order, or again, so it only computes. "
            "Call it with plain values to look into it"
        )
    return ""
