"""Partition values become directory names that cannot escape, collide or be misread."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkrow.errors import ConfigError
from checkrow.storage.hive import NULL, parse_partition_path, partition_path

HOSTILE = [
    "..", ".", "/", "../../etc/passwd", "\\", "a=b", "=", "%", "%2F", "a b", "\t\n", "\x00", "\x7f", "*?[]", "~",
    "مرحبا", "\u202egnp.exe", "🦆", "é", "e\u0301", "CON", "__pycache__", ".hidden", "_private", "", "None", "null",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_one_plain_segment_and_come_back(value: str) -> None:
    path = partition_path({"k": value})
    assert path.startswith("k=")
    assert set(path) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%=")
    assert path.count("=") == 1
    assert parse_partition_path(f"{path}/f.parquet") == {"k": value}


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_values_come_back(values: dict[str, str | None]) -> None:
    path = partition_path(values)
    assert parse_partition_path(f"{path}/f.parquet") == values
    assert len(path.split("/")) == len(values)


def test_order_is_that_of_the_columns() -> None:
    assert partition_path({"b": "1", "a": "2"}) == "b=1/a=2"


def test_dates_and_numbers_stay_readable() -> None:
    assert partition_path({"day": "2026-01-02", "n": "-1.5"}) == "day=2026-01-02/n=-1.5"


def test_null_has_the_name_hive_readers_know() -> None:
    assert partition_path({"k": None}) == "k=__HIVE_DEFAULT_PARTITION__"
    assert parse_partition_path("k=__HIVE_DEFAULT_PARTITION__/f.parquet") == {"k": None}


def test_the_text_that_spells_null_is_not_null() -> None:
    assert partition_path({"k": NULL}) != partition_path({"k": None})
    assert parse_partition_path(partition_path({"k": NULL}) + "/f.parquet") == {"k": NULL}


@pytest.mark.parametrize("value", ["a" * 300, "é" * 60])
def test_names_beyond_255_bytes_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="255 are allowed"):
        partition_path({"k": value})


def test_255_bytes_are_allowed() -> None:
    assert len(partition_path({"k": "a" * 253})) == 255


def test_directories_without_a_sign_are_no_columns() -> None:
    assert parse_partition_path("2026/k=1/more/f=x.parquet") == {"k": "1"}
