"""Arrays in memory that is used again: a fresh page costs the system more time than the work on it.

An array from here is as one from NumPy, with nothing said of its content. When the last reference to it is gone, views
and Arrow buffers over it included, its memory waits for the next array of about its size, of whatever thread. It is
mapped, not taken from the heap, which would be left in pieces. What stays until the run ends would only crowd out what
is used again: it is mapped too, and goes back to the system with its array.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
SMALLEST_BYTES = 64 << 10
"""Smaller arrays are left to NumPy."""
_LASTING_BYTES = 512 << 10
"""Smaller ones that last are left to NumPy too: a process has only so many mappings."""
MOST_KEPT_BYTES = 256 << 20
"""Memory that waits; what comes on top goes back to the system."""
_IDLE_S = 10.0
"""How long memory waits for another run."""
_HUGE_BYTES = 1 << 20
"""From this size on the system is asked for huge pages."""


class BufferPool:
    """Memory of arrays that nobody refers to any more, by size.

    Sizes are rounded up to four steps per power of two.
    """

    def __init__(self, most_kept_bytes: int = MOST_KEPT_BYTES) -> None:
        self._most_kept_bytes = most_kept_bytes
        self._kept: defaultdict[int, list[mmap.mmap]] = defaultdict(list)
        self._kept_bytes = 0
        self._lent: dict[int, tuple[weakref.ref[Array], mmap.mmap, int]] = {}
        self._releases = 0
        self._timer: threading.Timer | None = None
        # An array may end within any statement of the thread that holds the lock: in a garbage collection.
        self._lock = threading.RLock()

    @property
    def kept_bytes(self) -> int:
        """Bytes that wait for an array."""
        return self._kept_bytes

    def empty(self, count: int, dtype: DTypeLike) -> Array:
        """Returns an array of `count` elements; what stands in it is anything."""
        kind = np.dtype(dtype)
        size = count * kind.itemsize
        if size < SMALLEST_BYTES:
            return np.empty(count, kind)
        memory = self._taken(_rounded(size))
        # Views of this array refer to it, not to what is below, since that is no array.
        array = np.frombuffer(memory, kind, count)
        ended = weakref.ref(array, self._returned)
        self._lent[id(ended)] = ended, memory, self._releases
        return array

    def _taken(self, size: int) -> mmap.mmap:
        with self._lock:
            for larger in _fitting(size):
                if self._kept[larger]:
                    self._kept_bytes -= larger
                    return self._kept[larger].pop()
        return _mapped(size)

    def _returned(self, ended: weakref.ref[Array]) -> None:
        _, memory, releases = self._lent.pop(id(ended))
        with self._lock:
            if releases != self._releases:
                return
            self._kept[len(memory)].append(memory)
            self._kept_bytes += len(memory)
            while self._kept_bytes > self._most_kept_bytes:
                commonest = max(self._kept, key=lambda size: size * len(self._kept[size]))
                self._kept[commonest].pop()
                self._kept_bytes -= commonest

    def release(self) -> None:
        """Gives back what waits to the system, and what arrays have now when they end."""
        with self._lock:
            self._releases += 1
            self._kept.clear()
            self._kept_bytes = 0

    def release_later(self, seconds: float) -> None:
        """Gives memory back after some seconds, unless this is called again before."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(seconds, self.release)
            self._timer.daemon = True
            self._timer.start()


def _mapped(size_bytes: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size_bytes >= _HUGE_BYTES:
        with contextlib.suppress(OSError):  # a system may have none
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _rounded(size_bytes: int) -> int:
    """Returns the size of the memory for an array, at most a quarter larger."""
    step = 1 << (size_bytes.bit_length() - 3)
    return -(-size_bytes // step) * step


def _fitting(size_bytes: int) -> Iterator[int]:
    """Yields the sizes of memory to be used for an array: from its own to twice as much."""
    size = size_bytes
    while size <= 2 * size_bytes:
        yield size
        size = _rounded(size + 1)


POOL = BufferPool()
"""The pool of this process."""


def run_over() -> None:
    """Gives back what the process's pool keeps if no other run soon follows."""
    POOL.release_later(_IDLE_S)


def empty(count: int, dtype: DTypeLike) -> Array:
    """Returns an array of the process's pool; what stands in it is anything."""
    return POOL.empty(count, dtype)


def lasting(count: int, dtype: DTypeLike) -> Array:
    """Returns an array of zeros for the whole run, in memory of its own."""
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    return np.frombuffer(_mapped(size), kind) if size >= _LASTING_BYTES else np.zeros(count, kind)


def filled(count: int, dtype: DTypeLike, value: float) -> Array:
    """Returns an array of the process's pool that holds one value throughout."""
    out = POOL.empty(count, dtype)
    out.fill(value)
    return out


def converted(values: Array, dtype: DTypeLike) -> Array:
    """Returns a copy of values as another type, in an array of the process's pool."""
    out = POOL.empty(len(values), dtype)
    np.copyto(out, values, casting="unsafe")
    return out


def frozen(array: Array) -> Array:
    """Returns a read-only view: kernels and drivers are compiled for read-only inputs, whatever made the array."""
    view = array.view()
    view.flags.writeable = False
    return view
