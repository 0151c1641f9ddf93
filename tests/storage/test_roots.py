"""A data root is a plain local directory of its own; anything else is refused with the remedy, before any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from checkrow.errors import ConfigError, CorruptControlFile, StorageError, StoreCapabilityError
from checkrow.storage.log import CommitLog
from checkrow.storage.reveal import roll_forward
from checkrow.storage.roots import (
    ensure_identity,
    holds_files,
    read_identity,
    require_exchange,
    resolve_root,
)
from tests.storage.workbench import NOON, committer, digests, glob_view, new_dataset

SHM = Path("/dev/shm")  # a second file system, not a place for temporary files


def test_the_control_root_is_the_sibling(tmp_path: Path) -> None:
    root = resolve_root(str(tmp_path / "orders"))
    assert (root.data, root.control) == (tmp_path / "orders", tmp_path / "orders.checkrow")


@pytest.mark.parametrize("spelling", ["{}/orders", "{}/orders/", "file://{}/orders", "{}/x/../orders", "{}//orders/."])
def test_all_spellings_are_one_root(tmp_path: Path, spelling: str) -> None:
    assert resolve_root(spelling.format(tmp_path)) == resolve_root(str(tmp_path / "orders"))


def test_relative_and_home_paths_are_one_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_root("orders") == resolve_root("~/orders") == resolve_root(str(tmp_path / "orders"))


def test_linked_parents_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert resolve_root(str(tmp_path / "link" / "orders")) == resolve_root(str(tmp_path / "real" / "orders"))


def test_dots_after_a_link_mean_what_the_kernel_means(tmp_path: Path) -> None:
    (tmp_path / "far" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "real")
    assert resolve_root(f"{tmp_path}/link/../orders").data == tmp_path / "far" / "orders"


def test_a_file_url_may_name_this_host(tmp_path: Path) -> None:
    assert resolve_root(f"file://localhost{tmp_path}/orders") == resolve_root(str(tmp_path / "orders"))


@pytest.mark.parametrize("url", ["s3://bucket/orders", "gs://b/o", "abfs://c/o", "memory://o", "https://h/o"])
def test_stores_that_cannot_be_written_are_refused(url: str) -> None:
    with pytest.raises(StoreCapabilityError, match="local paths only") as raised:
        resolve_root(url)
    assert url in str(raised.value)


def test_a_remote_control_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreCapabilityError, match="s3://bucket/c"):
        resolve_root(str(tmp_path / "orders"), control="s3://bucket/c")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orders").write_bytes(b"")
    with pytest.raises(ConfigError, match="is a file"):
        resolve_root(str(tmp_path / "orders"))


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_is_refused_and_its_target_named(tmp_path: Path, target_exists: bool) -> None:
    if target_exists:
        (tmp_path / "real").mkdir()
    (tmp_path / "orders").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="symbolic link") as raised:
        resolve_root(str(tmp_path / "orders"))
    assert str(tmp_path / "real") in str(raised.value)


@pytest.mark.parametrize("place", ["/", "/proc"])
def test_a_mount_point_needs_a_control_root(place: str) -> None:
    with pytest.raises(ConfigError, match="control="):
        resolve_root(place)


def test_a_mount_point_with_a_control_root_is_fine(tmp_path: Path) -> None:
    assert resolve_root("/proc", control=str(tmp_path / "c")).control == tmp_path / "c"


def test_a_place_inside_a_control_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="control root"):
        resolve_root(str(tmp_path / "orders.checkrow" / "runs"))


@pytest.mark.parametrize(("data", "control"), [("o", "o/c"), ("c/o", "c"), ("o", "o"), ("o", "x/../o")])
def test_roots_that_contain_each_other_are_refused(tmp_path: Path, data: str, control: str) -> None:
    with pytest.raises(ConfigError, match="must not contain each other"):
        resolve_root(str(tmp_path / data), control=str(tmp_path / control))


@pytest.mark.parametrize("url", ["", "file://"])
def test_an_empty_url_is_not_the_current_directory(tmp_path: Path, url: str) -> None:
    for arguments in ((url,), (str(tmp_path / "orders"), url)):
        with pytest.raises(ConfigError, match="names no place"):
            resolve_root(*arguments)


def test_a_file_system_that_takes_no_directories_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/proc/x\.checkrow cannot be created"):
        ensure_identity(resolve_root("/proc/x"), NOON)


@pytest.mark.parametrize("url", ["a\0b", "file:///a\0b"])
def test_nul_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="NUL"):
        resolve_root(url)


def test_identity_is_written_once(tmp_path: Path) -> None:
    root = resolve_root(str(tmp_path / "orders"))
    assert read_identity(root) is None
    first = ensure_identity(root, NOON)
    assert ensure_identity(root, "2030-01-01T00:00:00+00:00") == first == read_identity(root)
    assert first.created_at == NOON
    assert not root.data.exists()


def test_two_datasets_are_two_identities(tmp_path: Path) -> None:
    made = [ensure_identity(resolve_root(str(tmp_path / name)), NOON).dataset for name in "ab"]
    assert made[0] != made[1]


@pytest.mark.parametrize("name", ["other.parquet", "deep/er/notes.txt"])
def test_foreign_files_are_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    file = tmp_path / "orders" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"foreign")
    root = resolve_root(str(tmp_path / "orders"))
    assert holds_files(root.data)
    with pytest.raises(ConfigError, match="no checkrow run committed"):
        ensure_identity(root, NOON)
    assert file.read_bytes() == b"foreign"
    assert not root.control.exists()


def test_empty_directories_are_no_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "orders" / "day=1").mkdir(parents=True)
    new_dataset(tmp_path / "orders")


def test_data_without_its_control_root_is_not_taken_over(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "orders")
    committer(root, "r", {"a.parquet": b"a"})()
    roll_forward(root)
    root.control.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="no checkrow run committed"):
        ensure_identity(resolve_root(str(tmp_path / "orders")), NOON)


def test_a_log_without_identity_is_corrupt(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "orders")
    committer(root, "r", {"a.parquet": b"a"})()
    (root.control / "format.json").unlink()
    with pytest.raises(CorruptControlFile, match=r"format\.json"):
        read_identity(root)


def test_exchange_works_here_and_leaves_no_trace(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "orders")
    before = sorted(os.listdir(root.control))
    require_exchange(root)
    assert sorted(os.listdir(root.control)) == before


def test_a_file_system_without_exchange_refuses_replace_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(first: Path, second: Path) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("checkrow.storage.swap.swap", refuse)
    root = new_dataset(tmp_path / "orders")
    with pytest.raises(StoreCapabilityError, match="mode='append'"):
        require_exchange(root)
    assert not [p for p in root.control.iterdir() if "probe" in p.name]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A control root on another file system."""
    place = SHM / f"checkrow-test-{os.getpid()}-{tmp_path.name}"
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is not a second file system here")
    return place


def test_a_control_root_on_another_file_system_is_refused_before_any_commit(tmp_path: Path, elsewhere: Path) -> None:
    try:
        with pytest.raises((ConfigError, StorageError)):
            new_dataset(tmp_path / "orders", control=str(elsewhere))
    finally:
        _remove(elsewhere)


def test_a_control_root_on_another_file_system_never_shows_a_part(tmp_path: Path, elsewhere: Path) -> None:
    try:
        root = new_dataset(tmp_path / "orders", control=str(elsewhere))
        committer(root, "r", {"a.parquet": b"a"})()
        with pytest.raises(StorageError):
            roll_forward(root)
        assert glob_view(root) == digests({})
        assert CommitLog(root.store).revealed() == set()
    except (ConfigError, StoreCapabilityError):
        assert not (tmp_path / "orders").exists()
    finally:
        _remove(elsewhere)


def _remove(place: Path) -> None:
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if place.is_dir():
        place.rmdir()


@pytest.mark.parametrize("exists", [True, False])
def test_a_mount_that_refuses_links_is_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    def refuse(source: object, target: object, **_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    if exists:
        (tmp_path / "x").mkdir()
    root = resolve_root(str(tmp_path / "x"))
    with pytest.raises(ConfigError, match=r"cannot be linked into .*Invalid cross-device link.*control="):
        ensure_identity(root, NOON)
    assert not root.control.exists()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_trial_link_of_another_first_writer_is_no_foreign_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".probe.tmp-1").touch()
    assert ensure_identity(resolve_root(str(tmp_path / "x")), NOON).dataset
