"""Capturing a function's source with everything it reaches: helpers, constants, modules.

The source text of the decorated function is taken at decoration; what it reaches is looked up when the kernel is first
planned, so helpers may stand below it. Invariant: two captures with the same fingerprint compile to the same code.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock

_MODULES = {"numpy", "math", "checkrow", "checkrow_kernels.calendar"}
"""What kernels may name; of checkrow itself, `cr.calendar` compiles."""
Number = int | float | bool


@dataclass(frozen=True, slots=True)
class Captured:
    """A function's own source block and the names it takes from outside."""

    block: SourceBlock
    free_names: tuple[str, ...]
    tree: ast.FunctionDef


@dataclass(frozen=True, slots=True)
class Reach:
    """All a kernel needs: helper blocks first, the kernel's block last."""

    blocks: tuple[SourceBlock, ...]
    constants: tuple[tuple[str, Number], ...]
    texts: tuple[tuple[str, bytes], ...]
    modules: tuple[tuple[str, str], ...]
    fingerprint: str


def capture(function: Callable[..., object]) -> Captured:
    """Takes a function's source text without decorators.

    Raises
    ------
    KernelTypeError
        If the function is a lambda, has no source text, or uses a form that cannot be compiled alone.
    """
    name = getattr(function, "__name__", repr(function))
    if name == "<lambda>":
        raise KernelTypeError("a lambda cannot be a kernel; write a def so that its source can be found again")
    file = inspect.getsourcefile(function) or "<unknown>"
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise KernelTypeError(
            f"the source of kernel {name!r} cannot be read ({error}); define it in a file or cell"
        ) from None
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise KernelTypeError(f"{file}:{first}: kernel {name!r} must be a plain def (not async, not a class)")
    text = _plain_definition(tree, textwrap.dedent("".join(lines)).splitlines())
    block = SourceBlock(name, text, file, first + tree.lineno - 1)
    return Captured(block, tuple(_free_names(tree)), tree)


def _plain_definition(tree: ast.FunctionDef, lines: list[str]) -> str:
    """Returns the definition with a one-line header: no decorators, annotations or keyword-only marker.

    Numba does not compile keyword-only arguments; body lines keep their distance from the header, so that line numbers
    map back to the user's file by one offset.
    """
    arguments = tree.args
    if arguments.vararg or arguments.kwarg:
        raise KernelTypeError(f"kernel {tree.name!r} has *args or **kwargs; name every argument")
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    body_at = tree.body[0].lineno
    header = f"def {tree.name}({', '.join(names)}):"
    if body_at == tree.lineno:
        return header + "\n" + "\n".join("    " + ast.unparse(s) for s in tree.body)
    gap = [""] * (body_at - tree.lineno - 1)
    return "\n".join([header, *gap, *lines[body_at - 1 : tree.end_lineno]])


def _free_names(tree: ast.FunctionDef) -> Iterator[str]:
    bound = {a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    seen = set()
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id not in bound and node.id not in seen:
                seen.add(node.id)
                yield node.id


def reach(*functions: tuple[Captured, Callable[..., object]]) -> Reach:
    """Follows what captured functions take from outside; their blocks stand last, in the order given.

    Raises
    ------
    KernelTypeError
        If it reaches something that is neither a number, a text, a function with source, numpy nor math.
    """
    state = _Walk()
    for captured, function in functions:
        state.visit(captured, function)
    digest = hashlib.sha256()
    for block in state.blocks:
        digest.update(ast.dump(ast.parse(block.text)).encode())
    outside = (state.constants, state.texts, state.modules)
    digest.update(repr([sorted(found.items()) for found in outside]).encode())
    return Reach(
        blocks=tuple(state.blocks), constants=tuple(state.constants.items()), texts=tuple(state.texts.items()),
        modules=tuple(state.modules.items()), fingerprint=digest.hexdigest()[:24],
    )  # fmt: skip


class _Walk:
    """Collects blocks depth first, so that every helper stands before its caller."""

    def __init__(self) -> None:
        self.blocks: list[SourceBlock] = []
        self.constants: dict[str, Number] = {}
        self.texts: dict[str, bytes] = {}
        self.modules: dict[str, str] = {}
        self._functions: dict[str, Callable[..., object]] = {}

    def visit(self, captured: Captured, function: Callable[..., object]) -> None:
        block = captured.block
        if self._functions.setdefault(block.name, function) is not function:
            raise KernelTypeError(
                f"{block.file}:{block.line}: two different functions named {block.name!r} are reached; rename one"
            )
        outside = {**getattr(function, "__globals__", {}), **_closure(function)}
        for name in captured.free_names:
            if name in outside:
                self._take(block, name, outside[name])
            elif not hasattr(builtins, name):
                raise KernelTypeError(
                    f"{block.file}:{block.line}: kernel {block.name!r} uses the undefined name {name!r}"
                )
        self.blocks.append(block)

    def _take(self, block: SourceBlock, name: str, value: object) -> None:
        where = f"{block.file}:{block.line}: kernel {block.name!r} reaches {name!r}"
        if isinstance(value, (bool, int, float, np.number, np.bool_)):
            plain = value.item() if isinstance(value, (np.number, np.bool_)) else value
            if self.constants.setdefault(name, plain) != plain or name in self.texts:
                raise KernelTypeError(f"{where}, which has two values in different files; rename one")
        elif isinstance(value, (str, bytes)):
            plain_text = value.encode() if isinstance(value, str) else value
            if self.texts.setdefault(name, plain_text) != plain_text or name in self.constants:
                raise KernelTypeError(f"{where}, which has two values in different files; rename one")
        elif isinstance(value, types.ModuleType):
            if value.__name__ not in _MODULES:
                raise KernelTypeError(
                    f"{where}: the module {value.__name__!r} cannot be compiled; numpy, math and cr.calendar can"
                )
            self.modules[name] = value.__name__
        else:
            self._take_function(name, value, where)

    def _take_function(self, name: str, value: object, where: str) -> None:
        function = getattr(value, "py_func", getattr(value, "function", value))
        if not isinstance(function, types.FunctionType):
            raise KernelTypeError(
                f"{where}, a {type(value).__name__}: only numbers, texts and functions can be captured; "
                "pass it as a parameter"
            )
        if self._functions.get(name) is function:
            return
        helper = capture(function)
        if helper.block.name != name:
            raise KernelTypeError(f"{where}, another name of {helper.block.name!r}; use one name")
        self.visit(helper, function)


def _closure(function: Callable[..., object]) -> dict[str, object]:
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if isinstance(function, types.FunctionType) else ()
    return {n: c.cell_contents for n, c in zip(names, cells, strict=True)}
