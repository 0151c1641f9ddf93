"""Numba's typing errors in the user's words: file and line of the kernel, its columns and their Arrow types."""

from __future__ import annotations

import re
from pathlib import Path

from numba.core.errors import NumbaError

from checkrow.compile.driver import Driver
from checkrow.errors import CheckrowError, KernelTypeError
from checkrow.expressions.nodes import KernelSpec, Node, SourceBlock, walk

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r'File "(?:[^"]*[/\\])?(k_[0-9a-f]+)\.py", line (\d+)')
_NOISE = ("During", "File", "This error", "To find out", "Overload", "Known signatures", "Unsupported functionality")


def kernel_error(error: NumbaError, driver: Driver, directory: Path) -> CheckrowError:
    """Returns the error to raise for a driver that did not compile."""
    text = _ANSI.sub("", str(error))
    by_module = {f"k_{spec.fingerprint}": spec for spec in driver.kernels}
    place = next(((m[1], int(m[2])) for m in _PLACE.finditer(text) if m[1] in by_module), None)
    if place is None and not driver.kernels:
        raise error  # a driver without user code always compiles: this is a defect of checkrow, shown whole
    spec = by_module[place[0]] if place else driver.kernels[0]
    block, line = _user_line(spec, place[1], directory / f"{place[0]}.py") if place else (spec.block, spec.block.line)
    source = block.text.splitlines()[line - block.line : line - block.line + 1]
    shown = f" in `{source[0].strip()}`" if source else ""
    return KernelTypeError(
        f"{block.file}:{line}: kernel {spec.name!r} does not compile{shown}: {_reason(text)}. "
        f"Its columns: {_columns(spec, driver)}"
    )


def _user_line(spec: KernelSpec, line: int, path: Path) -> tuple[SourceBlock, int]:
    """Returns the user's block and line for a line of a generated kernel file."""
    found = spec.block, spec.block.line
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if number > line:
            break
        for block in spec.blocks:
            # The marker comment is followed by the decorator, then by the header on the block's first line.
            if text == f"# {block.file}:{block.line}":
                found = block, block.line + max(0, line - number - 2)
    return found


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
