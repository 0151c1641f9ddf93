"""A damaged exchange file fails the run once; the same command then does its task again, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import checkrow as cr
from checkrow.errors import CorruptControlFile
from checkrow.events import Event, StageFinished
from tests.conftest import rows_of


def plan(source: str, target: str) -> cr.Plan:
    grouped = cr.scan(source).group_by("city", "small").agg(s=cr.sum("ratio"), n=cr.count())
    return grouped.plan_parquet(target, key="k").with_target_bytes(4_000)


def run(source: str, target: str, progress: Callable[[Event], None] | None = None) -> cr.Run:
    """Runs on two threads: both meet the damage."""
    return plan(source, target).run(checkpoint_interval_s=0, limits=cr.Limits(threads=2), progress=progress)


def stop(event: Event) -> None:
    if isinstance(event, StageFinished):
        raise RuntimeError("stopped between the stages")


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(bytes(data))


def in_a_segment(path: Path) -> int:
    """Returns where the first segment's first byte stands: after the header, at a multiple of 64."""
    head = 8 + int.from_bytes(path.read_bytes()[4:8], "little")
    return head + -head % 64


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        (in_a_segment, "partition 0 is damaged"),
        (lambda _: 12, "its header or footer is damaged"),
        (lambda _: -1, "its header or footer is damaged"),
    ],
)
def test_the_damaged_task_is_done_again(source, position, reason) -> None:
    """Its manifest held, as the size was right: no resume ever did the task again."""
    run(source, "calm")
    with pytest.raises(RuntimeError, match="between the stages"):
        run(source, "out", stop)
    files = sorted(Path("out.checkrow").glob("runs/*/exchange/*"))
    flip(files[1], position(files[1]))
    with pytest.raises(
        CorruptControlFile,
        match=rf"{files[1]} was set aside: .*{reason}; run the same command again, which does the task",
    ):
        run(source, "out")
    assert not files[1].exists()
    assert files[1].with_name(files[1].name + ".damaged").is_file()
    assert not Path("out").exists()
    again = run(source, "out")
    assert (again.metrics["tasks_reused"], again.steps[0].tasks) == (len(files) - 1, len(files))
    assert len(list(Path("out.checkrow").glob("runs/*/manifests/000-000001.g2.json"))) == 1
    assert rows_of(cr.scan("out").collect()) == rows_of(cr.scan("calm").collect())
    assert not list(Path("out.checkrow").glob("runs/*/exchange/*"))


def test_a_damaged_file_that_cannot_be_set_aside_is_to_be_removed(source, monkeypatch) -> None:
    with pytest.raises(RuntimeError, match="between the stages"):
        run(source, "out", stop)
    file = min(Path("out.checkrow").glob("runs/*/exchange/*"))
    flip(file, in_a_segment(file))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(CorruptControlFile, match=r"cannot be used: partition 0 is damaged; remove it \(Permission"):
            run(source, "out")
    file.unlink()
    assert run(source, "out").status == "committed"
