"""Long runs of random tests: they end when the time is over or a round fails, and tell how to repeat it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tests import soak
from tests.soak import PARTS, ROOT, Round, add_totals, fresh_seeds, main, run_round, tables_in

STATISTICS = """
tests/properties/test_a.py::test_one:

  - during reuse phase (0.00 seconds):
    - Typical runtimes: < 1ms
    - 3 passing, 0 failing, and 0 invalid test cases

  - during generate phase (0.74 seconds):
    - Typical runtimes: ~ 8-51 ms, of which ~ 1-33 ms in data generation
    - 997 passing, 0 failing, and 1 invalid test cases

  - Stopped because settings.max_examples=1000
"""


def test_tables_are_counted() -> None:
    assert tables_in(STATISTICS * 2) == 2_000
    assert tables_in("1 passed in 3s") == 0


def test_rounds_go_on_until_the_time_is_over(capsys, tmp_path: Path) -> None:
    seen, now = [], count(0, 30)

    def run(part, seed):
        seen.append((part, seed))
        return Round(passed=True, tables=500, output="")

    # The clock goes on by half a minute whenever it is looked at: three looks a round.
    code = soak.soak("groups", 3, count(7), totals=tmp_path / "t.json", run=run, clock=lambda: next(now))
    assert code == 0
    assert seen == [(PARTS["groups"], 7), (PARTS["groups"], 8)]
    printed = capsys.readouterr().out
    assert "seed 7" in printed
    assert "so far 1,000 in 2 rounds" in printed
    assert json.loads((tmp_path / "t.json").read_text())["groups"]["tables"] == 1_000


def test_the_first_failure_ends_it_and_tells_how_to_repeat_it(capsys, tmp_path: Path) -> None:
    rounds = iter([Round(passed=True, tables=9, output=""), Round(passed=False, tables=4, output="Falsifying example")])
    code = soak.soak("folds", 60, count(3), totals=tmp_path / "t.json", run=lambda *_: next(rounds), clock=lambda: 0.0)
    assert code == 1
    printed = capsys.readouterr().out
    assert "Falsifying example" in printed
    assert "FAILED with seed 4; to repeat it: python -m tests.soak --part folds --seed 4" in printed
    totals = json.loads((tmp_path / "t.json").read_text())
    assert totals["folds"] == {"rounds": 2, "tables": 13, "seconds": 0.0, "failures": 1}


def test_totals_of_parts_stand_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    add_totals(path, "folds", Round(passed=True, tables=5, output=""), 1.25)
    add_totals(path, "groups", Round(passed=True, tables=7, output=""), 2.0)
    assert add_totals(path, "folds", Round(passed=True, tables=6, output=""), 1.0)["tables"] == 11
    assert json.loads(path.read_text())["groups"]["rounds"] == 1


def test_a_round_draws_from_its_seed_and_fails_loudly(tmp_path: Path) -> None:
    drawn = (
        "from hypothesis import given, strategies as st\nfrom tests.profiles import drawing, most\n"
        "@drawing(0.01)\n@given(n=st.integers(0, 10**9))\n"
        "def test_it(n):\n    with open({out!r}, 'a') as f: f.write(f'{{n}} {{most(1, 2)}},')\n    assert n < {limit}\n"
    )

    def once(seed: int, limit: int) -> tuple[Round, str]:
        out = tmp_path / "drawn"
        out.write_text("")
        test = tmp_path / "test_drawn.py"
        test.write_text(drawn.format(out=str(out), limit=limit))
        return run_round(soak.Part(tests=(str(test), "-p", "tests.conftest")), seed), out.read_text()

    (found, first), (_, again), (_, other) = once(1, 10**10), once(1, 10**10), once(2, 10**10)
    assert (found.passed, found.tables) == (True, 10)
    assert first == again != other
    assert first.count(" 2,") == 10
    failed, _ = once(1, 10)
    assert not failed.passed
    assert "assert n < 10\n" in failed.output


def test_every_part_names_tests_that_exist() -> None:
    assert all((ROOT / test).exists() for part in PARTS.values() for test in part.tests)


def test_seeds_are_fresh() -> None:
    first, second = fresh_seeds(), fresh_seeds()
    assert [next(first) for _ in range(4)] != [next(second) for _ in range(4)]


def test_an_unknown_part_is_refused(capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--part", "nothing"])
    assert "invalid choice" in capsys.readouterr().err
