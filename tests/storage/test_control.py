"""A control file is read back as it was written, or refused: never as something else."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkrow.errors import CorruptControlFile
from checkrow.storage.control import LIMIT_BYTES, canonical, decode, encode
from checkrow.storage.log import CommitRecord
from tests.storage.workbench import record


class Note(msgspec.Struct, frozen=True, kw_only=True):
    format: int = 1
    text: str
    number: int = 0
    share: float = 0.0


def _envelope(body: str) -> bytes:
    """Returns what a careful writer of this body would have stored."""
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"body":{body},"len":{len(body.encode())},"sha256":"{digest}"}}'.encode()


def test_the_bytes_are_those_of_the_document() -> None:
    body = '{"format":1,"number":7,"share":0.5,"text":"é\\n"}'
    assert encode(Note(text="é\n", number=7, share=0.5)) == _envelope(body)


def test_keys_are_sorted_whatever_the_order_they_came_in() -> None:
    assert canonical({"b": 1, "a": {"d": None, "c": True}}) == b'{"a":{"c":true,"d":null},"b":1}'


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.text(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_is_read(text: str, number: int, share: float) -> None:
    note = Note(text=text, number=number, share=share)
    assert decode(encode(note), Note, "note") == note


def test_every_flipped_byte_is_detected() -> None:
    good = encode(record())
    wanted = decode(good, CommitRecord, "r")
    for position in range(len(good)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            bad = bytearray(good)
            bad[position] ^= mask
            try:
                found = decode(bytes(bad), CommitRecord, "log/1")
            except CorruptControlFile:
                continue
            assert found == wanted, f"byte {position} ^ {mask:#x} went unseen"


def test_every_torn_file_is_detected() -> None:
    good = encode(Note(text="t"))
    for length in range(len(good)):
        with pytest.raises(CorruptControlFile):
            decode(good[:length], Note, "note")
    with pytest.raises(CorruptControlFile):
        decode(good + b" ", Note, "note")


@pytest.mark.parametrize(
    "body",
    [
        '{"format":1,"text":"a","text":"b"}',
        '{"text":"a","format":1}',
        '{"format":1, "text":"a"}',
        '{"format":1,"number":1.0e0,"text":"a"}',
        '{"format":1,"share":NaN,"text":"a"}',
        '{"format":1,"share":Infinity,"text":"a"}',
        '{"format":1,"text":"\\u0061"}',
        '{"format":1,"text":5}',
        '{"format":1}',
        "[]",
        "null",
    ],
)
def test_bodies_no_writer_of_ours_makes_are_refused(body: str) -> None:
    with pytest.raises(CorruptControlFile):
        decode(_envelope(body), Note, "note")


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, -(10**30)])
def test_integers_beyond_64_bits_come_back_exactly(number: int) -> None:
    """Plans hold decimals of 128 bits as integers: literals, and the ranges of row groups."""
    assert decode(encode(Note(text="a", number=number)), Note, "note").number == number


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(CorruptControlFile):
        decode(_envelope("[" * depth + "]" * depth), Note, "note")


def test_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(CorruptControlFile, match=r"format 2.*upgrade checkrow"):
        decode(_envelope('{"format":2,"text":"a"}'), Note, "note")


def test_unknown_fields_are_ignored() -> None:
    assert decode(_envelope('{"format":1,"later":[1],"text":"a"}'), Note, "note") == Note(text="a")


def test_extra_fields_of_the_envelope_are_refused() -> None:
    whole = json.loads(encode(Note(text="a")))
    with pytest.raises(CorruptControlFile):
        decode(json.dumps({**whole, "more": 1}, separators=(",", ":")).encode(), Note, "note")


def test_sixteen_mebibytes_are_the_limit_on_both_ways() -> None:
    with pytest.raises(CorruptControlFile, match="exceeds 16777216"):
        encode(Note(text="a" * LIMIT_BYTES))
    with pytest.raises(CorruptControlFile, match="at most 16777216"):
        decode(b" " * (LIMIT_BYTES + 5000), Note, "note")
    fits = Note(text="a" * (LIMIT_BYTES - 100))
    assert decode(encode(fits), Note, "note") == fits


@pytest.mark.parametrize("share", [float("nan"), float("inf")])
def test_not_a_number_is_refused_when_it_is_written(share: float) -> None:
    with pytest.raises((CorruptControlFile, ValueError)):
        canonical({"share": share})
