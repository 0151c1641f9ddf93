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
    try:
        names = sorted(p.name for p in directory.iterdir()) if directory.exists() else []
        found = [n for n in names if _ID.fullmatch(run) and n.startswith(run)]
        if len(found) == 1:
            return found[0], Path((directory / found[0]).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the list of this user's runs cannot be read in {directory}: {error.strerror}; set CHECKROW_STATE_DIR"
        ) from None
    if not found:
        raise ConfigError(
            f"no run of this user on this host begins with {run!r}; `checkrow dataset log URL` lists runs"
        )
    raise ConfigError(f"{len(found)} runs of this user on this host begin with {run!r}; give more of the id")
