"""The names a function takes from outside, dotted ones as a whole, and replacing them in its text."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator

import msgspec

from checkrow.kernels.forms import bound_names


class Reference(msgspec.Struct, frozen=True):
    """A free name with the attributes read from it, and after each of them where the text ends: `(line, column)`."""

    path: tuple[str, ...]
    start: tuple[int, int]
    ends: tuple[tuple[int, int], ...]


def references(text: str) -> tuple[Reference, ...]:
    """Returns the references in the text of one function, in order."""
    tree = ast.parse(text)
    bound = bound_names(tree)
    found = list(_references(tree, bound))
    return tuple(sorted(found, key=lambda r: r.start))


def _references(node: ast.AST, bound: frozenset[str]) -> Iterator[Reference]:
    attributes, base = [], node
    while isinstance(base, ast.Attribute):
        attributes.append(base)
        base = base.value
    if isinstance(base, ast.Name):
        if base.id not in bound:
            chain = [base, *reversed(attributes)]
            yield Reference(
                (base.id, *(a.attr for a in reversed(attributes))),
                (base.lineno, base.col_offset),
                tuple((n.end_lineno or 0, n.end_col_offset or 0) for n in chain),
            )
        return
    for child in ast.iter_child_nodes(base):
        yield from _references(child, bound)


def surroundings(function: Callable[..., object]) -> dict[str, object]:
    """Returns what a function's free names mean: its module's names and what its closure holds by now."""
    names = function.__code__.co_freevars if isinstance(function, types.FunctionType) else ()
    held: dict[str, object] = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        try:
            held[name] = cell.cell_contents
        except ValueError:  # nothing was assigned to it yet
            continue
    return {**getattr(function, "__globals__", {}), **held}


class Renaming(msgspec.Struct, frozen=True):
    """A piece of one line of a text and what stands there instead."""

    line: int
    start: int
    end: int
    name: str


def renamed(text: str, renamings: list[Renaming]) -> str:
    """Returns a text with pieces replaced; its lines stay where they are."""
    lines = [line.encode() for line in text.split("\n")]
    for r in sorted(renamings, key=lambda r: (r.line, r.start), reverse=True):
        line = lines[r.line - 1]
        lines[r.line - 1] = line[: r.start] + r.name.encode() + line[r.end :]
    return b"\n".join(lines).decode()
