"""The few settings that come from the environment, read in one place.

`CHECKROW_CACHE_DIR`  where compiled drivers are kept (default: the user's cache directory)
`CHECKROW_STATE_DIR`  where this user's list of runs is kept (default: the user's state directory)
`CHECKROW_JIT`        "0" runs every kernel interpreted
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from checkrow_kernels.place import cache_directory


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where this process keeps things, and whether it compiles."""

    cache_dir: Path
    state_dir: Path
    jit: bool


def read_settings() -> Settings:
    """Returns the settings of the environment as it is now."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Settings(
        cache_dir=cache_directory(),
        state_dir=Path(os.environ.get("CHECKROW_STATE_DIR") or Path(state) / "checkrow"),
        jit=os.environ.get("CHECKROW_JIT", "1") != "0",
    )
