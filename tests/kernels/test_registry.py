"""Every kernel equals its reference, compiled and interpreted; group tables, exact sums and scatters at their edges."""

from __future__ import annotations

import copy
import datetime as dt
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from checkrow_kernels import aggregate, bits, bounds, calendar, group, hashing, scatter, sketch, sort, strings, take
from checkrow_kernels.registry import KERNELS
from tests.conftest import environment

ROOT = Path(__file__).parents[2]


def differs(info) -> str:
    """Runs a kernel and its reference on the same random rows and says where they part."""
    for rows in (0, 1, 7, 300):
        mine = info.example(np.random.default_rng(rows), rows)
        theirs = copy.deepcopy(mine)
        found, wanted = info.function(*mine), info.reference(*theirs)
        if not (found == wanted or (found is None and wanted is None)):
            return f"{info.name}, {rows} rows: returned {found}, not {wanted}"
        for number, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            if number in info.scratch:
                continue
            if isinstance(a, np.ndarray) and not np.allclose(a, b, rtol=info.tolerance, atol=0, equal_nan=True):
                return f"{info.name}, {rows} rows: argument {number} became {a}, not {b}"
    return ""


@pytest.mark.parametrize("info", KERNELS, ids=lambda k: k.name)
def test_equals_its_reference(info) -> None:
    assert differs(info) == ""


def test_interpreted_gives_the_same_without_a_warning() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "from checkrow_kernels.registry import KERNELS\n"
        "from tests.kernels.test_registry import differs\n"
        "found = [d for d in map(differs, KERNELS) if d]\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_kernel_is_listed() -> None:
    listed = {k.name for k in KERNELS if not k.name.startswith("text_")}  # those: tests/kernels/test_text.py
    compiled = {
        name
        for module in (aggregate, bits, bounds, calendar, group, hashing, scatter, sketch, sort, strings, take)
        for name, function in vars(module).items()
        if hasattr(function, "py_func") and function.__module__ == module.__name__ and not name.startswith("_")
    }
    # Drivers call these per row; the tables built with them are tested through upsert, the dates through their arrays.
    scalars = {"register_of", "rank_of", "hash_of_int", "hash_of_float", "coarse"} | {
        "find_or_insert_1",
        "find_or_insert_2",
        "year",
        "month",
        "day",
        "truncate_month",
        "truncate_year",
    }
    assert compiled - scalars == listed


def test_every_module_is_tested_by_the_table_or_against_another_reader() -> None:
    table = {
        "aggregate",
        "bits",
        "bounds",
        "calendar",
        "group",
        "hashing",
        "scatter",
        "sketch",
        "sort",
        "strings",
        "take",
    }
    # The Parquet decoder against pyarrow and zlib (test_pages, test_page_damage, test_snappy), divisions against Python
    # (tests/compile/test_division.py), words through the tables (test_tables), texts in test_text.
    elsewhere = {"crc", "page_bodies", "page_fixed", "page_opening", "page_state", "page_texts", "rle", "snappy", "thrift",
                 "division", "words",
                 "text", "text_doubles", "text_methods", "text_numbers", "text_rows", "text_type"}  # fmt: skip
    not_kernels = {"__init__", "jit", "place", "reference", "registry", "text_reference", "warm"}
    found = {p.stem for p in (ROOT / "kernels" / "checkrow_kernels").glob("*.py")}
    assert found == table | elsewhere | not_kernels


@pytest.mark.parametrize("words", [1, 2, 3])
def test_group_table_stops_grows_and_goes_on(words) -> None:
    rng = np.random.default_rng(words)
    keys = rng.integers(-500, 500, (20_000, words))
    capacity, count, start = 16, 0, 0
    gids = np.empty(len(keys), np.int32)
    table = np.empty((1 << 15, words), np.int64)
    slots = np.full(4 * capacity, -1, np.int32)
    while start < len(keys):
        if words == 1:
            t = np.ascontiguousarray(table[:, 0])
            start, count = group.upsert_1(
                np.ascontiguousarray(keys[:, 0]), start, len(keys), slots, t, count, capacity, gids
            )
            table[:, 0] = t
        elif words == 2:
            t, u = (np.ascontiguousarray(table[:, j]) for j in range(2))
            a, b = (np.ascontiguousarray(keys[:, j]) for j in range(2))
            start, count = group.upsert_2(a, b, start, len(keys), slots, t, u, count, capacity, gids)
            table[:, 0], table[:, 1] = t, u
        else:
            start, count = group.upsert_n(keys, start, len(keys), slots, table, count, capacity, gids)
        if start < len(keys):
            capacity *= 4
            slots = np.full(4 * capacity, -1, np.int32)
            group.rebuild_n(table[:, :words].copy(), count, slots) if words > 2 else rebuild(words, table, count, slots)
    assert count == len(np.unique(keys, axis=0))
    np.testing.assert_array_equal(table[gids], keys)
    first_seen = [gids[np.flatnonzero(gids == g)[0]] for g in range(5)]
    assert first_seen == [0, 1, 2, 3, 4]


def rebuild(words, table, count, slots) -> None:
    columns = [np.ascontiguousarray(table[:, j]) for j in range(words)]
    (group.rebuild_1 if words == 1 else group.rebuild_2)(*columns, count, slots)


@pytest.mark.parametrize("extreme", [2**63 - 1, -(2**63), -1, 2**32, 0])
def test_sums_are_exact_beyond_64_bits(extreme) -> None:
    values = np.full(1_000, extreme, np.int64)
    low, high, none = np.zeros(1, np.int64), np.zeros(1, np.int64), np.empty(0, np.uint8)
    aggregate.sum_int(np.zeros(1_000, np.int32), values, none, False, low, high)
    aggregate.normalise_split(low, high, 1)
    total = int(high[0]) * 2**32 + int(low[0])
    assert total == 1_000 * extreme
    pairs = np.empty(2, np.int64)
    aggregate.split_to_pairs(low, high, 1, pairs)
    assert int(pairs[1]) * 2**64 + int(pairs[0].view(np.uint64)) == total
    assert (aggregate.split_fits_int64(high, 1) == -1) == (-(2**63) <= total < 2**63)


def test_wide_sums_are_exact_and_overflow_is_seen() -> None:
    rng = np.random.default_rng(0)
    wanted = [int(rng.integers(-(2**62), 2**62)) * 2**40 + int(rng.integers(0, 2**40)) for _ in range(500)]
    words = np.array(
        [w for v in wanted for w in ((v & (2**64 - 1)) - (2**64 if v >> 63 & 1 else 0), v >> 64)], np.int64
    )
    w = [np.zeros(1, np.int64) for _ in range(3)]
    aggregate.sum_pairs(np.zeros(500, np.int32), words, np.empty(0, np.uint8), False, *w)
    out = np.empty(2, np.int64)
    assert aggregate.triple_to_pairs(*w, 1, out) == -1
    assert int(out[1]) * 2**64 + int(out[0].view(np.uint64)) == sum(wanted)
    top = np.array([-1, 2**63 - 1] * 3, np.int64)
    w = [np.zeros(1, np.int64) for _ in range(3)]
    aggregate.sum_pairs(np.zeros(3, np.int32), top, np.empty(0, np.uint8), False, *w)
    assert aggregate.triple_to_pairs(*w, 1, out) == 0


@pytest.mark.parametrize("bits", [0, 1, 7, 8, 12, 15, 16])
def test_scatter_conserves_rows_at_every_fan_out(bits) -> None:
    rng = np.random.default_rng(bits)
    for rows in (0, 127, 128, 255, 256, 70_000):
        hashes = rng.integers(0, 2**64, rows, dtype=np.uint64)
        ids, counts = np.empty(rows, np.int32), np.zeros(1 << bits, np.int64)
        scatter.partition_of(hashes, bits, ids)
        scatter.count_partitions(ids, counts)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        at, out = np.empty(rows, np.int64), np.full(rows, -1)
        scatter.positions(ids, starts, at)
        scatter.place(np.arange(rows), at, out)
        np.testing.assert_array_equal(out, np.argsort(ids, kind="stable"))


def test_strings_are_interned_once_with_growth() -> None:
    from checkrow.operators.strings import StringTable

    words = [f"text {i % 700} {'x' * (i % 50)}" for i in range(5_000)]
    data = "".join(words).encode()
    offsets = np.concatenate([[0], np.cumsum([len(w) for w in words])])
    valid = (np.arange(5_000) % 11 != 0).astype(np.uint8)
    table = StringTable()
    codes = table.encode(offsets, np.frombuffer(data, np.uint8), valid)
    assert (codes[valid == 0] == -1).all()
    back, text = table.spell(codes)
    spelled = [text[back[i] : back[i + 1]].tobytes().decode() for i in range(5_000)]
    assert spelled == [w if v else "" for w, v in zip(words, valid, strict=True)]
    assert table.count == len({w for w, v in zip(words, valid, strict=True) if v})


def test_calendar_is_exact_over_all_of_pythons_years() -> None:
    epoch = dt.date(1970, 1, 1).toordinal()
    for ordinal in [*range(1, 3_652_059, 997), 1, 3_652_059, epoch]:
        date = dt.date.fromordinal(ordinal)
        assert tuple(int(v) for v in calendar.civil_from_days(ordinal - epoch)) == (date.year, date.month, date.day)
        assert calendar.days_from_civil(date.year, date.month, date.day) == ordinal - epoch
