"""The lifecycle is pure: which tasks start, when a stage ends, which states follow which."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkrow.run.lifecycle import TRANSITIONS, Status, advance, begin, drain, finish, give_up, start


def test_big_tasks_go_first_and_capacity_is_kept() -> None:
    progress, chosen = start(begin([(0, 5), (1, 9), (2, 7), (3, 9)]), 2)
    assert chosen == (1, 3)
    assert start(progress, 2)[1] == ()
    progress, chosen = start(finish(progress, 1), 2)
    assert chosen == (2,)


def test_done_tasks_never_start() -> None:
    progress, chosen = start(begin([(0, 1), (1, 1), (2, 1)], done=[0, 2]), 8)
    assert chosen == (1,)
    assert not progress.finished
    assert finish(progress, 1).finished


def test_a_failure_or_a_stop_drains() -> None:
    progress, _ = start(begin([(n, 1) for n in range(5)]), 2)
    for stopped in (give_up(progress, 0), drain(progress)):
        assert start(stopped, 8)[1] == ()
        assert not stopped.finished
    assert finish(give_up(progress, 0), 1).finished


@settings(deadline=None, max_examples=200, derandomize=True)
@given(sizes=st.lists(st.integers(0, 100), max_size=30), capacity=st.integers(1, 5), data=st.data())
def test_every_task_runs_once_in_any_order_of_ends(sizes, capacity, data) -> None:
    progress, started = begin(enumerate(sizes)), []
    while not progress.finished:
        progress, chosen = start(progress, capacity)
        started += chosen
        assert len(progress.running) <= capacity
        progress = finish(progress, data.draw(st.sampled_from(sorted(progress.running))))
    assert sorted(started) == list(range(len(sizes)))


def test_states() -> None:
    assert advance(Status.PLANNED, Status.RUNNING) is Status.RUNNING
    assert set(TRANSITIONS) == set(Status)
    for end in (Status.COMMITTED, Status.ALREADY_DONE):
        with pytest.raises(ValueError, match="cannot become"):
            advance(end, Status.RUNNING)
    with pytest.raises(ValueError, match="cannot become"):
        advance(Status.PLANNED, Status.COMMITTED)
