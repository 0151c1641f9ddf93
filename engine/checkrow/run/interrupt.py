"""Ctrl-C and SIGTERM while a run is driven: noted where they arrive, acted on at the next task boundary.

A handler that raises could strike between taking a task and starting it; the driver would then wait for a task that
nobody runs. So the handlers of the caller are kept back while a run is driven, and their exception is kept.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from checkrow.errors import RunInterrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop a run, where the caller's handler for them raises KeyboardInterrupt."""


class Interrupts:
    """Whether the caller was asked to stop.

    Parameters
    ----------
    wake : callable
        Lets a waiting driver look; called from a signal handler, so it must not take locks.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.pending: KeyboardInterrupt | None = None

    def answer(self, run: str | None) -> BaseException:
        """Takes the pending signal as answered; returns what to raise for a run that can be resumed, or for no run."""
        asked, self.pending = self.pending, None
        if run is None and asked is not None:
            return asked
        error = RunInterrupted(
            "stopped at a task boundary; finished tasks are kept. Continue with the same command "
            f"or `checkrow resume {run}`"
        )
        error.__cause__ = asked
        return error

    def keep_back(self, handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        """Returns a handler that keeps the KeyboardInterrupt of another one; asked twice, it does not wait."""

        def noted(number: int, frame: FrameType | None) -> None:
            if self.pending is not None:
                handler(number, frame)
                return
            try:
                handler(number, frame)
            except KeyboardInterrupt as asked:
                self.pending = asked
                self._wake()

        return noted


@contextlib.contextmanager
def kept_back(wake: Callable[[], None]) -> Iterator[Interrupts]:
    """Keeps interrupts back; one that nobody answered is raised at the end.

    Outside the main thread, where Python runs no signal handlers, nothing is changed.
    """
    interrupts = Interrupts(wake)
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                previous[number] = handler
                signal.signal(number, interrupts.keep_back(handler))
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if interrupts.pending is not None:
        raise interrupts.pending
