"""What a run writes has the mode and the group of the data root: private stays private, shared stays shared."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.storage.access import follow

OTHER_GROUP = 12_345
"""A group nobody is in; only root may give it."""


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs under several masks, none of which may matter below a root that exists."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(top: Path) -> set[str]:
    """Returns "d" or "f" with the permission bits of everything at or below a directory."""
    kinds = {True: "d", False: "f"}
    paths = [top, *top.rglob("*")]
    return {f"{kinds[p.is_dir()]}{stat.S_IMODE(p.stat().st_mode):o}" for p in paths}


def source(place: Path) -> str:
    place.mkdir()
    pq.write_table(pa.table({"day": [1, 1, 2], "x": [1, 2, 3]}), place / "a.parquet")
    return str(place)


@pytest.mark.parametrize(("mode", "files"), [(0o700, 0o600), (0o770, 0o660), (0o2775, 0o664), (0o755, 0o644)])
def test_both_roots_follow_the_data_root(tmp_path: Path, umask: int, mode: int, files: int) -> None:
    rows, data = cr.scan(source(tmp_path / "in")), tmp_path / "out"
    data.mkdir()
    data.chmod(mode)
    for how in ("append", "append", "replace", "replace"):
        rows.write_parquet(str(data), partition_by="day", mode=how)
    rows.group_by("day").agg(n=cr.count()).write_parquet(str(data), mode="replace", key="k")
    assert modes(data) == {f"d{mode:o}", f"f{files:o}"}
    assert modes(tmp_path / "out.checkrow") == {f"d{mode:o}", f"f{files:o}"}


def test_a_new_root_has_the_mode_the_umask_gives(tmp_path: Path, umask: int) -> None:
    rows, data = cr.scan(source(tmp_path / "in")), tmp_path / "out"
    rows.write_parquet(str(data), partition_by="day")
    wanted = {f"d{0o777 & ~umask:o}", f"f{0o666 & ~umask:o}"}
    assert modes(data) == modes(tmp_path / "out.checkrow") == wanted


def test_a_root_that_was_opened_to_a_group_is_followed_from_then_on(tmp_path: Path) -> None:
    rows, data = cr.scan(source(tmp_path / "in")), tmp_path / "out"
    rows.write_parquet(str(data))
    data.chmod(0o2770)
    rows.write_parquet(str(data), mode="replace")
    assert modes(data) == {"d2770", "f660"}
    assert stat.S_IMODE((tmp_path / "out.checkrow").stat().st_mode) == 0o2770


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a group that nobody is in")
def test_the_group_follows_too(tmp_path: Path) -> None:
    rows, data = cr.scan(source(tmp_path / "in")), tmp_path / "out"
    data.mkdir()
    os.chown(data, -1, OTHER_GROUP)
    for how in ("append", "replace"):
        rows.write_parquet(str(data), partition_by="day", mode=how)
    everything = [p for top in (data, tmp_path / "out.checkrow") for p in (top, *top.rglob("*"))]
    assert {p.stat().st_gid for p in everything} == {OTHER_GROUP}


def test_a_group_that_may_not_be_given_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.touch(0o600)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    tmp_path.chmod(0o750)
    monkeypatch.setattr("checkrow.storage.access.Path.stat", _other_group(tmp_path))
    follow(file, tmp_path)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o640


def _other_group(root: Path) -> object:
    """Returns a `Path.stat` for which a root belongs to another group."""
    real = Path.stat

    def changed(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        if path != root:
            return found
        fields = list(found)
        fields[stat.ST_GID] = OTHER_GROUP
        return os.stat_result(fields)

    return changed
