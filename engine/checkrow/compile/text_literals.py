"""Literal texts of the user's code made constants of the machine code: `"a"` becomes a name that stands for a view.

Numba's own strings are objects of another kind: a kernel that returns a literal here and a slice there, or hands one to
a helper, would not type. Left as they are: docstrings, what is raised, names of fields, and arguments of calls that do
not take texts (`np.zeros(3, "f8")`).
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from checkrow.compile.edits import Edit, Places, edited
from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock
from checkrow_kernels.text_methods import TEXT_METHODS

_STEM = "text_checkrow"
"""What names begin with: no user's code has it."""


class TextLiterals:
    """The literal texts of a kernel's blocks, each once."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    @property
    def constants(self) -> tuple[tuple[str, bytes], ...]:
        """Names and bytes of what was found."""
        return tuple((name, data) for data, name in self._names.items())

    def replaced(self, block: SourceBlock) -> str:
        """Returns a block's text with names in place of its literal texts; it has the same lines.

        Raises
        ------
        KernelTypeError
            If a literal has no UTF-8.
        """
        data = block.text.encode()
        places = Places(data)
        return edited(data, (self._edit(places, node, block) for node in _literals(ast.parse(block.text))))

    def _edit(self, places: Places, node: ast.Constant, block: SourceBlock) -> Edit:
        try:
            data = node.value if isinstance(node.value, bytes) else str(node.value).encode()
        except UnicodeEncodeError:
            line = block.line + node.lineno - 1
            raise KernelTypeError(
                f"{block.file}:{line}: {node.value!r} has no UTF-8 (a lone surrogate); write bytes such as b'...'"
            ) from None
        name = self._names.setdefault(data, f"{_STEM}_{len(self._names)}")
        start = places.start(node)
        # A literal over several lines leaves as many behind; brackets keep them one expression.
        lines = (node.end_lineno or node.lineno) - node.lineno
        text = f"({name}{chr(10) * lines})" if lines else name
        return Edit(start, places.end(node) - start, text.encode())


def _literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yields the constants that stand for texts."""
    if isinstance(tree, ast.Constant):
        if isinstance(tree.value, (str, bytes)):
            yield tree
        return
    for child in _children(tree):
        yield from _literals(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the parts of a node in which literals stand for texts."""
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.pattern)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    left_alone: list[ast.AST] = []
    if isinstance(node, ast.Assert) and node.msg is not None:
        left_alone = [node.msg]
    elif isinstance(node, ast.AnnAssign):
        left_alone = [node.annotation]
    elif isinstance(node, ast.Subscript):
        left_alone = [node.slice] if isinstance(node.slice, ast.Constant) else []
    elif isinstance(node, ast.Call) and not _takes_texts(node.func):
        values = [*node.args, *(k.value for k in node.keywords)]
        left_alone = [v for v in values if isinstance(v, ast.Constant)]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword) and child.value in left_alone:
            continue
        if child not in left_alone:
            yield child


def _takes_texts(function: ast.expr) -> bool:
    """Tells whether literal arguments of a call are texts: those of texts' methods and of the user's own functions."""
    if isinstance(function, ast.Attribute):
        return function.attr in TEXT_METHODS
    return not isinstance(function, ast.Name) or function.id == "len" or not hasattr(builtins, function.id)
