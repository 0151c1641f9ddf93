"""Data roots and their control roots: canonical, checked, identified.

Invariant: a data root holds nothing but revealed data files and Hive directories; all else is in the control root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from pathlib import Path

import msgspec

from checkrow.errors import ConfigError, CorruptControlFile, PermissionRefused, StoreCapabilityError
from checkrow.storage.access import follow, is_ours
from checkrow.storage.control import MAJOR, decode, encode
from checkrow.storage.store import PosixStore, is_local, local_path, make_directories, typed_errors
from checkrow.storage.swap import exchange_works

SUFFIX = ".checkrow"
_QUARANTINE_SUFFIX = ".quarantine"
_IDENTITY = "format.json"
_PROBE = ".probe.tmp-"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a dataset is: written once, never changed."""

    format: int = MAJOR
    dataset: str
    created_at: str


class DatasetRoot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a dataset's files and its control files are."""

    data: Path
    control: Path

    @property
    def store(self) -> PosixStore:
        """The control root as a store."""
        return PosixStore(self.control)

    @property
    def quarantine(self) -> DatasetRoot:
        """The roots of the dataset's quarantine: a data root beside this one's control root, which it shares."""
        usual = self.control == self.data.with_name(self.data.name + SUFFIX)
        beside = self.data if usual else self.control
        return DatasetRoot(data=beside.with_name(beside.name + _QUARANTINE_SUFFIX), control=self.control)


def resolve_root(url: str, control: str | None = None) -> DatasetRoot:
    """Returns the roots of a dataset to be written or read with its log.

    Raises
    ------
    ConfigError
        If the URL cannot be a data root: a file, a mount point without `control`, a place inside a control root.
    StoreCapabilityError
        If it is not a local path.
    """
    for named in (url, control or ""):
        if not is_local(named):
            raise StoreCapabilityError(f"{named} cannot be written: this version commits to local paths only")
    data = _canonical(url)
    if control is None:
        if data.parent == data or os.path.ismount(data):
            raise ConfigError(
                f"{data} is a mount point and has no usable sibling; write to a directory below it, "
                "or name a control root on the same file system with control="
            )
        place = data.with_name(data.name + SUFFIX)
    else:
        place = _canonical(control)
    _check(data, place)
    return DatasetRoot(data=data, control=place)


def _canonical(url: str) -> Path:
    """Resolves everything but the last name, so that a data root that is itself a link is seen as one."""
    path = local_path(url)
    return path.resolve() if path.name in {"", ".."} else path.parent.resolve() / path.name


def _device(path: Path) -> int:
    """Returns the file system a path is on, or will be on once it is made."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def _check(data: Path, control: Path) -> None:
    if data.is_symlink():
        raise ConfigError(f"{data} is a symbolic link; write to the directory it points to: {data.resolve()}")
    if data.exists() and not data.is_dir():
        raise ConfigError(f"{data} is a file; a dataset needs a directory")
    if any(p.name.endswith(SUFFIX) for p in (data, *data.parents)):
        raise ConfigError(f"{data} lies in a control root; datasets stand beside those, not inside")
    if control == data or control in data.parents or data in control.parents:
        raise ConfigError(f"the control root {control} and the data root {data} must not contain each other")


def read_identity(root: DatasetRoot) -> Identity | None:
    """Returns a dataset's identity, or None when it has no control root yet."""
    try:
        return decode(root.store.get(_IDENTITY), Identity, str(root.control / _IDENTITY))
    except FileNotFoundError:
        if root.control.is_dir() and any(root.control.glob("log/*.json")):
            raise CorruptControlFile(f"{root.control} has a log but no {_IDENTITY}; restore it from a backup") from None
        return None


def ensure_identity(root: DatasetRoot, created_at: str) -> Identity:
    """Returns a dataset's identity, creating it with the control root at the first write.

    Raises
    ------
    ConfigError
        If the data root holds files that checkrow did not write.
    """
    known = read_identity(root)
    if known is not None:
        _follow_data(root)
        return known
    refuse_foreign(root)
    with typed_errors(f"cannot create {root.control}"):
        _make_control(root)
        made = Identity(dataset=uuid.uuid4().hex, created_at=created_at)
        root.store.put_if_absent(_IDENTITY, encode(made))
    found = read_identity(root)
    if found is None:
        raise PermissionRefused(f"{root.control} cannot be read back after it was written; check its permissions")
    return found


def _make_control(root: DatasetRoot) -> None:
    """Makes the control root, unless files cannot be linked from there to where data will stand."""
    try:
        make_directories(root.control)
    except FileNotFoundError:  # as /proc answers
        raise ConfigError(
            f"{root.control} cannot be created: its file system takes no directories; write to another place"
        ) from None
    _follow_data(root)
    try:
        _try_link(root)
    except ConfigError:
        with contextlib.suppress(OSError):  # another first writer may have put something there
            root.control.rmdir()
        raise


def refuse_foreign(root: DatasetRoot) -> None:
    """Raises ConfigError when a place cannot become a dataset; makes nothing."""
    if read_identity(root) is not None:
        return
    if holds_files(root.data):
        raise ConfigError(
            f"{root.data} holds files that no checkrow run committed; write to another path "
            "(taking over foreign files is not supported yet)"
        )
    if _device(root.data) != _device(root.control):
        raise ConfigError(
            f"the control root {root.control} is on another file system than {root.data}; choose one on it"
        )


def refuse_foreign_quarantine(root: DatasetRoot, *, known: bool) -> None:
    """Raises ConfigError when a dataset's quarantine cannot stand where it belongs.

    Parameters
    ----------
    known : bool
        Whether commits of the dataset put rows there before.
    """
    place = root.quarantine
    _check(place.data, place.control)
    if not known and holds_files(place.data):
        raise ConfigError(
            f"{place.data} is where rows that fail would go, but it holds files that no commit of {root.data} put "
            "there; move them away"
        )


def _follow_data(root: DatasetRoot) -> None:
    """Gives the control root the mode and group of the data root, once there is one."""
    if root.data.is_dir() and is_ours(root.control):
        with typed_errors(f"cannot change the mode of {root.control}"):
            follow(root.control, root.data)


def _try_link(root: DatasetRoot) -> None:
    """Links a file from the control root to where data will stand: mounts of one file system refuse that too.

    Raises
    ------
    ConfigError
        If it cannot be done; nothing stays behind.
    """
    there = next(p for p in (root.data, *root.data.parents) if p.is_dir())
    name = f"{_PROBE}{uuid.uuid4().hex}"
    made, link = root.control / name, there / name
    try:
        made.touch()
        link.hardlink_to(made)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        raise ConfigError(
            f"files of the control root {root.control} cannot be linked into {there} ({error.strerror}); name a "
            "control root on the same file system and mount with control="
        ) from None
    finally:
        link.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def holds_files(path: Path) -> bool:
    """Tells whether anything but empty directories, and the trial link of a first writer, is below a path."""
    return path.is_dir() and any(not n.startswith(_PROBE) for _, _, names in os.walk(path) for n in names)


def require_exchange(root: DatasetRoot) -> None:
    """Raises StoreCapabilityError when directories cannot be swapped in one step here, as every replacement needs."""
    if not exchange_works(root.control):
        raise StoreCapabilityError(
            f"the file system of {root.control} cannot swap directories (RENAME_EXCHANGE): readers would see a mixture "
            "of old and new files. Write to a new path, or use mode='append' without force"
        )
