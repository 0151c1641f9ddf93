"""Machine code on disk: one sealed file per function and signature, in a private directory.

A file holds a pickle, and reading a pickle runs what it says. So a file counts only if its seal is right: a digest over
what it is for (function, types, processor, versions) and all of its bytes. One that is torn, garbled, empty or for
something else is as good as absent, and is written anew. What cannot be written is compiled again in every process,
with a warning.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.cpython import hashing as _hash_secrets  # noqa: F401  # symbols that code with hash() is linked against

from checkrow_kernels import numba_runtime

_SEAL_BYTES = hashlib.sha256().digest_size
_PACKAGE = Path(__file__).parent


class MachineCode(_Cache):  # type: ignore[misc]  # Numba has no types
    """The compiled variants of one function; what Numba asks before it compiles.

    Parameters
    ----------
    function : callable
        Its name and code are part of what a variant is for. What it calls is not: the directory, or its file's name if
        that stands in the directory, says it; elsewhere the state of its file does.
    directory : Path
    """

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._directory = directory
        file, code = Path(function.__code__.co_filename), function.__code__
        self._stem = f"{file.stem}.{function.__qualname__}"
        stamp = "" if file.parent in {_PACKAGE, directory} else _stamp(file)
        self._identity = repr((self._stem, stamp, code.co_code, code.co_names, numba.__version__, sys.version))

    @property
    def cache_path(self) -> str:
        """The directory, as Numba reports it."""
        return str(self._directory)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Returns what was compiled for some types, or None."""
        codegen = target.codegen()
        # All that loaded code calls; what Numba needs to compile takes it as long to set up as all of its own imports.
        runtime = self._runtime_place(codegen)
        numba_runtime.initialize(target, lambda: _unsealed(*runtime), lambda made: self._keep(*runtime, made))
        data = _unsealed(*self._place(signature, codegen))
        if data is None:
            return None
        return CompileResult._rebuild(target, *pickle.loads(data))  # noqa: S301, SLF001  # sealed

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keeps what was compiled for some types."""
        if compiled.library.has_dynamic_globals or any(not part.can_cache for part in compiled.lifted):
            return  # it holds addresses of this process
        data = dumps(compiled._reduce())  # noqa: SLF001  # what Numba's own cache keeps
        self._keep(*self._place(signature, compiled.codegen), data)

    def _keep(self, path: Path, key: bytes, data: bytes) -> None:
        try:
            write_whole(path, _seal(key, data) + data)
        except OSError as error:
            warnings.warn(
                f"machine code cannot be kept in {self._directory} ({error.strerror}): it is compiled again in every "
                "process until CHECKROW_CACHE_DIR names a place with room that this user may write",
                RuntimeWarning,
                stacklevel=2,
            )

    def flush(self) -> None:
        """Forgets every variant."""
        for path in self._directory.glob(f"{self._stem}-*.nbc"):
            path.unlink(missing_ok=True)

    def enable(self) -> None:
        """Does nothing: it is always in use."""

    def disable(self) -> None:
        """Does nothing: it is always in use."""

    def _place(self, signature: Any, codegen: Any) -> tuple[Path, bytes]:
        return self._named(self._stem, (self._identity, str(signature)), codegen)

    def _runtime_place(self, codegen: Any) -> tuple[Path, bytes]:
        return self._named("runtime", (numba.__version__, sys.version), codegen)

    def _named(self, stem: str, identity: tuple[str, ...], codegen: Any) -> tuple[Path, bytes]:
        key = repr((*identity, codegen.magic_tuple())).encode()
        return self._directory / f"{stem}-{hashlib.sha256(key).hexdigest()[:16]}.nbc", key


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that others see whole or not at all."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}.tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _unsealed(path: Path, key: bytes) -> bytes | None:
    """Returns what a file holds for a key, None when it is not there or not that."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[_SEAL_BYTES:] if data[:_SEAL_BYTES] == _seal(key, data[_SEAL_BYTES:]) else None


def _seal(key: bytes, data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + data).digest()


def _stamp(file: Path) -> str:
    """Returns what changes with a file's content."""
    found = file.stat()
    return f"{file} {found.st_mtime_ns} {found.st_size}"
