"""Who decodes Parquet pages: our own kernels once they are compiled, until then pyarrow; the values are the same."""

from __future__ import annotations

import threading

from checkrow_kernels.warm import compile_pages_later, is_ready

TASK_BYTES = 4 << 20
"""Decoded bytes of a task from which loading the decoder's machine code pays."""
ENOUGH_BYTES = 256 << 20
"""Decoded bytes that pyarrow serves in a process before the decoder is compiled for the next ones."""


class _Served:
    """What tasks of this process read while the decoder was not ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, size_bytes: int) -> int:
        """Returns the bytes read so far, these included."""
        with self._lock:
            self._bytes += size_bytes
            return self._bytes


_served = _Served()


def decodes_itself(size_bytes: int) -> bool:
    """Tells whether a task that reads so many decoded bytes uses our own decoder."""
    if size_bytes < TASK_BYTES:
        return False
    if is_ready():
        return True
    if _served.add(size_bytes) > ENOUGH_BYTES:
        compile_pages_later()
    return False
