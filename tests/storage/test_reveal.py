"""Revealing survives a kill at every system call: readers see what the design allows, and a second try ends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from checkrow.errors import CommitConflict, StorageError
from checkrow.storage.log import CommitLog, CommitRecord, current, snapshot
from checkrow.storage.reveal import locate, roll_forward, root_of
from checkrow.storage.roots import DatasetRoot
from checkrow.storage.store import digest_file
from tests.storage.crash import Crash, run_until
from tests.storage.workbench import change_of, committer, digests, glob_view, new_dataset, record, stage_files

OLD = {"day=1/a.parquet": b"old a", "b.parquet": b"old b"}
NEW = {"day=1/c.parquet": b"new c", "day=2/d.parquet": b"new d", "e.parquet": b"new e"}
Judge = Callable[[Mapping[str, str]], bool]


def _old_or_new(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Judge:
    return lambda seen: seen in (digests(old), digests(new))


def _old_and_some_new(seen: Mapping[str, str]) -> bool:
    """Appends show a prefix of the new files, in the order of the record, beside all old ones."""
    prefixes = [dict(list(NEW.items())[:n]) for n in range(len(NEW) + 1)]
    return seen in [digests({**OLD, **prefix}) for prefix in prefixes]


def _superseder(
    root: DatasetRoot, run: str, files: Mapping[str, bytes], removes: tuple[str, ...]
) -> Callable[[], CommitRecord]:
    """Stages files now; returns the commit that appends them in place of others."""
    adds, staged = stage_files(root, run, files)

    def make(number: int, previous: str) -> CommitRecord:
        return record(number=number, previous=previous, run=run, adds=adds, removes=removes, staged=staged)

    return lambda: CommitLog(root.store).append(make, f"token-{run}", lambda records: None)


def _sweep(
    place: Path, old: Mapping[str, bytes], mode: str, end: Mapping[str, bytes], judge: Judge, *,
    new: Mapping[str, bytes] = NEW, removes: tuple[str, ...] = (),
) -> list[str]:  # fmt: skip
    """Kills commit and reveal at every call, before and after its effect; returns the names of the calls."""
    template = new_dataset(place / "template")
    if old:
        committer(template, "old", old)()
        roll_forward(template)
    died_in = []
    for after_effect in (False, True):
        for at in range(1, 1000):
            root = _copy(template, place / f"{at}-{after_effect}")
            commit = _superseder(root, "new", new, removes) if removes else committer(root, "new", new, mode)
            crash = Crash(at, after_effect=after_effect)
            if run_until(crash, partial(_commit_and_reveal, root, commit)):
                break
            died_in.append(crash.died_in)
            _judge_crashed(root, judge, f"killed in call {at} ({crash.died_in}), after_effect={after_effect}")
            commit()
            roll_forward(root)
            _judge_ended(root, old, end)
            shutil.rmtree(root.data.parent)
        else:
            raise AssertionError("the action never ends")
    return died_in


def _commit_and_reveal(root: DatasetRoot, commit: Callable[[], object]) -> None:
    commit()
    roll_forward(root)


def _copy(template: DatasetRoot, place: Path) -> DatasetRoot:
    place.mkdir()
    for part in (template.data, template.control):
        if part.is_dir():
            shutil.copytree(part, place / part.name)
    return new_dataset(place / template.data.name)


def _judge_crashed(root: DatasetRoot, judge: Judge, when: str) -> None:
    seen = glob_view(root)
    assert judge(seen), f"{when}: a glob reader sees {sorted(seen)}"
    assert not any(".tmp-" in p.name for p in root.data.rglob("*")), when
    log = CommitLog(root.store)
    records = log.read()
    for entry in snapshot(records, current(records, log.revealed())).files:
        assert digest_file(locate(root, entry)) == (entry.size_bytes, entry.sha256), when


def _judge_ended(root: DatasetRoot, old: Mapping[str, bytes], end: Mapping[str, bytes]) -> None:
    log = CommitLog(root.store)
    records = log.read()
    assert [r.run for r in records] == (["old", "new"] if old else ["new"])
    assert log.revealed() == {r.number for r in records}
    assert glob_view(root) == digests(end)
    assert {p.relative_to(root.data).as_posix() for p in root.data.rglob("*") if p.is_file()} == set(end)
    now = snapshot(records, len(records))
    assert {f.path: f.sha256 for f in now.files} == digests(end)
    if old:
        before = snapshot(records, 1)
        assert {f.path: digest_file(locate(root, f))[1] for f in before.files} == digests(old)
    else:
        assert not list(root.control.rglob("*.retired")), "nothing was there, so nothing may be retired"


def test_append_killed_at_every_call(tmp_path: Path) -> None:
    died_in = _sweep(tmp_path, OLD, "append", {**OLD, **NEW}, _old_and_some_new)
    assert {"link", "fsync", "unlink", "mkdir", "write"} <= set(died_in)


def test_replace_killed_at_every_call(tmp_path: Path) -> None:
    died_in = _sweep(tmp_path, OLD, "replace", NEW, _old_or_new(OLD, NEW))
    assert {"link", "fsync", "unlink", "mkdir", "write", "swap", "rename"} <= set(died_in)


KEPT = {"day=1/a.parquet": b"old a"}


def test_superseding_append_killed_at_every_call_shows_old_or_new(tmp_path: Path) -> None:
    """Files that go, come and stay: a glob reader never sees both generations, nor misses what stays."""
    end = {**KEPT, **NEW}
    died_in = _sweep(tmp_path, OLD, "append", end, _old_or_new(OLD, end), removes=("b.parquet",))
    assert {"link", "fsync", "unlink", "mkdir", "write", "swap", "rename"} <= set(died_in)


def test_superseding_by_nothing_killed_at_every_call_shows_old_or_new(tmp_path: Path) -> None:
    """No added file tells which of the two trees is the new one."""
    _sweep(tmp_path, OLD, "append", KEPT, _old_or_new(OLD, KEPT), new={}, removes=("b.parquet",))


OLD_BAD, NEW_BAD = {"rows-1.parquet": b"old bad", "rows-0.parquet": b"other bad"}, {"rows-2.parquet": b"new bad"}


@pytest.mark.parametrize("mode", ["append", "replace", "superseding"])
def test_a_quarantine_is_revealed_with_its_dataset_killed_at_every_call(tmp_path: Path, mode: str) -> None:
    """Each data root shows old or new; both are new once the record has its marker, and old files are kept."""
    gone = {"append": (), "replace": tuple(OLD), "superseding": ("b.parquet",)}[mode]
    bad_gone = {"append": (), "replace": tuple(OLD_BAD), "superseding": ("rows-1.parquet",)}[mode]
    end = {p: c for p, c in OLD.items() if p not in gone} | NEW
    bad_end = {p: c for p, c in OLD_BAD.items() if p not in bad_gone} | NEW_BAD
    template = new_dataset(tmp_path / "template")
    _commit_both(template, "old", OLD, OLD_BAD, (), (), "append")()
    roll_forward(template)
    for after_effect in (False, True):
        for at in range(1, 1000):
            root = _copy(template, tmp_path / f"{at}-{after_effect}")
            shutil.copytree(template.quarantine.data, root.quarantine.data)
            commit = _commit_both(
                root, "new", NEW, NEW_BAD, gone, bad_gone, "replace" if mode == "replace" else "append"
            )
            crash = Crash(at, after_effect=after_effect)
            if run_until(crash, partial(_commit_and_reveal, root, commit)):
                break
            when = f"killed in call {at} ({crash.died_in}), after_effect={after_effect}"
            seen, bad = glob_view(root), glob_view(root.quarantine)
            if mode != "append":
                assert seen in (digests(OLD), digests(end)), when
                assert bad in (digests(OLD_BAD), digests(bad_end)), when
            if 2 in CommitLog(root.store).revealed() or seen == digests(end):
                assert bad == digests(bad_end), when
            commit()
            records = roll_forward(root)
            assert (glob_view(root), glob_view(root.quarantine)) == (digests(end), digests(bad_end)), when
            for output, files in (("data", OLD), ("quarantine", OLD_BAD)):
                place = root_of(root, output)
                before = snapshot(records, 1, output).files
                assert {f.path: locate(place, f).read_bytes() for f in before} == files, when
            assert root.store.list("runs/new/staging") == ()
            shutil.rmtree(root.data.parent)
        else:
            raise AssertionError("the action never ends")


def _commit_both(
    root: DatasetRoot, run: str, files: Mapping[str, bytes], bad: Mapping[str, bytes], removes: tuple[str, ...],
    bad_removes: tuple[str, ...], mode: str,
) -> Callable[[], CommitRecord]:  # fmt: skip
    """Stages files of both outputs now; returns the commit of them."""
    entries, staged = stage_files(root, run, {**files, **bad})
    adds = tuple(e for e in entries if e.path in files)
    change = change_of(tuple(e for e in entries if e.path in bad), bad_removes)

    def make(number: int, previous: str) -> CommitRecord:
        return record(
            number=number, previous=previous, run=run, adds=adds, removes=removes, staged=staged, mode=mode,
            quarantine=change,
        )  # fmt: skip

    return lambda: CommitLog(root.store).append(make, f"token-{run}", lambda records: None)


def test_a_staying_file_that_somebody_removed_does_not_hold_up_later_commits(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "old", OLD)()
    roll_forward(root)
    (root.data / "day=1/a.parquet").unlink()
    _superseder(root, "new", NEW, ("b.parquet",))()
    records = roll_forward(root)
    assert glob_view(root) == digests(NEW)
    gone = next(f for f in snapshot(records, 2).files if f.path == "day=1/a.parquet")
    with pytest.raises(StorageError, match="was committed but is gone"):
        locate(root, gone)


def test_first_write_killed_at_every_call_shows_whole_files_only(tmp_path: Path) -> None:
    prefixes = [digests(dict(list(NEW.items())[:n])) for n in range(len(NEW) + 1)]
    _sweep(tmp_path, {}, "error", NEW, lambda seen: seen in prefixes)


def test_first_replace_shows_nothing_or_everything(tmp_path: Path) -> None:
    _sweep(tmp_path, {}, "replace", NEW, _old_or_new({}, NEW))


def test_staged_names_are_gone_after_a_kill_between_marker_and_cleaning(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "new", NEW)()
    assert not run_until(_first_unlink_after_marker(root), lambda: roll_forward(root))
    assert CommitLog(root.store).revealed() == {1}
    roll_forward(root)
    assert root.store.list("runs/new/staging") == ()


def test_staged_names_of_every_record_are_removed_when_one_process_reveals_two(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "dead", OLD)()
    committer(root, "alive", NEW)()
    roll_forward(root)
    assert root.store.list("runs/dead/staging") == ()
    assert root.store.list("runs/alive/staging") == ()


def _first_unlink_after_marker(root: DatasetRoot) -> Crash:
    """Returns the crash at the first staged name that is removed: found by counting calls on a copy."""
    twin = _copy(root, root.data.parent / "twin")
    calls: list[str] = []

    class Counting(Crash):
        def wrap(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **options: object) -> object:
                calls.append(name)
                return function(*args, **options)

            return call

    run_until(Counting(0, after_effect=False), lambda: roll_forward(twin))
    return Crash(len(calls) - len(NEW) + 1, after_effect=False)


def test_a_replacement_by_nothing_empties_the_data_root(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "old", OLD)()
    roll_forward(root)
    committer(root, "none", {}, "replace")()
    records = roll_forward(root)
    assert glob_view(root) == {}
    assert {f.path: locate(root, f).read_bytes() for f in snapshot(records, 1).files} == OLD
    committer(root, "again", NEW, "append")()
    roll_forward(root)
    assert glob_view(root) == digests(NEW)


def test_snapshots_of_all_ages_are_found_after_two_replacements(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    ages = [OLD, NEW, {"day=9/z.parquet": b"newest"}]
    for number, files in enumerate(ages):
        committer(root, f"r{number}", files, "replace" if number else "append")()
        records = roll_forward(root)
    for number, files in enumerate(ages, start=1):
        assert {f.path: locate(root, f).read_bytes() for f in snapshot(records, number).files} == files


def test_a_foreign_file_with_the_longest_name_is_retired_too(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "old", OLD)()
    roll_forward(root)
    (root.data / ("x" * 255)).write_bytes(b"foreign")
    committer(root, "new", NEW, "replace")()
    records = roll_forward(root)
    assert glob_view(root) == digests(NEW)
    assert {f.path: locate(root, f).read_bytes() for f in snapshot(records, 1).files} == OLD
    assert b"foreign" in [p.read_bytes() for p in (root.control / "retired").rglob("*.retired")]


def test_readers_see_the_old_snapshot_until_every_file_is_revealed(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "old", OLD)()
    roll_forward(root)
    committer(root, "new", NEW)()
    log = CommitLog(root.store)
    assert current(log.read(), log.revealed()) == 1
    assert glob_view(root) == digests(OLD)
    roll_forward(root)
    assert current(log.read(), log.revealed()) == 2


def test_a_stranger_under_a_final_name_is_never_replaced(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "new", NEW)()
    root.data.mkdir()
    (root.data / "e.parquet").write_bytes(b"somebody else's")
    with pytest.raises(CommitConflict, match=r"e\.parquet exists with other content"):
        roll_forward(root)
    assert (root.data / "e.parquet").read_bytes() == b"somebody else's"
    assert CommitLog(root.store).revealed() == set()


def test_a_lost_staged_file_stops_the_reveal_and_is_named(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "new", NEW)()
    lost = root.store.list("runs/new/staging")[1]
    root.store.delete(lost)
    with pytest.raises(StorageError, match="missing"):
        roll_forward(root)
    assert CommitLog(root.store).revealed() == set()


def test_a_committed_file_that_is_gone_is_named(tmp_path: Path) -> None:
    root = new_dataset(tmp_path / "t")
    committer(root, "old", OLD)()
    records = roll_forward(root)
    (root.data / "b.parquet").unlink()
    gone = next(f for f in snapshot(records, 1).files if f.path == "b.parquet")
    with pytest.raises(StorageError, match=r"b\.parquet was committed but is gone"):
        locate(root, gone)
