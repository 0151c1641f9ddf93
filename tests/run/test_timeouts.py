"""A task that runs too long ends the run, resumable: exit 75; its worker process is killed, its thread is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import checkrow as cr
from checkrow.errors import ConfigError, TaskTimeout
from checkrow.events import RunFinished
from checkrow.run.deadlines import Deadlines
from checkrow.run.executor import Done, ThreadExecutor
from tests.conftest import environment

ENDLESS = """
import checkrow as cr

{decorator}
def spin(x):
    n = x
    while n == x and {stuck}:
        n = n + 1 if n > 10**17 else (n * 7 + x) % 1000003 - (n * 7 + x) % 1000003 + x
    return n

@cr.job(name="spinning")
def job(*, source: str, target: str):
    return cr.scan(source).select(x=cr.col("id")).map(spin).plan_parquet(target).with_target_bytes(4_000)
"""


def test_deadlines() -> None:
    deadlines = Deadlines(10.0)
    assert deadlines.wait_s(5.0) is None
    deadlines.begin(1, 100.0)
    deadlines.begin(0, 103.0)
    assert (deadlines.wait_s(104.0), deadlines.overdue(109.9)) == (6.0, ())
    assert (deadlines.wait_s(111.0), deadlines.overdue(110.0), deadlines.overdue(113.0)) == (0.0, (1,), (1, 0))
    deadlines.end(1)
    deadlines.end(7)
    assert (deadlines.wait_s(111.0), deadlines.overdue(112.9)) == (2.0, ())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(starts=st.lists(st.floats(0, 100), max_size=8), now=st.floats(0, 300))
def test_nobody_is_overdue_before_the_wait_is_over(starts, now) -> None:
    deadlines, endless = Deadlines(7.5), Deadlines(None)
    for task, start in enumerate(starts):
        deadlines.begin(task, start)
        endless.begin(task, start)
    assert set(deadlines.overdue(now)) == {t for t, start in enumerate(starts) if start + 7.5 <= now}
    wait = deadlines.wait_s(now)
    assert (wait == 0.0) == bool(deadlines.overdue(now)) or wait is None
    assert (endless.wait_s(now), endless.overdue(now)) == (None, ())


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(limit_s) -> None:
    with pytest.raises(ConfigError, match="more than 0 seconds"):
        cr.Limits(task_timeout_s=limit_s)


class SlowClock:
    """Stands still until a wait for a task is over."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self.now_s = 0.0

    def now(self):
        return self._clock.now()

    def monotonic_s(self) -> float:
        return self.now_s


def test_finished_tasks_are_kept_and_the_rest_is_done_later(source, many_slices, monkeypatch) -> None:
    """The first task that is waited for never comes back; what ran beside it is taken, and nothing new starts."""
    from checkrow.clock import SystemClock
    from checkrow.run import runner

    clock = SlowClock(SystemClock())
    submit, next_done, lost, asked, ended = ThreadExecutor.submit, ThreadExecutor.next_done, [], [], []
    started: list[int] = []

    def losing(self, spec, inputs) -> None:
        if not lost and spec.task.number == 1:
            lost.append(spec.task.number)
            return
        started.append(spec.task.number)
        submit(self, spec, inputs)

    def waiting(self, timeout_s: float | None = None) -> Done | None:
        asked.append(timeout_s)
        if len(ended) == len(started):
            assert timeout_s is not None
            clock.now_s += timeout_s
            return None
        ended.append(next_done(self, None))
        return ended[-1]

    events = []
    plan = cr.scan(source).group_by("city").agg(n=cr.count()).plan_parquet("out", key="k")
    with monkeypatch.context() as patched:
        patched.setattr(ThreadExecutor, "submit", losing)
        patched.setattr(ThreadExecutor, "next_done", waiting)
        patched.setattr(runner, "SystemClock", lambda: clock)
        options = runner.RunOptions(clock=clock, checkpoint_interval_s=0, listener=events.append)
        with pytest.raises(
            TaskTimeout, match=r"task 1 of stage 0 .read and aggregate. ran for longer than .*=5\)"
        ) as stop:
            plan.run_as(_instance(), options, limits=cr.Limits(threads=2, task_timeout_s=5.0))
    assert (stop.value.exit_code, stop.value.retryable) == (75, True)
    assert "goes on until this process ends. Finished tasks are kept" in str(stop.value)
    assert [e.status for e in events if isinstance(e, RunFinished)] == ["interrupted"]
    assert asked[0] == 5.0
    kept = len(list(Path("out.checkrow").glob("runs/*/manifests/*.json")))
    run = plan.run_as(_instance(), runner.RunOptions(checkpoint_interval_s=0))
    assert run.steps[0].tasks_reused == kept > 0


def _instance():
    from checkrow.run.instance import Instance

    return Instance(job="", key="k")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return _job(tmp_path, "x == 1500")


def _job(place: Path, stuck: str) -> Path:
    path = place / "spinning.py"
    path.write_text(
        ENDLESS.format(decorator="@cr.row_kernel(returns={'y': __import__('pyarrow').int64()})", stuck=stuck)
    )
    return path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "checkrow", *arguments], capture_output=True, text=True, timeout=100, env=environment(),
        check=False,
    )  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", [("--threads", "2"), ("--processes", "2")], ids=["threads", "processes"])
def test_a_kernel_that_never_ends(source, endless, where) -> None:
    given_ = ("run", f"{endless}:job", "-p", f"source={source}", "-p", "target=out", *where)
    ended = command(*given_, "--task-timeout", "4")
    assert ended.returncode == 75, ended.stderr
    assert "task_timeout_s=4) allows; the kernel 'spin' may never end." in " ".join(ended.stderr.split())
    became = {"--threads": "goes on until this process ends", "--processes": "was killed and started again"}[where[0]]
    assert became in " ".join(ended.stderr.split())
    assert not Path("out").exists()
    _job(endless.parent, "False")
    again = command(*given_, "--accept-code-change")
    assert again.returncode == 0, again.stderr
    assert cr.scan("out").collect().num_rows == 2_000
