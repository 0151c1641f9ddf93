"""Capturing a function's source with everything it reaches: helpers, constants, modules.

The source text of the decorated function, and of the helpers there are by then, is taken at decoration; what it reaches
is looked up when a plan is made, so helpers may stand below it. Invariants: the text captured is that of the code that
was loaded, or it is an error; two captures with the same fingerprint compile to the same code; a name means one thing
in all that a kernel reaches, because all of it is compiled as one module.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from checkrow.errors import KernelTypeError
from checkrow.expressions.nodes import SourceBlock
from checkrow.kernels.forms import bound_names, refuse_forms
from checkrow.kernels.loaded import is_loaded
from checkrow.kernels.references import Reference, Renaming, references, renamed, surroundings

_MODULES = {"numpy", "math", "checkrow", "checkrow_kernels.calendar"}
"""What kernels may name; of checkrow itself, `cr.calendar` compiles."""
Number = int | float | bool


class Captured(msgspec.Struct, frozen=True):
    """A function's own source block, and the helpers that were captured with it."""

    block: SourceBlock
    early: tuple[tuple[Callable[..., object], SourceBlock], ...]

    @property
    def where(self) -> str:
        """What messages about the function begin with."""
        return f"{self.block.file}:{self.block.line}: kernel {self.block.name!r}"


class Reach(msgspec.Struct, frozen=True):
    """All a kernel needs: helper blocks first, the kernel's block last."""

    blocks: tuple[SourceBlock, ...]
    constants: tuple[tuple[str, Number], ...]
    texts: tuple[tuple[str, bytes], ...]
    modules: tuple[tuple[str, str], ...]
    fingerprint: str


def capture(function: Callable[..., object]) -> Captured:
    """Takes a function's source text without decorators, and that of the helpers it reaches by now.

    Raises
    ------
    KernelTypeError
        If the function is a lambda, has no source text, uses a form that cannot be compiled alone, or its source is
        not what was loaded.
    """
    block = _block(function, {})
    early: dict[Callable[..., object], SourceBlock] = {}
    _capture_helpers(function, block, early)
    return Captured(block, tuple(early.items()))


def _block(function: Callable[..., object], defaults: dict[str, object]) -> SourceBlock:
    """Returns a function's source; `defaults` are values of arguments that callers in kernels may leave out."""
    name = getattr(function, "__name__", repr(function))
    if name == "<lambda>":
        raise KernelTypeError("a lambda cannot be a kernel; write a def so that its source can be found again")
    if not isinstance(function, types.FunctionType):
        raise KernelTypeError(f"kernel {name!r} must be a plain def, not a {type(function).__name__}")
    file = inspect.getsourcefile(function) or "<unknown>"
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise KernelTypeError(
            f"the source of kernel {name!r} cannot be read ({error}); define it in a file or cell"
        ) from None
    tree = _definition(lines)
    if not isinstance(tree, ast.FunctionDef):
        raise KernelTypeError(f"{file}:{first}: kernel {name!r} must be a plain def (not async, not a class)")
    line = first + tree.lineno - 1
    where = f"{file}:{line}"
    if tree.args.vararg or tree.args.kwarg:
        raise KernelTypeError(f"{where}: kernel {name!r} has *args or **kwargs; name every argument")
    if not is_loaded(function, tree):
        raise KernelTypeError(
            f"{where}: the source of {name!r} is not what was loaded: the file was edited since, or a decorator "
            "replaced the function. Load it again, or leave out the decorator"
        )
    text = _plain_definition(tree, lines, _numbers(defaults, f"{where}: kernel {name!r}"))
    return SourceBlock(name, text, file, line)


def _capture_helpers(
    function: Callable[..., object], block: SourceBlock, found: dict[Callable[..., object], SourceBlock]
) -> None:
    """Captures the helpers that can be looked up already, before an edit of their file can come between."""
    outside = surroundings(function)
    for reference in references(block.text):
        helper, bound = _plain_function(_resolved(outside, reference)[0])
        if not isinstance(helper, types.FunctionType) or helper in found or bound:
            continue
        try:
            found[helper] = _block(helper, _defaults(helper, ()))
        except KernelTypeError:
            continue  # it is tried again, and told, when a plan is made
        _capture_helpers(helper, found[helper], found)


def _definition(lines: list[str]) -> ast.stmt | None:
    """Returns the first statement of some lines of a file, its lines counted from 1, whatever their indentation."""
    try:
        if not lines[0][:1].isspace():
            return ast.parse("".join(lines)).body[0]
        block = ast.parse("if True:\n" + "".join(lines)).body[0]
    except SyntaxError:  # a piece of an expression
        return None
    return ast.increment_lineno(block.body[0], -1) if isinstance(block, ast.If) else None


def _plain_definition(tree: ast.FunctionDef, lines: list[str], defaults: dict[str, Number]) -> str:
    """Returns the definition with a one-line header: no decorators, annotations or keyword-only marker.

    Numba does not compile keyword-only arguments; body lines keep their distance from the header, so that line numbers
    map back to the user's file by one offset.
    """
    arguments = tree.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if defaults:  # those without one stand first, as keyword-only ones may
        keywords = {a.arg for a in arguments.kwonlyargs}
        names.sort(key=lambda n: (n in keywords, n in keywords and n in defaults))
    header = f"def {tree.name}({', '.join(f'{n}={literal(defaults[n])}' if n in defaults else n for n in names)}):"
    body_at = tree.body[0].lineno
    if body_at == tree.lineno:
        return header + "\n" + "\n".join("    " + ast.unparse(s) for s in tree.body)
    gap = [""] * (body_at - tree.lineno - 1)
    return "\n".join([header, *gap, *(line.rstrip("\r\n") for line in lines[body_at - 1 : tree.end_lineno])])


def literal(value: Number) -> str:
    """Returns a number as an expression; Python writes infinities and NaN as names it does not know."""
    return f"float({str(value)!r})" if isinstance(value, float) else repr(value)


def _numbers(values: dict[str, object], where: str) -> dict[str, Number]:
    """Returns default values as plain numbers; raises KernelTypeError for one that is none."""
    found = {name: plain_number(value) for name, value in values.items()}
    for name, number in found.items():
        if number is None:
            raise KernelTypeError(f"{where}: argument {name!r} must default to a number, not {values[name]!r}")
    return {name: number for name, number in found.items() if number is not None}


def plain_number(value: object) -> Number | None:
    """Returns a number as Python's own bool, int or float; None for anything else."""
    if isinstance(value, np.generic):
        return plain_number(value.item()) if value.dtype.kind in "biuf" else None
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return None


def text_bytes(text: str | bytes, what: str) -> bytes:
    """Returns the bytes of a text; raises KernelTypeError, which begins with `what`, where a str has no UTF-8."""
    try:
        return text.encode() if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError:
        raise KernelTypeError(f"{what} {text!r}, which has no UTF-8 (a lone surrogate); make it bytes") from None


def _defaults(function: Callable[..., object], bound: tuple[tuple[str, Number], ...]) -> dict[str, object]:
    """Returns the values of a helper's arguments that callers may leave out."""
    found = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    return {**{n: v for n, v in found.items() if v is not inspect.Parameter.empty}, **dict(bound)}


def _plain_function(value: object) -> tuple[object, tuple[tuple[str, Number], ...]]:
    """Returns the function within what a decorator made, Numba's or ours, and the parameters bound to it."""
    return getattr(value, "py_func", getattr(value, "function", value)), getattr(value, "parameters", ())


def _resolved(outside: dict[str, object], reference: Reference) -> tuple[object, int]:
    """Returns what a reference means, and how many of its names are used up to get there: modules are looked into."""
    value, used = outside.get(reference.path[0]), 1
    while isinstance(value, types.ModuleType) and value.__name__ not in _MODULES and used < len(reference.path):
        if not hasattr(value, reference.path[used]):
            break
        value = getattr(value, reference.path[used])
        used += 1
    return value, used


def reach(*functions: tuple[Captured, Callable[..., object]]) -> Reach:
    """Follows what captured functions take from outside; their blocks stand last, in the order given.

    Raises
    ------
    KernelTypeError
        If it reaches something that is neither a number, a text, a function with source, numpy nor math.
    """
    state = _Walk()
    for captured, function in functions:
        state.known.update(captured.early)
        state.means(captured.block.name, (function, ()), _place(captured.block))
    for captured, function in functions:
        state.visit(captured.block, function)
    digest = hashlib.sha256()
    for block in state.blocks:
        digest.update(ast.dump(_without_docstring(ast.parse(block.text))).encode())
    outside = (state.constants, state.texts, state.modules)
    digest.update(repr([sorted(found.items()) for found in outside]).encode())
    return Reach(
        blocks=tuple(state.blocks), constants=tuple(state.constants.items()), texts=tuple(state.texts.items()),
        modules=tuple(state.modules.items()), fingerprint=digest.hexdigest()[:24],
    )  # fmt: skip


def _without_docstring(tree: ast.Module) -> ast.Module:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


class _Walk:
    """Collects blocks depth first, so that every helper stands before its caller."""

    def __init__(self) -> None:
        self.blocks: list[SourceBlock] = []
        self.constants: dict[str, Number] = {}
        self.texts: dict[str, bytes] = {}
        self.modules: dict[str, str] = {}
        self.known: dict[Callable[..., object], SourceBlock] = {}
        self._meanings: dict[str, tuple[object, str]] = {}
        self._open: list[Callable[..., object]] = []

    def visit(self, block: SourceBlock, function: Callable[..., object]) -> None:
        """Takes in what a function reaches, then its block."""
        refuse_forms(block)
        self._open.append(function)
        outside = surroundings(function)
        changes = [r for reference in references(block.text) for r in self._follow(block, outside, reference)]
        self._open.pop()
        self.blocks.append(SourceBlock(block.name, renamed(block.text, changes), block.file, block.line))

    def means(self, name: str, meaning: object, where: str) -> bool:
        """Notes what a name means and tells whether that is news; raises where it means something else already."""
        news = name not in self._meanings
        known, first = self._meanings.setdefault(name, (meaning, where))
        if known != meaning:
            raise KernelTypeError(
                f"{where}: {name!r} means something else here than where it was reached first ({first}); rename one"
            )
        return news

    def _follow(self, block: SourceBlock, outside: dict[str, object], reference: Reference) -> Iterator[Renaming]:
        """Takes in what a reference means; yields what is to be written instead, if its name is another."""
        name, line = reference.path[0], block.line + reference.start[0] - 1
        where = f"{block.file}:{line}: kernel {block.name!r}"
        if name not in outside:
            if not hasattr(builtins, name):
                raise KernelTypeError(f"{where} uses the undefined name {name!r}")
            self.means(name, ("builtin", name), where)
            return
        value, used = _resolved(outside, reference)
        written = ".".join(reference.path[:used])
        where = f"{where} reaches {written!r}"
        _refuse_missing(where, value, reference.path[used:])
        taken = self._take(where, reference.path[used - 1], value)
        if taken == written:
            return
        end = reference.ends[used - 1]
        if end[0] != reference.start[0]:
            raise KernelTypeError(f"{where}, written over two lines; write it on one")
        if taken in bound_names(ast.parse(block.text)):
            raise KernelTypeError(f"{where}, whose own name {taken!r} is a variable here; rename the variable")
        yield Renaming(reference.start[0], reference.start[1], end[1], taken)

    def _take(self, where: str, name: str, value: object) -> str:
        """Takes in what a name means; returns the name by which the generated module knows it."""
        plain = plain_number(value)
        if plain is not None:
            self.means(name, (type(plain), repr(plain)), where)
            self.constants[name] = plain
            return name
        if isinstance(value, (str, bytes)):
            self.texts[name] = text_bytes(value, f"{where},")
            self.means(name, ("text", self.texts[name]), where)
            return name
        if isinstance(value, types.ModuleType):
            if value.__name__ not in _MODULES:
                raise KernelTypeError(
                    f"{where}: the module {value.__name__!r} cannot be compiled; numpy, math and cr.calendar can, and "
                    "functions, numbers and texts of modules of your own"
                )
            self.means(name, ("module", value.__name__), where)
            self.modules[name] = value.__name__
            return name
        return self._take_function(where, value)

    def _take_function(self, where: str, value: object) -> str:
        function, bound = _plain_function(value)
        if not isinstance(function, types.FunctionType):
            raise KernelTypeError(
                f"{where}, a {type(value).__name__}: only numbers, texts and functions can be captured; write what it "
                "holds in the function, or pass it as columns or parameters"
            )
        if function in self._open:
            raise KernelTypeError(
                f"{where}, which leads back to itself: recursion can exhaust the stack of the whole process; write a "
                "loop"
            )
        name = function.__name__
        if self.means(name, (function, bound), where):
            known = None if bound else self.known.get(function)
            self.visit(known or _block(function, _defaults(function, bound)), function)
        return name


def _refuse_missing(where: str, value: object, path: tuple[str, ...]) -> None:
    """Raises KernelTypeError for a name that a module does not have."""
    for name in path:
        if not isinstance(value, types.ModuleType):
            return
        if not hasattr(value, name):
            raise KernelTypeError(f"{where}, but the module {value.__name__!r} has no {name!r}")
        value = getattr(value, name)


def _place(block: SourceBlock) -> str:
    return f"{block.file}:{block.line}: kernel {block.name!r}"
