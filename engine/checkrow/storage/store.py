"""Stores: seven verbs on keys below a root, and the reading of source files through fsspec (its only importer).

Invariant of `PosixStore`: a key is absent or complete. Data is synced before its name appears, the directory after;
both happen inside the publishing functions, so that no caller can forget them. A crash leaves at most files whose
name contains `.tmp-`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from checkrow.errors import CommitConflict, ConfigError, DiskFull, InputChanged, PermissionRefused, StorageError
from checkrow.storage.access import follow


class Outcome(enum.Enum):
    """What a conditional write did; decided by the bytes that stand there, never by a status alone."""

    CREATED = "created"
    MINE_ALREADY = "mine_already"
    OTHER = "other"
    UNKNOWN = "unknown"


class StagedFile(msgspec.Struct):
    """A file being staged: write to `path`; size and digest are known after the block ends."""

    path: Path
    size_bytes: int = 0
    sha256: str = ""


class Store(Protocol):
    """Seven verbs; keys are relative paths with forward slashes."""

    def put_if_absent(self, key: str, data: bytes) -> Outcome:
        """Creates a key unless it exists; the same bytes there count as one's own."""

    def get(self, key: str) -> bytes:
        """Returns a key's bytes; raises FileNotFoundError."""

    def list(self, prefix: str) -> tuple[str, ...]:
        """Returns the keys below a directory, sorted."""

    def delete(self, key: str) -> None:
        """Removes a key; a missing one is fine."""

    def stage(self, key: str) -> contextlib.AbstractContextManager[StagedFile]:
        """Opens a key for writing; it exists, complete and durable, only when the block ends well."""

    def reveal(self, staged: str, final: Path, sha256: str) -> None:
        """Makes a staged key appear under its final name, idempotently and never replacing anything."""

    def abort(self, key: str) -> None:
        """Gives up a staged key."""


@contextlib.contextmanager
def typed_errors(what: str) -> Iterator[None]:
    """Turns operating-system errors into errors by situation."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        text = f"{what}: {error.strerror or error}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(f"{text}; free space and run the same command again, finished tasks are kept") from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise PermissionRefused(f"{text}; give this user access or write elsewhere") from None
        raise StorageError(text) from None


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path, like: Path | None = None) -> None:
    """Creates a directory and its parents durably; new ones follow the mode and group of the root `like`."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            if like is not None:
                follow(directory, like)
        sync_directory(directory.parent)


class PosixStore:
    """A directory on a local or shared POSIX file system with hard links; its mode and group are those of all keys."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Returns where a key stands; refuses keys that would leave the root."""
        parts = key.split("/")
        if key.startswith("/") or any(p in {"", ".", ".."} or "\0" in p for p in parts):
            raise StorageError(f"the key {key!r} is not a plain relative path")
        return self.root.joinpath(*parts)

    def _make_room(self, path: Path) -> None:
        """Makes the directories of a key; a new root has the mode that the process gives."""
        make_directories(self.root)
        make_directories(path.parent, self.root)

    def put_if_absent(self, key: str, data: bytes) -> Outcome:
        """Creates a key unless it exists; the same bytes there count as one's own."""
        final = self.path(key)
        with typed_errors(f"cannot write {final}"):
            self._make_room(final)
            draft = final.with_name(f"{final.name}.tmp-{secrets.token_hex(8)}")
            try:
                _write_durably(draft, data, self.root)
                os.link(draft, final)
            except FileExistsError:
                return Outcome.MINE_ALREADY if final.read_bytes() == data else Outcome.OTHER
            finally:
                draft.unlink(missing_ok=True)
                sync_directory(final.parent)
        return Outcome.CREATED

    def get(self, key: str) -> bytes:
        """Returns a key's bytes; raises FileNotFoundError."""
        path = self.path(key)
        with typed_errors(f"cannot read {path}"):
            return path.read_bytes()

    def list(self, prefix: str) -> tuple[str, ...]:
        """Returns the keys below a directory, sorted; unfinished drafts are not keys."""
        top = self.path(prefix)
        found = (p for p in top.rglob("*") if p.is_file() and ".tmp-" not in p.name) if top.is_dir() else ()
        return tuple(sorted(p.relative_to(self.root).as_posix() for p in found))

    def delete(self, key: str) -> None:
        """Removes a key; a missing one is fine."""
        path = self.path(key)
        with typed_errors(f"cannot remove {path}"):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def stage(self, key: str) -> Iterator[StagedFile]:
        """Opens a key for writing; it exists, complete and durable, only when the block ends well."""
        final = self.path(key)
        with typed_errors(f"cannot write {final}"):
            self._make_room(final)
            staged = StagedFile(final.with_name(f"{final.name}.tmp-{secrets.token_hex(8)}"))
            try:
                yield staged
                follow(staged.path, self.root)
                _begin_sync(staged.path)
                staged.size_bytes, staged.sha256 = digest_file(staged.path)
                _sync_file(staged.path)
                staged.path.replace(final)
                sync_directory(final.parent)
            finally:
                staged.path.unlink(missing_ok=True)

    def reveal(self, staged: str, final: Path, sha256: str) -> None:
        """Makes a staged key appear under its final name, idempotently and never replacing anything.

        The directory of the final name must exist.

        Raises
        ------
        CommitConflict
            If another file has the final name.
        """
        with typed_errors(f"cannot publish {final}"):
            try:
                os.link(self.path(staged), final, follow_symlinks=False)
            except FileExistsError:
                if digest_file(final)[1] != sha256:
                    raise CommitConflict(f"{final} exists with other content; nothing was replaced") from None
            except FileNotFoundError:
                if not final.is_file() or digest_file(final)[1] != sha256:
                    raise StorageError(f"the staged file {self.path(staged)} of a commit is missing") from None

    def abort(self, key: str) -> None:
        """Gives up a staged key."""
        self.delete(key)

    def open_shared(self, key: str) -> BinaryIO:
        """Opens a file that several processes lock or append to, making it if need be; it decides nothing."""
        path = self.path(key)
        with typed_errors(f"cannot open {path}"):
            self._make_room(path)
            try:
                file = path.open("xb")
            except FileExistsError:
                return path.open("a+b")
            with file:
                follow(path, self.root)
            return path.open("a+b")


def _write_durably(path: Path, data: bytes, root: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        follow(path, root)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin_sync(path: Path) -> None:
    """Lets the system begin to write a file, so that there is less to wait for later; promises nothing."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # not every file system takes advice
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # on Linux dirty pages are written and stay
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_file(path: Path) -> tuple[int, str]:
    """Returns (bytes, sha256) of a file."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


# -- source files -----------------------------------------------------------------------------------------------------


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file found below a URL. `version` differs whenever the content may differ."""

    url: str
    path: str
    size_bytes: int
    version: str


Options = dict[str, str | int | float | bool | None]


def is_local(url: str) -> bool:
    """Tells whether a URL is a path of this machine."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """Returns the absolute path of a local URL."""
    if "\0" in url:
        raise ConfigError("a path cannot contain a NUL byte")
    path = url
    if url.startswith("file://"):
        host, slash, rest = url.removeprefix("file://").partition("/")
        if host not in {"", "localhost"}:
            raise ConfigError(f"{url} names the host {host!r}; a file URL of this machine is file:///path")
        path = slash + rest
    if not path:
        raise ConfigError(f"the URL {url!r} names no place; write '.' for the current directory")
    return Path(path).expanduser().absolute()


def list_files(url: str, options: Options, suffix: str = ".parquet") -> tuple[SourceFile, ...]:
    """Returns the data files at or below a URL, sorted by path; names that start with `_` or `.` are no data.

    Raises
    ------
    ConfigError
        If nothing is there.
    """
    return _list_local(url, suffix) if is_local(url) else _list_remote(url, options, suffix)


def _is_data(relative: str, suffix: str) -> bool:
    parts = relative.split("/")
    return parts[-1].endswith(suffix) and not any(p.startswith(("_", ".")) for p in parts)


def _list_local(url: str, suffix: str) -> tuple[SourceFile, ...]:
    top = local_path(url)
    with typed_errors(f"cannot read {url}"):
        if top.is_file():
            return (_local_file(top, top.name),)
        if not top.is_dir():
            raise ConfigError(f"there is no file or directory {url!r}")
        found = [_local_file(p, p.relative_to(top).as_posix()) for p in _walk(top, suffix)]
    return tuple(sorted(found, key=lambda f: f.path))


def _walk(top: Path, suffix: str) -> Iterator[Path]:
    """Yields data files, through linked directories too; one that cannot be read is an error, never left out."""
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise error

    for directory, below, names in os.walk(top, onerror=refuse, followlinks=True):
        stat = Path(directory).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            raise ConfigError(f"{directory} is reached twice through links; every file would be read twice")
        seen.add((stat.st_dev, stat.st_ino))
        below[:] = [b for b in below if not b.startswith(("_", "."))]
        for name in names:
            if _is_data(Path(directory, name).relative_to(top).as_posix(), suffix):
                yield Path(directory, name)


def _local_file(path: Path, relative: str) -> SourceFile:
    stat = path.stat()
    version = f"{stat.st_mtime_ns}:{stat.st_size}:{stat.st_ino}"
    return SourceFile(url=str(path), path=relative, size_bytes=stat.st_size, version=version)


def _list_remote(url: str, options: Options, suffix: str) -> tuple[SourceFile, ...]:
    system, root = _file_system(url, options)
    scheme = url.split("://", maxsplit=1)[0]
    try:
        with typed_errors(f"cannot read {url}"):
            infos = system.find(root, detail=True)
    except FileNotFoundError:
        infos = {}
    found = []
    for path, info in sorted(infos.items()):
        relative = path[len(root) :].strip("/") or path.rsplit("/", maxsplit=1)[-1]
        if _is_data(relative, suffix):
            found.append(
                _remote_file(
                    f"{scheme}://{path.lstrip('/')}" if scheme != "memory" else f"memory://{path}", relative, info
                )
            )
    if not found and not infos:
        raise ConfigError(f"there is no file or directory {url!r}")
    return tuple(found)


def _file_system(url: str, options: Options) -> tuple[Any, str]:
    """Returns the file system of a URL and the path there; its package may be missing."""
    import fsspec  # noqa: PLC0415  # it loads as long as a tiny job runs, and local files need none of it

    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        raise ConfigError(f"{url} needs a package that is not installed: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{url} cannot be opened: {error}") from None
    return system, path


def _remote_file(url: str, relative: str, info: dict[str, Any]) -> SourceFile:
    keys = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "created")
    marks = [_mark(info[k]) for k in keys if info.get(k) is not None]
    size = int(info["size"])
    return SourceFile(url=url, path=relative, size_bytes=size, version=":".join([*marks, str(size)]))


def _mark(value: Any) -> str:
    """Returns a version mark as text; a time is the same instant whether a listing gives a number or a datetime."""
    return repr(value.timestamp()) if isinstance(value, dt.datetime) else str(value)


_LIST_ANEW = (
    "scan again to read what is there now (a job, or a write with a key, that is unfinished: with --recompute or "
    "recompute=True)"
)


def open_input(url: str, options: Options) -> Any:
    """Returns what pyarrow opens: the path of a local file (read natively), else a binary file object."""
    if is_local(url):
        return url
    system, path = _file_system(url, options)
    return system.open(path, "rb")


def check_unchanged(url: str, options: Options, version: str) -> None:
    """Raises InputChanged when a source file is not the one that was planned.

    The remedy holds for a call that lists its input anew; an unfinished run keeps its list and says what to do then.
    """
    try:
        if is_local(url):
            found = _local_file(Path(url), "").version
        else:
            system, path = _file_system(url, options)
            found = _remote_file(url, "", system.info(path)).version
    except FileNotFoundError:
        raise InputChanged(f"the source file {url} was removed after it was listed; {_LIST_ANEW}") from None
    if found != version:
        raise InputChanged(f"the source file {url} changed after it was listed; {_LIST_ANEW}")
