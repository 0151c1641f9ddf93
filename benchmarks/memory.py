"""Peak memory of a process and its descendants, read from outside of it."""

from __future__ import annotations

from pathlib import Path


class PeakMemory:
    """The most resident memory a process and its children have held.

    The process's own peak is exact: the kernel keeps it. A child's is as of the last sample while it lived, and the
    peaks are added as if they were reached at once, so a sum over several processes is an upper bound.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, int] = {}

    def sample(self) -> None:
        """Notes the peaks of the process and of the descendants that live now."""
        for pid in [self._pid, *descendants(self._pid)]:
            self._peaks[pid] = max(self._peaks.get(pid, 0), peak_rss_bytes(pid))

    @property
    def bytes(self) -> int:
        """The sum of the peaks."""
        return sum(self._peaks.values())


def descendants(pid: int) -> list[int]:
    """Returns the processes below a process that live now."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(c) for c in listing.read_text(encoding="ascii").split()]
        except (FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def peak_rss_bytes(pid: int) -> int:
    """Returns the most memory a process has held; 0 when it is gone or holds none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), None)
    return int(line.split()[1]) * 1024 if line else 0
