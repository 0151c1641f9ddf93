"""The table of kernels: each with its slow reference, its types, its cost and where it comes from.

Tests run every entry against its reference, `python -m benchmarks.micro` times both: a new kernel is tested and timed
by being listed here.
"""

from __future__ import annotations

from checkrow_kernels.kernel_info import KernelInfo
from checkrow_kernels.registry_aggregate import AGGREGATES
from checkrow_kernels.registry_calendar import CALENDAR
from checkrow_kernels.registry_group import GROUPS
from checkrow_kernels.registry_hashing import HASHING
from checkrow_kernels.registry_pages import PAGES
from checkrow_kernels.registry_rows import ROWS
from checkrow_kernels.registry_sketch import SKETCHES
from checkrow_kernels.registry_text import TEXTS

KERNELS: tuple[KernelInfo, ...] = (*HASHING, *ROWS, *GROUPS, *AGGREGATES, *SKETCHES, *CALENDAR, *PAGES, *TEXTS)

_DECODER = "one decoder over one state; against pyarrow in tests/kernels/test_pages.py, test_page_damage.py"
_PER_ROW = "a scalar that drivers inline; run through"
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("page_bodies", "page_fixed", "page_opening", "page_state", "page_texts", "rle", "thrift"), _DECODER
    ),
    "snappy": "writes into a buffer that must be large enough; against pyarrow in tests/kernels/test_snappy.py",
    "words": "loads and stores of machine words; through every table in tests/kernels/test_tables.py",
    "division": "overloads of Python's operators, not functions; against Python in tests/compile/test_division.py",
    **dict.fromkeys(
        ("text_doubles", "text_methods", "text_numbers"), "what the methods of texts are made of; through text_to_float"
    ),
    "text_rows": "copies and checks of texts in drivers; against Python in tests/kernels/test_text.py",
    "group.find_or_insert_1": f"{_PER_ROW} upsert_1",
    "group.find_or_insert_2": f"{_PER_ROW} upsert_2",
    "sketch.register_of": f"{_PER_ROW} registers",
    "sketch.rank_of": f"{_PER_ROW} ranks",
    "sketch.coarse": f"{_PER_ROW} coarse_values",
    "sketch.hash_of_int": f"{_PER_ROW} mix64, which it is",
    "sketch.hash_of_float": f"{_PER_ROW} mix64 and float_bits, which it is made of",
    "calendar.year": f"{_PER_ROW} civil_from_days",
    "calendar.month": f"{_PER_ROW} civil_from_days",
    "calendar.day": f"{_PER_ROW} civil_from_days",
    "calendar.truncate_month": f"{_PER_ROW} truncate_month_days",
    "calendar.truncate_year": f"{_PER_ROW} truncate_year_days",
}
"""Compiled functions, or whole modules of them, that have no row, and why."""
