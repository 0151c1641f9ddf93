"""The cases of suite batch: engines agree, a cold start has compiled all it needs, a warm one nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare import equal
from benchmarks.start import COLD, START


@pytest.mark.parametrize("case", [START, COLD], ids=lambda c: c.name)
def test_engines_agree(tmp_path, case) -> None:
    data = case.prepare(tmp_path, 500)
    assert case.rows(data) == 500
    found = {}
    for engine, run in case.engines.items():
        out = case.output(data, engine)
        out.mkdir(parents=True)
        found[engine] = run(data, out)
    assert found[case.oracle].num_rows == 7
    assert {e: equal(found[e], found[case.oracle]) for e in found} == dict.fromkeys(case.engines, True)


def test_a_cold_start_begins_with_an_empty_cache_and_a_warm_one_writes_nothing(tmp_path) -> None:
    data = START.prepare(tmp_path, 100)

    def files(cache: str) -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in (data.parent / cache).rglob("*.nbc")}

    def run(case, name: str) -> None:
        out = case.output(data, name)
        out.mkdir(parents=True)
        case.engines["checkrow"](data, out)

    run(COLD, "one")
    first = files("cold")
    run(COLD, "two")
    assert files("cold").keys() == first.keys()
    assert all(files("cold")[p] > t for p, t in first.items())
    run(START, "three")
    warm = files("warm")
    run(START, "four")
    assert files("warm") == warm
    assert {p.name for p in warm} == {p.name for p in first}
