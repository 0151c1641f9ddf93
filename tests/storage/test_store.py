"""Every store keeps the same promises: one class of tests, run on each store that joins `STORES`."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkrow.errors import CommitConflict, DiskFull, PermissionRefused, StorageError
from checkrow.storage.store import Outcome, PosixStore, Store
from tests.storage.crash import Crash, run_until

STORES: dict[str, Callable[[Path], Any]] = {"posix": lambda place: PosixStore(place / "control")}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return STORES[request.param](tmp_path)


def _staged(store: Store, key: str, content: bytes) -> str:
    with store.stage(key) as staged:
        staged.path.write_bytes(content)
    return staged.sha256


class TestStoreVerbs:
    def test_a_key_is_created_once(self, store: Store) -> None:
        assert store.put_if_absent("a/b/c", b"mine") is Outcome.CREATED
        assert store.put_if_absent("a/b/c", b"theirs") is Outcome.OTHER
        assert store.get("a/b/c") == b"mine"

    def test_the_same_bytes_again_are_mine(self, store: Store) -> None:
        store.put_if_absent("k", b"mine")
        assert store.put_if_absent("k", b"mine") is Outcome.MINE_ALREADY

    def test_of_eight_racers_one_creates(self, store: Store) -> None:
        for round_number in range(10):
            barrier = threading.Barrier(8)

            def race(number: int, key: str = f"race/{round_number}", barrier: threading.Barrier = barrier) -> Outcome:
                barrier.wait()
                return store.put_if_absent(key, f"racer {number}".encode())

            with ThreadPoolExecutor(8) as pool:
                outcomes = list(pool.map(race, range(8)))
            assert sorted(o.value for o in outcomes) == ["created", *["other"] * 7]
            winner = outcomes.index(Outcome.CREATED)
            assert store.get(f"race/{round_number}") == f"racer {winner}".encode()

    def test_a_missing_key_is_file_not_found(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.get("nowhere/at/all")

    def test_listing_is_sorted_whole_and_limited_to_the_directory(self, store: Store) -> None:
        for key in ("log/b", "log/a", "log/deep/c", "logs/d", "other"):
            store.put_if_absent(key, b"")
        assert store.list("log") == ("log/a", "log/b", "log/deep/c")
        assert store.list("nothing") == ()

    def test_delete_is_idempotent(self, store: Store) -> None:
        store.put_if_absent("k", b"x")
        store.delete("k")
        store.delete("k")
        with pytest.raises(FileNotFoundError):
            store.get("k")
        assert store.put_if_absent("k", b"y") is Outcome.CREATED

    def test_staging_measures_what_was_written(self, store: Store) -> None:
        content = bytes(range(256)) * 5000
        with store.stage("s/1") as staged:
            staged.path.write_bytes(content)
            assert store.list("s") == ()
        assert (staged.size_bytes, staged.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert store.get("s/1") == content

    def test_a_failed_stage_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.stage("s/1") as staged:
            staged.path.write_bytes(b"half")
            raise ZeroDivisionError
        assert store.list("s") == ()
        assert not staged.path.exists()

    def test_reveal_is_idempotent(self, store: Store, tmp_path: Path) -> None:
        final = tmp_path / "data" / "day=1" / "f.parquet"
        final.parent.mkdir(parents=True)
        sha256 = _staged(store, "s/1", b"content")
        store.reveal("s/1", final, sha256)
        store.reveal("s/1", final, sha256)
        assert final.read_bytes() == b"content"
        store.abort("s/1")
        assert final.read_bytes() == b"content"

    def test_reveal_never_replaces(self, store: Store, tmp_path: Path) -> None:
        final = tmp_path / "f.parquet"
        final.write_bytes(b"stranger")
        with pytest.raises(CommitConflict, match="nothing was replaced"):
            store.reveal("s/1", final, _staged(store, "s/1", b"content"))
        assert final.read_bytes() == b"stranger"

    def test_reveal_of_a_lost_file_is_named(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"s/1.*missing"):
            store.reveal("s/1", tmp_path / "f.parquet", "0" * 64)

    def test_abort_forgets(self, store: Store) -> None:
        _staged(store, "s/1", b"x")
        store.abort("s/1")
        store.abort("s/1")
        assert store.list("s") == ()

    @pytest.mark.parametrize("key", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/\0"])
    def test_keys_that_leave_the_root_are_refused(self, store: Store, key: str) -> None:
        with pytest.raises(StorageError, match="not a plain relative path"):
            store.put_if_absent(key, b"x")


class TestPosixStore:
    """What only a file system can do wrong."""

    @pytest.mark.parametrize("after_effect", [False, True])
    def test_a_kill_in_any_call_leaves_a_key_absent_or_whole(self, tmp_path: Path, after_effect: bool) -> None:
        content = b"x" * 100_000
        for at in range(1, 100):
            store = PosixStore(tmp_path / str(at))
            store.root.mkdir()
            if run_until(Crash(at, after_effect=after_effect), partial(store.put_if_absent, "log/1", content)):
                assert at > 5
                return
            left = {p.name: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
            assert left.pop("log-1", content) == content
            assert all(".tmp-" in name or (name == "1" and data == content) for name, data in left.items())
            assert store.put_if_absent("log/1", content) in {Outcome.CREATED, Outcome.MINE_ALREADY}
        raise AssertionError("the put never ends")

    def test_data_is_synced_before_its_name_and_the_directory_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = PosixStore(tmp_path)
        (tmp_path / "log").mkdir()
        done: list[str] = []
        for name in ("fsync", "link"):
            _note_calls(monkeypatch, name, done)
        store.put_if_absent("log/1", b"x")
        assert done == ["fsync file", "link", "fsync directory"]

    def test_a_staged_file_is_synced_before_its_name_and_the_directory_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "s").mkdir()
        done: list[str] = []
        for name in ("fsync", "replace"):
            _note_calls(monkeypatch, name, done)
        _staged(PosixStore(tmp_path), "s/1", b"x")
        assert done == ["fsync file", "replace", "fsync directory"]

    def test_new_parent_directories_are_synced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: set[str] = set()
        real = os.fsync

        def fsync(descriptor: int) -> None:
            synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        PosixStore(tmp_path / "control").put_if_absent("a/b/c", b"x")
        top = tmp_path.resolve()
        assert {str(top), str(top / "control"), str(top / "control/a"), str(top / "control/a/b")} <= synced

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (errno.ENOSPC, DiskFull),
            (errno.EDQUOT, DiskFull),
            (errno.EACCES, PermissionRefused),
            (errno.EROFS, PermissionRefused),
            (errno.EIO, StorageError),
        ],
    )
    @pytest.mark.parametrize("call", ["write", "fsync", "link"])
    def test_errors_of_the_system_are_typed_and_name_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[StorageError], call: str
    ) -> None:
        store = PosixStore(tmp_path / "control")
        store.put_if_absent("log/0", b"x")

        def fail(*args: object, **options: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(error, match=r"log/1") as raised:
            store.put_if_absent("log/1", b"x" * 1000)
        assert type(raised.value) is error
        monkeypatch.undo()
        assert store.put_if_absent("log/1", b"again") is Outcome.CREATED

    def test_a_disk_that_fills_while_staging_leaves_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = PosixStore(tmp_path / "control")
        with pytest.raises(DiskFull, match="free space"), store.stage("s/1") as staged:
            staged.path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        assert [p for p in store.root.rglob("*") if p.is_file()] == []

    def test_short_writes_are_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
        store = PosixStore(tmp_path)
        store.put_if_absent("k", bytes(range(100)))
        assert store.get("k") == bytes(range(100))


def _note_calls(monkeypatch: pytest.MonkeyPatch, name: str, done: list[str]) -> None:
    real = getattr(os, name)

    def note(*args: Any, **options: Any) -> Any:
        kind = ""
        if name == "fsync":
            kind = " directory" if os.path.isdir(f"/proc/self/fd/{args[0]}") else " file"  # of a descriptor
        done.append(name + kind)
        return real(*args, **options)

    monkeypatch.setattr(os, name, note)
