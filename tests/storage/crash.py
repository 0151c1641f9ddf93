"""A process that dies at its n-th system call: the seam of the crash tests.

Once dead, every further call dies too, so that `finally` blocks clean up nothing, as after SIGKILL. What the page cache
loses at a power cut is not simulated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from checkrow.storage.swap import swap

CALLS = ("link", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir", "chmod", "chown", "write")


class Killed(BaseException):
    """The process is dead; derives from BaseException so that nothing handles it."""


class Crash:
    """Dies before or after the effect of call `at` (counted from 1); 0 never dies."""

    def __init__(self, at: int, *, after_effect: bool) -> None:
        self.at = at
        self.after_effect = after_effect
        self.calls = 0
        self.dead = False
        self.died_in = ""

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self.dead:
                raise Killed
            self.calls += 1
            last = self.calls == self.at
            if last:
                self.dead, self.died_in = True, name
                if not self.after_effect:
                    raise Killed
            result = function(*args, **options)
            if last:
                raise Killed
            return result

        return call


def run_until(crash: Crash, action: Callable[[], object]) -> bool:
    """Runs an action under a crash; tells whether it survived."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, crash.wrap(name, getattr(os, name)))
        patch.setattr("checkrow.storage.reveal.swap", crash.wrap("swap", swap))
        try:
            action()
        except Killed:
            return False
    return True
