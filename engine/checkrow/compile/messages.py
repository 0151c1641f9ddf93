"""Numba's typing errors in the user's words: file and line of the kernel, its columns and their Arrow types."""

from __future__ import annotations

import re

from checkrow.compile.driver import Driver
from checkrow.compile.kernel_text import kernel_module, kernel_text
from checkrow.errors import CheckrowError, KernelTypeError
from checkrow.expressions.nodes import KernelSpec, Node, SourceBlock, walk

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r'File "(?:[^"]*[/\\])?(k_[0-9a-f]+)\.py", line (\d+)')
_NOISE = ("During", "File", "This error", "To find out", "Overload", "Known signatures", "Unsupported functionality")


def kernel_error(error: Exception, driver: Driver) -> CheckrowError:
    """Returns the error to raise for a driver that did not compile."""
    text = _ANSI.sub("", str(error))
    by_module = {kernel_module(spec): spec for spec in driver.kernels}
    place = next(((m[1], int(m[2])) for m in _PLACE.finditer(text) if m[1] in by_module), None)
    if place is None and not driver.kernels:
        raise error  # a driver without user code always compiles: this is a defect of checkrow, shown whole
    spec = by_module[place[0]] if place else driver.kernels[0]
    block, line = kernel_text(spec).user_line(place[1]) if place else (spec.block, spec.block.line)
    source = source_line(block, line)
    shown = f" in `{source}`" if source else ""
    return KernelTypeError(
        f"{block.file}:{line}: kernel {spec.name!r} does not compile{shown}: {_reason(text)}. "
        f"Its columns: {_columns(spec, driver)}"
    )


def source_line(block: SourceBlock, line: int) -> str:
    """Returns a line of the user's file, or nothing where the block has no such line."""
    return "".join(block.text.splitlines()[line - block.line : line - block.line + 1]).strip()


def _reason(text: str) -> str:
    """Returns the first line that says what is wrong."""
    lines = [line.strip().lstrip("->| ") for line in text.splitlines()]
    telling = [
        line for line in lines
        if line and not line.startswith(_NOISE) and not line.startswith(("Failed in", "<source", "def ", "^"))
    ]  # fmt: skip
    return telling[0].rstrip(".:") if telling else "Numba gave no reason"


def _columns(spec: KernelSpec, driver: Driver) -> str:
    roots: list[Node] = [n for node in (*driver.inputs, *(n for n, _ in driver.checked)) for n in walk(node)]
    call = next((n for n in roots if n.op == "kernel" and n.kernel == spec), None)
    if call is None:
        kinds = {f"c{j}": n.dtype for j, n in enumerate(driver.inputs)}
        return ", ".join(f"{n.name or key} ({kinds[key]})" for key, n in zip(kinds, driver.inputs, strict=True))
    return ", ".join(f"{c} ({a.dtype})" for c, a in zip(spec.columns, call.args, strict=True))
