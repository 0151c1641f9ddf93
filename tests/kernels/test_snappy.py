"""Snappy blocks come out as pyarrow's codec has them, whatever elements they are made of, and damage is seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from checkrow_kernels import snappy
from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.thrift import PADDING

CODEC = pa.Codec("snappy")
SEED = 20_261_125


@inline_kernel
def snappy_uncompress(source, stop, out, size):
    """Decompresses `source[:stop]` to `out[:size]`; drivers of the decoder inline the same function."""
    return snappy.uncompress(source, 0, stop, out, 0, size)


def uncompressed(block: bytes, size: int) -> bytes | int:
    """Returns what a block holds, or the status, and asserts that nothing before or far behind it was written."""
    source, out = np.full(len(block) + PADDING, 0xEE, np.uint8), np.full(size + PADDING, 0x77, np.uint8)
    source[: len(block)] = np.frombuffer(block, np.uint8)
    status = snappy_uncompress(source, len(block), out, size)
    assert (out[size + 16 :] == 0x77).all()
    return out[:size].tobytes() if status == 0 else status


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def literal(text: bytes, bytes_of_length: int = 0) -> bytes:
    if not bytes_of_length:
        return bytes([len(text) - 1 << 2]) + text
    return bytes([59 + bytes_of_length << 2]) + (len(text) - 1).to_bytes(bytes_of_length, "little") + text


def copy(length: int, offset: int, kind: int) -> bytes:
    if kind == 1:
        return bytes([1 | length - 4 << 2 | offset >> 8 << 5, offset & 255])
    return bytes([kind | length - 1 << 2]) + offset.to_bytes(2 if kind == 2 else 4, "little")


def block(*elements: bytes, size: int) -> bytes:
    return varint(size) + b"".join(elements)


def columns() -> dict[str, bytes]:
    rng = np.random.default_rng(SEED)
    return {
        "nothing": b"",
        "one byte": b"x",
        "noise": rng.bytes(70_000),
        "zeros": bytes(300_000),
        "int32": rng.integers(0, 900, 40_000).astype(np.int32).tobytes(),
        "int64": np.sort(rng.integers(0, 10**7, 40_000)).tobytes(),
        "floats": rng.normal(size=9_000).round(2).tobytes(),
        "texts": b" ".join(rng.choice([b"final", b"deposits", b"sleep", b"carefully", b"above"], 30_000).tolist()),
        "short runs": np.repeat(rng.integers(0, 256, 9_000), rng.integers(1, 80, 9_000)).astype(np.uint8).tobytes(),
    }


@pytest.mark.parametrize("name", columns())
def test_what_pyarrow_compresses(name) -> None:
    data = columns()[name]
    for length in {len(data), len(data) // 3, min(len(data), 65_536), min(len(data), 17)}:
        part = data[:length]
        assert uncompressed(CODEC.compress(part, asbytes=True), length) == part


def test_every_copy() -> None:
    """Every length from every distance that differs, in each of its spellings, at the end of a block and before more."""
    start = bytes(range(100, 180))
    for length in range(1, 65):
        for offset in (*range(1, 36), 63, 64, 65, 79, 80):
            copied = bytearray(start)
            for _ in range(length):
                copied.append(copied[-offset])
            for kind in (1, 2, 3):
                if kind == 1 and not 4 <= length <= 11:
                    continue
                for tail in (b"", b"0123456789" * 4):
                    parts = [literal(start, 1), copy(length, offset, kind), literal(tail) if tail else b""]
                    size = 80 + length + len(tail)
                    assert uncompressed(block(*parts, size=size), size) == bytes(copied) + tail


@pytest.mark.parametrize("extra", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 60, 61, 256])
def test_literals_of_every_spelling(length, extra) -> None:
    text = bytes(i % 251 for i in range(length))
    assert uncompressed(block(literal(text, extra), size=length), length) == text
    if length <= 60:
        assert uncompressed(block(literal(text), size=length), length) == text


def test_far_copies() -> None:
    noise = np.random.default_rng(1).bytes(70_000)
    parts = [literal(noise, 4), copy(64, 70_000, 3), copy(11, 2_047, 1), copy(64, 65_535, 2)]
    whole = bytearray(noise)
    for length, offset in ((64, 70_000), (11, 2_047), (64, 65_535)):
        for _ in range(length):
            whole.append(whole[-offset])
    assert uncompressed(block(*parts, size=len(whole)), len(whole)) == bytes(whole)


BROKEN = {
    "no length": (b"", 0),
    "another length": (block(literal(b"abcd"), size=4), 5),
    "more than declared": (block(literal(b"abcdefgh"), size=4), 4),
    "far more than declared": (block(literal(bytes(250), 1), size=4), 4),
    "far more than declared, as a copy": (block(*[literal(bytes(40)), copy(64, 32, 2)] * 3, size=41), 41),
    "less than declared": (block(literal(b"abcd"), size=8), 8),
    "a cut literal": (block(literal(b"abcdefgh"), size=8)[:-1], 8),
    "a cut length of a literal": (block(bytes([62 << 2, 1]), size=8), 8),
    "a literal of four gigabytes": (block(bytes([63 << 2, 255, 255, 255, 255]), size=8), 8),
    "a copy from before the block": (block(literal(b"abcd"), copy(4, 5, 1), size=8), 8),
    "a copy of nothing": (block(literal(b"abcd"), copy(4, 0, 2), size=8), 8),
    "a copy first": (block(copy(8, 8, 2), size=8), 8),
    "a copy over the end": (block(literal(b"abcd"), copy(11, 4, 1), size=8), 8),
    "a cut copy": (block(literal(b"abcd"), copy(4, 4, 3), size=8)[:-1], 8),
    "a far copy of two gigabytes": (block(literal(b"abcd"), copy(4, 2**31, 3), size=8), 8),
    "an endless length": (b"\xff" * 12, 8),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_damage_is_seen(kind) -> None:
    damaged, size = BROKEN[kind]
    assert uncompressed(damaged, size) == snappy.CORRUPT_SNAPPY


def attack(rounds: int) -> tuple[int, int]:
    """Changes bytes of blocks; returns how many were damaged and how many still blocks, for pyarrow and us alike."""
    rng = np.random.default_rng(SEED)
    samples = [(CODEC.compress(d[:700], asbytes=True), len(d[:700])) for d in columns().values() if d]
    seen = fine = 0
    for number in range(rounds):
        good, size = samples[number % len(samples)]
        bad = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            bad[int(rng.integers(0, len(bad)))] = rng.integers(0, 256)
        found = uncompressed(bytes(bad), size)
        try:
            wanted = CODEC.decompress(bytes(bad), size, asbytes=True)
        except (OSError, pa.ArrowException):
            assert found == snappy.CORRUPT_SNAPPY
            seen += 1
        else:
            assert found == wanted
            fine += 1
    return seen, fine


def test_damage_is_seen_where_pyarrow_sees_it() -> None:
    seen, fine = attack(5_000)
    print(f"seed {SEED}: {seen} damaged, {fine} still blocks")
    assert min(seen, fine) > 100
