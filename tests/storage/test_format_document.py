"""docs/format.md names every field and file that is stored, and its examples are what the code writes."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from checkrow.operators.column import Column, Columns
from checkrow.operators.exchange import MemoryExchange, write_exchange
from checkrow.storage import runs
from checkrow.storage.log import CommitLog, CommitRecord, FileEntry, OutputChange
from checkrow.storage.manifest import Accounting, ExchangeFile, StagedOutput, TaskManifest
from checkrow.storage.roots import Identity
from checkrow.storage.store import PosixStore

TOP = Path(__file__).parents[2]
DOCUMENT = (TOP / "docs" / "format.md").read_text(encoding="utf-8")
GOLDEN = TOP / "tests" / "golden" / "control-v1" / "orders.checkrow"


def _section(title: str) -> str:
    return DOCUMENT.split(f"### {title}", maxsplit=1)[1].split("\n### ", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("title", "kinds"),
    [
        ("`format.json`", (Identity,)),
        ("`log/<N>.json`", (CommitRecord, OutputChange, FileEntry, Accounting)),
        ("`runs/by-token/", (runs._Pointer,)),
        ("`runs/<run>/plan.json`", (runs.RunRecord,)),
        ("`runs/<run>/stages/", (runs.StageRecord,)),
        ("`runs/<run>/manifests/", (TaskManifest, StagedOutput, ExchangeFile)),
    ],
)
def test_every_stored_field_is_named(title: str, kinds: tuple[type[msgspec.Struct], ...]) -> None:
    named = set(re.findall(r"`(\w+)`", _section(title)))
    for kind in kinds:
        assert set(kind.__struct_fields__) <= named, kind.__name__


def test_every_file_of_the_golden_control_root_has_its_place_in_the_tree() -> None:
    tree = DOCUMENT.split("```")[1]
    digits = {
        "<N>": "[0-9]{20}",
        "<run>": "[0-9a-f]{16}",
        "<token>": "[0-9a-f]{32}",
        "<k>": "[0-9]{5,6}",
        "<G>": "[0-9]+",
    }
    digits |= {"<stage>": "[0-9]+", "<task>": "[0-9]{6}", "<attempt>": "[0-9a-f]{8}", "<instance>": ".+", "...": ".+"}
    patterns = []
    for line in tree.splitlines()[2:]:
        if line.strip():
            pattern = re.escape(line.split()[0])
            for name, regex in digits.items():
                pattern = pattern.replace(re.escape(name), regex)
            patterns.append(pattern)
    for path in GOLDEN.rglob("*"):
        if path.is_file():
            key = path.relative_to(GOLDEN).as_posix()
            assert any(re.fullmatch(p, key) for p in patterns), key


def test_the_marker_is_as_described(tmp_path: Path) -> None:
    CommitLog(PosixStore(tmp_path)).mark_revealed(1)
    assert (tmp_path / "log" / "00000000000000000001.revealed").read_bytes() == b"revealed\n"


def test_an_exchange_file_can_be_read_by_the_document_alone(tmp_path: Path) -> None:
    text = Column("string", np.frombuffer(b"abcc", np.uint8), np.array([1, 0, 1], np.uint8), np.array([0, 2, 2, 4]))
    columns = Columns(("k", "s"), (Column("int64", np.array([1, 2, 3]), None), text), 3)
    write_exchange(tmp_path / "x", MemoryExchange(columns, np.array([0, 0, 3])))
    data = (tmp_path / "x").read_bytes()
    assert data[:4] == data[-4:] == b"CRX1"
    header = msgspec.json.decode(data[8 : 8 + int.from_bytes(data[4:8], "little")])
    assert header["partitions"] == 2
    assert [c["nullable"] for c in header["columns"]] == [False, True]
    length = int.from_bytes(data[-12:-4], "little")
    footer = data[-16 - length : -16]
    assert length == 2 * 36
    head = data[: 8 + int.from_bytes(data[4:8], "little")]
    assert int.from_bytes(data[-16:-12], "little") == zlib.crc32(head + footer)
    offset, stored, plain, rows = (int.from_bytes(footer[36 + 8 * n : 44 + 8 * n], "little") for n in range(4))
    assert (offset % 64, rows) == (0, 3)
    segment = data[offset : offset + stored]
    assert int.from_bytes(footer[68:72], "little") == zlib.crc32(segment)
    assert stored <= plain
