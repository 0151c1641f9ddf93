"""Calling a driver, and what is known when the user's code in it fails: the row, the call, the reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import Driver
from checkrow.compile.emit import NOT_UTF8, NULL_FORBIDDEN, OUT_OF_RANGE
from checkrow.compile.failing_line import failing_line
from checkrow.errors import ArithmeticRangeError, CheckrowError, KernelRowError
from checkrow.expressions.nodes import KernelSpec
from checkrow.expressions.types import Field


class KernelFailed(Exception):  # never leaves the operators: they raise what `located` returns
    """A kernel failed on a row (or group) of what it was given.

    Attributes
    ----------
    row : int
    kernel : KernelSpec
    reason : str
        The class of what the kernel raised, "NullForbidden", "OutOfRange" or "NotUtf8".
    message : str
        What happened, after the kernel's name.
    call : int
        Which of the driver's calls it was.
    kept, groups : int
        Rows the driver had kept when it raised, and the groups there were before this row.
    line : callable
        Finds the line of the user's that raised, as text; it may take a moment, and finds nothing later on.
    step : int
        Where `row` is a group that a kernel goes through row by row: which of its rows, -1 where it takes them at once.
    """

    def __init__(
        self, row: int, kernel: KernelSpec, reason: str, message: str, *, call: int = 0, kept: int = 0,
        groups: int = -1, step: int = -1, line: Callable[[], str] = str,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.row = row
        self.kernel = kernel
        self.reason = reason
        self.message = message
        self.call = call
        self.kept = kept
        self.groups = groups
        self.line = line
        self.step = step

    def located(self, where: str, hint: str = "") -> CheckrowError:
        """Returns the error for the user, who is told where in the data it happened and where in the code."""
        kind = ArithmeticRangeError if self.reason == "OutOfRange" else KernelRowError
        place, self.line = self.line() or self.kernel.place, str  # what finds it cannot travel to another process
        return kind(f"{where} kernel {self.kernel.name!r} ({place}) {self.message}{hint}")


def drive(
    cache: DriverCache, driver: Driver, first: int, last: int, arguments: tuple[object, ...],
    again: tuple[object, ...] = (),
) -> tuple[int, int, int]:  # fmt: skip
    """Runs a driver for some rows; returns (next row, status, detail).

    Parameters
    ----------
    first, last : int
    arguments : tuple
        What follows `at` in the driver's signature.
    again : tuple
        The same for a single row that failed, to find its line, where a loop that begins there needs others.

    Raises
    ------
    KernelFailed
        If the user's code raises, meets a null it forbids or returns what its type cannot hold. Rows before that one
        are done and it is not begun.
    """
    at = np.array([first, 0, 0, -1, -1], np.int64)
    args = (first, last, at, *arguments)
    function = cache.prepare(driver, args)
    try:
        row, status, detail = function(*args)
    except Exception as error:  # whatever the user's kernel raises
        if not driver.calls:
            raise
        at_row, call, kept, groups, step = (int(n) for n in at)
        reason = type(error).__name__
        raise KernelFailed(
            at_row, driver.calls[call], reason, f"raised {reason}: {error}", call=call, kept=kept, groups=groups,
            step=step, line=partial(failing_line, cache, driver, at_row, again or arguments, error),
        ) from None  # fmt: skip
    if driver.checked and status in {NULL_FORBIDDEN, OUT_OF_RANGE, NOT_UTF8}:
        raise _refused(driver, int(row), int(status), int(detail))
    return int(row), int(status), int(detail)


def not_utf8(field: Field) -> str:
    """Returns what a kernel did that gave bytes for a string column."""
    return f"returned bytes for {field.name!r} that are not UTF-8; slice between characters or declare pa.binary()"


def _refused(driver: Driver, row: int, status: int, detail: int) -> KernelFailed:
    node, call = driver.checked[detail]
    kernel = node.kernel
    if kernel is None:
        raise AssertionError("only results of kernels are checked")
    if status == NULL_FORBIDDEN:
        names = ", ".join(c for c in kernel.columns if not kernel.takes_null(c))
        message = f"forbids nulls but one of its arguments ({names}) is null there"
        return KernelFailed(row, kernel, "NullForbidden", message, call=call)
    field = kernel.returns[int(node.value or 0)]
    if status == NOT_UTF8:
        return KernelFailed(row, kernel, "NotUtf8", not_utf8(field), call=call)
    message = f"returned a value that does not fit {field.dtype} ({field.name!r})"
    return KernelFailed(row, kernel, "OutOfRange", message, call=call)
