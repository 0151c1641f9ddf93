"""Listing input: all data files and nothing else, with a version that tells when one changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from checkrow.errors import ConfigError, InputChanged, StorageError
from checkrow.storage.store import check_unchanged, list_files, open_input


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.parquet", "a/z.parquet", "a/deep/y.parquet", "_hidden.parquet", ".dot.parquet", "_temporary/x.parquet",
        ".cache/x.parquet", "notes.txt", "day=2026-01-02/c.parquet",
    ):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "in"


DATA = ["a/deep/y.parquet", "a/z.parquet", "b.parquet", "day=2026-01-02/c.parquet"]


@pytest.mark.parametrize("spelling", ["{}", "{}/", "file://{}"])
def test_all_data_files_are_listed_in_order(tree: Path, spelling: str) -> None:
    found = list_files(spelling.format(tree), {})
    assert [f.path for f in found] == DATA
    assert [f.size_bytes for f in found] == [len(p) for p in DATA]
    assert [Path(f.url).read_bytes().decode() for f in found] == DATA


def test_one_file_is_a_listing_of_one(tree: Path) -> None:
    (found,) = list_files(str(tree / "b.parquet"), {})
    assert (found.url, found.path) == (str(tree / "b.parquet"), "b.parquet")


@pytest.mark.parametrize("url", ["nowhere", "memory://nowhere-at-all"])
def test_what_is_missing_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=url):
        list_files(url, {})


def test_hidden_parents_of_the_url_do_not_hide_it(tmp_path: Path) -> None:
    place = tmp_path / "_staging" / ".x"
    place.mkdir(parents=True)
    (place / "a.parquet").write_bytes(b"a")
    assert [f.path for f in list_files(str(place), {})] == ["a.parquet"]


def test_a_changed_file_is_noticed(tree: Path) -> None:
    found = list_files(str(tree), {})[0]
    check_unchanged(found.url, {}, found.version)
    path = Path(found.url)
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(InputChanged, match="changed"):
        check_unchanged(found.url, {}, found.version)


def test_a_replaced_file_of_the_same_size_and_time_is_noticed(tree: Path) -> None:
    found = list_files(str(tree), {})[0]
    path = Path(found.url)
    stat = path.stat()
    twin = path.with_name("twin")
    twin.write_bytes(b"x" * stat.st_size)
    os.utime(twin, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    twin.replace(path)
    with pytest.raises(InputChanged, match="changed"):
        check_unchanged(found.url, {}, found.version)


def test_a_removed_file_is_noticed(tree: Path) -> None:
    found = list_files(str(tree), {})[0]
    Path(found.url).unlink()
    with pytest.raises(InputChanged, match="removed"):
        check_unchanged(found.url, {}, found.version)


def test_other_file_systems_go_through_fsspec() -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/bucket-of-sources/in/b.parquet", b"bb")
    system.pipe_file("/bucket-of-sources/in/a/x.parquet", b"a")
    system.pipe_file("/bucket-of-sources/in/_skip.parquet", b"a")
    found = list_files("memory://bucket-of-sources/in", {})
    assert [(f.path, f.size_bytes) for f in found] == [("a/x.parquet", 1), ("b.parquet", 2)]
    with open_input(found[1].url, {}) as file:
        assert file.read() == b"bb"
    check_unchanged(found[1].url, {}, found[1].version)
    system.pipe_file("/bucket-of-sources/in/b.parquet", b"changed")
    with pytest.raises(InputChanged):
        check_unchanged(found[1].url, {}, found[1].version)


def test_local_files_are_opened_by_path(tree: Path) -> None:
    assert open_input(str(tree / "b.parquet"), {}) == str(tree / "b.parquet")


def test_a_directory_that_cannot_be_read_is_an_error_not_an_omission(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StorageError):
        list_files(str(tree), {})


def test_linked_directories_are_not_left_out_silently(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "day=2026-01-03").symlink_to(tree / "a")
    try:
        found = [f.path for f in list_files(str(tree), {})]
    except (ConfigError, StorageError):
        return
    assert "day=2026-01-03/z.parquet" in found
