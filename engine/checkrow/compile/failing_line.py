"""The line of the user's file on which a kernel raised.

Machine code has no line numbers. So the one row (or group) is run again as plain Python, on copies of all that is
written to, and only its traceback is used: what the run does, and the class and text of the error, stay as they were.
Where the second time does not raise the same class of error, or takes too long, no line is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import Driver
from checkrow.compile.kernel_text import kernel_module, kernel_text
from checkrow.compile.messages import source_line

_MOST_LINES = 1_000_000
"""Lines of user code that are run again at most: some tenths of a second."""
_MOST_BYTES = 256 << 20
"""Bytes that are copied at most."""


class _TooLong(BaseException):  # so that no handler of the user's takes it for an error of its own
    pass


def failing_line(cache: DriverCache, driver: Driver, row: int, arguments: tuple[Any, ...], error: Exception) -> str:
    """Returns where the user's code raised an error on a row, as `file:line, source`; nothing where it is not known.

    Parameters
    ----------
    arguments : tuple
        What the driver was given after `at`.
    """
    found = _described(driver, error.__traceback__)
    if found or sum(a.nbytes for a in arguments if _is_written(a)) > _MOST_BYTES:
        return found
    copies = [a.copy() if _is_written(a) else a for a in arguments]
    try:
        with _limited():
            cache.plain(driver)(row, row + 1, np.array([row, 0, 0, -1, -1], np.int64), *copies)
    except _TooLong:
        return ""
    except Exception as again:  # noqa: BLE001  # whatever the user's kernel raises
        return _described(driver, again.__traceback__) if type(again) is type(error) else ""
    return ""


def _is_written(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.flags.writeable


def _described(driver: Driver, traceback: TracebackType | None) -> str:
    """Returns the last line of user code in a traceback, and the kernel's own if that is in a helper."""
    texts = {f"<{kernel_module(spec)}>": kernel_text(spec) for spec in driver.kernels}
    places = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file in texts:
            places.append(texts[file].user_line(traceback.tb_lineno))
        traceback = traceback.tb_next
    if not places:
        return ""
    block, line = places[-1]
    called = f", called at {places[0][0].file}:{places[0][1]}" if len(places) > 1 else ""
    return f"{block.file}:{line}, `{source_line(block, line)}`{called}"


@contextmanager
def _limited() -> Iterator[None]:
    """Ends user code after so many lines."""
    left = _MOST_LINES

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith("<k_"):
            return None
        left -= 1
        if left < 0:
            raise _TooLong
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
