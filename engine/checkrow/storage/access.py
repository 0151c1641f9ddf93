"""Who may read and write: what stands in a root has the mode and the group of the root's own directory.

So a private data root has a private control root, staged files included, and a root that a group shares can be written
and continued by everybody in the group. Whoever does not own a directory leaves it as it is.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_PERMISSIONS = 0o7777
_OF_FILES = 0o666


def follow(path: Path, root: Path) -> None:
    """Gives a file or directory of this user's the mode and the group of a root directory.

    Files are never executable. A group that this user may not give (it is not in it) is left as it was.
    """
    wanted, found = root.stat(), path.stat()
    if found.st_gid != wanted.st_gid:
        try:
            os.chown(path, -1, wanted.st_gid)
        except PermissionError:
            if os.geteuid() == 0:
                raise
    mode = wanted.st_mode & (_PERMISSIONS if stat.S_ISDIR(found.st_mode) else _OF_FILES)
    if found.st_mode & _PERMISSIONS != mode:
        os.chmod(path, mode)  # noqa: PTH101  # the seam of the crash tests


def is_ours(path: Path) -> bool:
    """Tells whether this user may change a path's mode."""
    return os.geteuid() in {0, path.stat().st_uid}
