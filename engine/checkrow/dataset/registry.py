"""The user's list of runs on this host: run id to control root. A convenience; control roots are the truth."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from checkrow.errors import ConfigError
from checkrow.settings import read_settings

_ID = re.compile(r"[0-9a-f]{4,32}")


def remember(run: str, control: Path) -> None:
    """Notes where a run is recorded; a state directory that cannot be written is no reason to fail a run."""
    directory = read_settings().state_dir / "runs"
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / run).write_text(str(control), encoding="utf-8")


def recall(run: str) -> tuple[str, Path]:
    """Returns (full id, control root) of a run given by the beginning of its id.

    Raises
    ------
    ConfigError
        If no run, or more than one, has that beginning.
    """
    directory = read_settings().state_dir / "runs"
    found = sorted(directory.glob(f"{run}*")) if _ID.fullmatch(run) and directory.is_dir() else []
    if len(found) != 1:
        reason = "no run" if not found else f"{len(found)} runs"
        raise ConfigError(f"{reason} of this user on this host begin with {run!r}; give the dataset's URL instead")
    return found[0].name, Path(found[0].read_text(encoding="utf-8"))
