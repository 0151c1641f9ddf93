"""Ctrl-C at every moment of a run: it stops at a task boundary, says so, and continues with the same command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import checkrow as cr
from checkrow.errors import RunInterrupted
from checkrow.run.executor import Done, ThreadExecutor
from checkrow.run.interrupt import kept_back


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> Iterator[None]:
    """Shells start background processes with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Striking:
    """Raises a signal at the n-th call of what the driver calls."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def strike(monkeypatch: pytest.MonkeyPatch, at: int) -> Striking:
    """Lets Ctrl-C come before or after the calls of the executor, where the driver is most exposed."""
    striking, submit, next_done = Striking(at), ThreadExecutor.submit, ThreadExecutor.next_done

    def struck_submit(self, spec, inputs) -> None:
        striking()
        submit(self, spec, inputs)
        striking()

    def struck_next(self, timeout_s: float | None = None) -> Done | None:
        striking()
        done = next_done(self, timeout_s)
        striking()
        return done

    monkeypatch.setattr(ThreadExecutor, "submit", struck_submit)
    monkeypatch.setattr(ThreadExecutor, "next_done", struck_next)
    return striking


def job(source: str) -> cr.Plan:
    return cr.scan(source).group_by("city").agg(n=cr.count()).plan_parquet("out")


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_around_every_call_of_the_executor(source, many_slices, monkeypatch, at, threads) -> None:
    with monkeypatch.context() as patched:
        striking = strike(patched, at)
        with pytest.raises(RunInterrupted, match="task boundary") as stopped:
            job(source).run(checkpoint_interval_s=0, limits=cr.Limits(threads=threads))
        assert striking.left <= 0
    assert isinstance(stopped.value.__cause__, KeyboardInterrupt)
    assert not list(Path("out").glob("*.parquet"))
    run = job(source).run(checkpoint_interval_s=0)
    assert run.status == "committed"
    assert cr.scan("out").collect().column("n").to_pylist()


def test_ctrl_c_in_the_commit_lets_it_end_and_is_raised_after_it(source, monkeypatch) -> None:
    from checkrow.run import runner

    striking, append = Striking(1), runner.CommitLog.append

    def struck(self, *arguments):
        striking()
        return append(self, *arguments)

    monkeypatch.setattr(runner.CommitLog, "append", struck)
    with pytest.raises(KeyboardInterrupt):
        job(source).run()
    assert striking.left == 0
    assert cr.scan("out").collect().num_rows > 0


def test_ctrl_c_before_the_first_task(source, monkeypatch) -> None:
    from checkrow.run import runner

    striking, roll_forward = Striking(1), runner.roll_forward

    def struck(root):
        striking()
        return roll_forward(root)

    monkeypatch.setattr(runner, "roll_forward", struck)
    with pytest.raises(RunInterrupted):
        job(source).run()
    assert job(source).run().status == "committed"


def test_collect_stops_too(source, many_slices, monkeypatch) -> None:
    strike(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        cr.scan(source).group_by("city").agg(n=cr.count()).collect()


def test_asked_twice_it_does_not_wait() -> None:
    woken = []
    with pytest.raises(KeyboardInterrupt), kept_back(lambda: woken.append(1)) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.pending is not None
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal must be raised at once")
    assert woken == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_not_handled_by_raising_stays_as_it_was() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with kept_back(lambda: None) as interrupts:
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.pending is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with kept_back(lambda: None) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.pending is None


def test_other_threads_may_run_jobs(source) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(cr.scan(source).collect().num_rows))
    thread.start()
    thread.join()
    assert found == [2_000]
