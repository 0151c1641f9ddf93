"""The few settings that come from the environment, read in one place.

`CHECKROW_CACHE_DIR`  where compiled drivers are kept (default: the user's cache directory)
`CHECKROW_STATE_DIR`  where this user's list of runs is kept (default: the user's state directory)
`CHECKROW_JIT`        "0" runs every kernel interpreted
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where this process keeps things, and whether it compiles."""

    cache_dir: Path
    state_dir: Path
    jit: bool


def read_settings() -> Settings:
    """Returns the settings of the environment as it is now."""
    home = Path.home()
    cache = (
        os.environ.get("CHECKROW_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "checkrow"
    )
    state = os.environ.get("CHECKROW_STATE_DIR") or (
        Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "checkrow"
    )
    # Machine code is only valid on the host that compiled it; homes are often shared between hosts.
    return Settings(
        cache_dir=Path(cache) / (platform.node() or "host"),
        state_dir=Path(state),
        jit=os.environ.get("CHECKROW_JIT", "1") != "0",
    )
