"""SIGKILL at random instants of real processes: every resume ends in the content of an undisturbed run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from checkrow.storage.control import decode
from checkrow.storage.log import CommitRecord
from checkrow.storage.manifest import TaskManifest
from tests.conftest import sample

KILLS = int(os.environ.get("CHECKROW_KILLS", "20"))
SEED = int(os.environ.get("CHECKROW_SEED", "20261123"))


class Zygote:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def start(self, source: Path, target: Path, mode: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"source": str(source), "target": str(target), "mode": mode}) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.fixture(scope="module")
def big_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "source"
    folder.mkdir()
    for number in range(6):
        pq.write_table(sample(6_000, seed=number), folder / f"{number}.parquet", row_group_size=3_000)
    return folder


def content(target: Path) -> str:
    """Returns a digest of the rows of both data roots, whatever the run was called."""
    digest = hashlib.sha256()
    quarantine = target.with_name(target.name + ".quarantine")
    assert len(list(quarantine.glob("*.parquet"))) > 1
    for place in (target, quarantine):
        for path in sorted(place.rglob("*.parquet"), key=lambda p: (p.parent.name, p.name.split("-", 2)[2])):
            table = pq.read_table(path, partitioning=None)
            held = [n for n in table.column_names if n not in {"_run", "_instance"}]
            digest.update(path.relative_to(place).parent.name.encode())
            digest.update(repr(table.select(held).to_pydict()).encode())
    return digest.hexdigest()


def manifests(target: Path) -> dict[str, TaskManifest]:
    found = target.with_name(target.name + ".checkrow").glob("runs/*/manifests/*.json")
    return {p.name: decode(p.read_bytes(), TaskManifest, p.name) for p in found}


def records(target: Path) -> list[CommitRecord]:
    found = sorted(target.with_name(target.name + ".checkrow").glob("log/*.json"))
    return [decode(p.read_bytes(), CommitRecord, p.name) for p in found]


def refuse_uncommitted(target: Path) -> None:
    """Every file a reader could find is committed and complete."""
    entries = {e.path: e for r in records(target) for c in r.outputs.values() for e in c.adds}
    for place in (target, target.with_name(target.name + ".quarantine")):
        for path in place.rglob("*"):
            if path.is_file():
                entry = entries[path.relative_to(place).as_posix()]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


def finished_tasks(target: Path) -> list[tuple[int, int]]:
    out = []
    for path in target.with_name(target.name + ".checkrow").glob("runs/*/events.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            try:
                event = msgspec.json.decode(line) if line else {}
            except msgspec.DecodeError:
                continue
            if event.get("type") == "task_finished":
                out.append((event["stage"], event["task"]))
    return out


def phase(target: Path) -> str:
    control = target.with_name(target.name + ".checkrow")
    if list(control.glob("log/*.revealed")):
        return "after the last reveal"
    if records(target):
        return "committed, not revealed"
    stages = {name[:3] for name in manifests(target)}
    return f"in stage {int(max(stages))}" if stages else "before the first manifest"


@pytest.mark.timeout(200)
def test_kill_at_random_instants(zygote, big_source, tmp_path, record_property) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # a test's schedule, not a secret
    calm = tmp_path / "calm"
    zygote.start(big_source, calm, "error")
    assert zygote.wait() == 0
    wanted, total, between = content(calm), len(manifests(calm)), 0
    for number in range(KILLS):
        # One in eight at any time; the others once so many manifests are written, and a moment later.
        count = 0 if number % 8 == 7 else chance.randint(1, total)
        delay = chance.uniform(0, 1.0 if count == 0 else 0.03)
        between += kill_and_resume(zygote, big_source, tmp_path / f"out-{number}", count, delay, wanted)
    print(f"{between} of {KILLS} between first manifest and last reveal")
    assert between >= KILLS * 3 // 4


def kill_and_resume(zygote: Zygote, source: Path, target: Path, count: int, delay: float, wanted: str) -> bool:
    victim = zygote.start(source, target, "error")
    written = target.with_name(target.name + ".checkrow")
    while len(list(written.glob("runs/*/manifests/*.json"))) < count:
        pass
    begun = time.monotonic()
    while time.monotonic() - begun < delay:
        pass
    with contextlib.suppress(ProcessLookupError):  # it was faster
        os.kill(victim, signal.SIGKILL)
    code = zygote.wait()
    where = phase(target)
    before, done_before = manifests(target), len(finished_tasks(target))
    refuse_uncommitted(target)
    zygote.start(source, target, "error")
    assert zygote.wait() == 0
    print(f"killed {delay:.3f} s after {count} manifests ({code}): {where}, {len(before)} manifests")
    assert content(target) == wanted
    refuse_uncommitted(target)
    after = manifests(target)
    assert {n: m.attempt for n, m in before.items()} == {n: after[n].attempt for n in before}
    redone = set(finished_tasks(target)[done_before:]) & {(m.stage, m.task) for m in before.values()}
    assert redone == set()
    return bool(before) and where != "after the last reveal"
