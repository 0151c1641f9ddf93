"""Damaged column chunks end in a status: no access outside an array, no endless loop, no wrong value a check can see."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pytest

from checkrow_kernels import (
    crc,
    page_bodies,
    page_fixed,
    page_opening,
    page_state,
    page_texts,
    rle,
    snappy,
    thrift,
    words,
)
from checkrow_kernels.place import cache_directory
from tests.conftest import environment
from tests.kernels import test_pages
from tests.kernels.test_pages import Chunk, Refused, written

ROOT = Path(__file__).parents[2]
SEED = 20_261_125
ROUNDS = 4_000
LAYOUTS = [
    {**layout, "data_page_size": 200, "write_batch_size": 40, "write_page_checksum": False}
    for layout in test_pages.LAYOUTS
]


def sound_files() -> list[bytes]:
    """Returns files of every form and layout, small enough that most changes hit something that matters."""
    rng = np.random.default_rng(SEED)
    files = []
    for number, layout in enumerate(LAYOUTS):
        gone = rng.random(300) < 0.3
        repeated = np.repeat(rng.integers(0, 9, 60), 5)
        files += [
            written(pa.array(rng.integers(0, 70, 300), mask=gone), **layout),
            written(pa.array(repeated.astype(np.int32)), nullable=False, **layout),
            written(pa.array(np.array(test_pages.texts(300, 40, rng), dtype=object), pa.string(), mask=gone), **layout),
        ]
        if number == 0:
            files.append(written(pa.array(rng.integers(0, 2**40, 300)), nullable=False, **layout))
    return files


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Returns the bytes with a few changed, doubled or missing."""
    data = bytearray(content)
    kind = rng.integers(0, 8)
    if kind == 0:
        return bytes(data[: rng.integers(0, len(data))])
    if kind == 1:
        at = rng.integers(0, len(data))
        return bytes(data[:at] + data[at // 2 : at] + data[at:])
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, min(len(data), 40) if kind < 5 else len(data)))
        data[at] = rng.choice(
            [0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256)), data[at] ^ 1 << int(rng.integers(0, 8))]
        )
    return bytes(data)


def read_all(chunk: Chunk) -> int:
    """Reads a chunk in batches and returns its rows."""
    done = 0
    while done < chunk.rows:
        rows = min(97, chunk.rows - done)
        if chunk.form == page_state.TEXTS:
            chunk.texts(rows, 50)
        else:
            chunk.fixed(rows)
        done += rows
    return done


def attack(rounds: int) -> tuple[int, int]:
    """Reads damaged chunks; returns how many were refused and how many gave all their rows."""
    rng = np.random.default_rng(SEED)
    sound = [Chunk(file) for file in sound_files()]
    refused = read = 0
    for number in range(rounds):
        original = sound[number % len(sound)]
        content = original.chunk[: len(original.chunk) - thrift.PADDING].tobytes()
        form = original.form
        if form == page_state.TEXTS and rng.random() < 0.5:
            form = page_state.CODES
        if form == page_state.FOUR_BYTES and rng.random() < 0.5:
            form = page_state.WIDENED
        victim = object.__new__(Chunk)
        try:
            victim.open(damaged(content, rng), form, int(original.state[1]), original.optional, original.rows)
            read += read_all(victim) == original.rows
        except Refused:
            refused += 1
    return refused, read


def test_damage_ends_in_a_status_or_in_all_rows() -> None:
    refused, read = attack(ROUNDS)
    print(f"seed {SEED}: {refused} refused, {read} read")
    assert refused + read == ROUNDS
    assert refused > ROUNDS // 2


def _checked(original, width: int, *, stores: bool):
    def load(data, at):
        if at < 0 or at + width > len(data):
            raise IndexError("load outside an array")
        return original(data, at)

    def store(data, at, value):
        if at < 0 or at + width > len(data):
            raise IndexError("store outside an array")
        original(data, at, value)

    return numba.njit(nogil=True)(store if stores else load)


def install_checks() -> None:
    """Makes each load and store of whole words raise IndexError outside its array; before anything is compiled."""
    checked = {
        "load_word": _checked(words.load_word, 8, stores=False),
        "load_half": _checked(words.load_half, 4, stores=False),
        "store_word": _checked(words.store_word, 8, stores=True),
        "store_half": _checked(words.store_half, 4, stores=True),
    }
    lanes, selected = rle.store_lanes, snappy.copy_selected

    @numba.njit(nogil=True)
    def store_lanes(out, at, low, high, bits):
        if at < 0 or at + 8 > len(out):
            raise IndexError("codes outside an array")
        lanes(out, at, low, high, bits)

    @numba.njit(nogil=True)
    def copy_selected(source, start, target, back, at, literal):
        if at < 0 or at + 16 > len(target):
            raise IndexError("copy to outside an array")
        if literal and (start < 0 or start + 16 > len(source)):
            raise IndexError("literal outside an array")
        if not literal and (back < 0 or back + 16 > len(target)):
            raise IndexError("copy from outside an array")
        selected(source, start, target, back, at, literal)

    for module in (thrift, crc, snappy, rle, page_state, page_bodies, page_fixed, page_texts, page_opening):
        for name in checked.keys() & vars(module).keys():
            setattr(module, name, checked[name])
    rle.store_lanes, snappy.copy_selected = store_lanes, copy_selected


def in_checked_process(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where every access is checked; what it compiles is kept apart from what others use."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    folder = cache_directory() / "checked" / version
    return subprocess.run(
        [sys.executable, "-c", f"from tests.kernels import test_page_damage as t\nt.install_checks()\n{code}"],
        env=environment(NUMBA_BOUNDSCHECK="1", CHECKROW_CACHE_DIR=str(folder)), capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


def test_nothing_outside_an_array_is_touched() -> None:
    done = in_checked_process(
        "from tests.kernels import test_pages as p, test_snappy as s\n"
        "import numpy as np\n"
        "print(t.attack(t.ROUNDS))\n"
        "p.test_few_rows_at_a_time(1); p.test_every_width_of_codes(17); s.test_every_copy(); s.attack(2_000)\n"
        "for kind in s.BROKEN: s.test_damage_is_seen(kind)\n"
        "for kind in t.BROKEN: t.test_broken_headers_are_seen(kind)\n"
        "for kind in t.SHORT: t.test_pages_hold_what_they_promise(kind)\n"
        "for kind in t.CODED: t.test_codes_are_in_the_dictionary(kind, p.page_state.EIGHT_BYTES)\n"
        "for nulls in ('required', 'some', 'last'): p.test_texts(4, nulls); p.test_numbers(9, 'int64', nulls)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(")


def test_the_checks_see_an_access_outside_an_array() -> None:
    done = in_checked_process(
        "import numpy as np\n"
        "from checkrow_kernels import snappy\n"
        "snappy.PADDING = 0\n"
        "block = np.frombuffer(bytes([4, 3 << 2, 65, 66, 67, 68]), np.uint8).copy()\n"
        "t.numba.njit(lambda a, b: snappy.uncompress(a, 0, 6, b, 0, 4))(block, np.zeros(4, np.uint8))\n"
    )
    assert done.returncode == 1
    assert "IndexError" in done.stderr


def body_of(chunk: Chunk, number: int) -> slice:
    start = int(chunk.directory[number, thrift.BODY])
    return slice(start, start + int(chunk.directory[number, thrift.COMPRESSED_BYTES]))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_checksums_find_every_changed_byte(version) -> None:
    rng = np.random.default_rng(5)
    file = written(
        pa.array(rng.integers(0, 99, 400)),
        data_page_version=version,
        write_page_checksum=True,
        data_page_size=100,
        write_batch_size=50,
    )
    chunk = Chunk(file)
    count = len(chunk.directory)
    assert count > 3
    assert crc.check_pages(chunk.chunk, chunk.directory, count) == count
    for number in range(count):
        body = body_of(chunk, number)
        assert zlib.crc32(chunk.chunk[body].tobytes()) == chunk.directory[number, thrift.CRC]
        for at in range(body.start, body.stop):
            chunk.chunk[at] ^= 1 << (at & 7)
            assert crc.check_pages(chunk.chunk, chunk.directory, count) == crc.WRONG_CRC
            chunk.chunk[at] ^= 1 << (at & 7)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 1_000, 4_099])
def test_checksums_equal_zlibs(length) -> None:
    data = np.random.default_rng(length).integers(0, 256, length + 3 + thrift.PADDING).astype(np.uint8)
    directory = np.zeros((1, thrift.FIELDS), np.int64)
    directory[0, [thrift.BODY, thrift.COMPRESSED_BYTES]] = 3, length
    directory[0, thrift.CRC] = zlib.crc32(data[3 : 3 + length].tobytes())
    assert crc.check_pages(data, directory, 1) == 1


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(delta: int, kind: int, content: bytes = b"") -> bytes:
    return bytes([delta << 4 | kind]) + content


def header(body: int, values: int, extra: bytes = b"", inner: bytes = b"", encoding: int = 0) -> bytes:
    """Returns a v1 data page's header in the compact protocol; `inner` ends its inner struct, `extra` the header."""
    page = (
        field(1, 5, varint(2 * values))
        + field(1, 5, varint(2 * encoding))
        + field(1, 5, varint(6))
        + field(1, 5, varint(6))
    )
    return (
        field(1, 5, varint(0)) + field(1, 5, varint(2 * body)) + field(1, 5, varint(2 * body))
        + field(2, 12, page + inner + b"\0") + extra + b"\0"
    )  # fmt: skip


def directory_of(content: bytes) -> int | list[int]:
    chunk, out = np.zeros(len(content) + thrift.PADDING, np.uint8), np.zeros((4, thrift.FIELDS), np.int64)
    chunk[: len(content)] = np.frombuffer(content, np.uint8)
    count = thrift.list_pages(chunk, len(content), out)
    return count if count < 0 else out[:count, thrift.VALUES].tolist()


UNKNOWN = {
    "truth": field(4, 1), "byte": field(4, 3, b"\5"), "i64": field(4, 6, b"\xff" * 9 + b"\1"), "double": field(4, 7, bytes(8)),
    "binary": field(4, 8, b"\3abc"), "list": field(4, 9, b"\x35\1\2\3"), "long list": field(4, 9, b"\xf3\x11" + bytes(17)),
    "struct": field(4, 12, field(1, 12, field(3, 8, b"\2hi") + b"\0") + b"\0"), "far field": b"\x05" + varint(2 * 900) + b"\2",
    "booleans": field(4, 10, b"\x21\1\2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNKNOWN)
def test_unknown_fields_are_skipped(kind) -> None:
    body = bytes(8)
    for extra, inner in ((UNKNOWN[kind], b""), (b"", UNKNOWN[kind])):
        assert directory_of(header(8, 1, extra, inner) + body + header(8, 2) + body) == [1, 2]


BROKEN = {
    "list of structs": (header(8, 1, field(4, 9, b"\x1c\0")) + bytes(8), thrift.UNSUPPORTED_HEADER),
    "map": (header(8, 1, field(4, 11, b"\0")) + bytes(8), thrift.UNSUPPORTED_HEADER),
    "body beyond the chunk": (header(9, 1) + bytes(8), thrift.CORRUPT_HEADER),
    "binary beyond the chunk": (header(8, 1, field(4, 8, varint(2**62))) + bytes(8), thrift.CORRUPT_HEADER),
    "list beyond the chunk": (header(8, 1, field(4, 9, b"\xf3" + varint(2**60))) + bytes(8), thrift.CORRUPT_HEADER),
    "endless varint": (field(1, 5, b"\xff" * 30), thrift.CORRUPT_HEADER),
    "no end": (header(0, 0)[:-1], thrift.CORRUPT_HEADER),
    "nothing but structs": (field(4, 12) * 50, thrift.CORRUPT_HEADER),
    "no inner struct": (field(1, 5, b"\0") + field(1, 5, b"\0") + field(1, 5, b"\0") + b"\0", thrift.CORRUPT_HEADER),
    "negative size": (field(1, 5, b"\0") + field(1, 5, b"\1") + field(1, 5, b"\0") + field(2, 12, field(1, 5, b"\0") + b"\0") + b"\0", thrift.CORRUPT_HEADER),
    "too many pages": (header(0, 0) * 5, thrift.DIRECTORY_FULL),
    "huge values": (header(8, 2**31) + bytes(8), thrift.CORRUPT_HEADER),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_headers_are_seen(kind) -> None:
    content, status = BROKEN[kind]
    assert directory_of(content) == status


def plain_chunk(
    content: bytes, rows: int, form: int = page_state.EIGHT_BYTES, *, optional: bool = False, encoding: int = 0
) -> Chunk:
    chunk = object.__new__(Chunk)
    chunk.open(header(len(content), rows, encoding=encoding) + content, form, page_state.UNCOMPRESSED, optional, rows)
    return chunk


def levels(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content


SHORT = {
    "plain numbers": (bytes(15), 2, page_state.EIGHT_BYTES, False, rle.TOO_FEW_VALUES),
    "plain texts": (b"\1\0\0\0a\1\0\0", 2, page_state.TEXTS, False, rle.TOO_FEW_VALUES),
    "a text beyond its page": (b"\2\0\0\0a", 1, page_state.TEXTS, False, page_state.CORRUPT_VALUES),
    "no levels": (b"\0\0", 1, page_state.EIGHT_BYTES, True, rle.CORRUPT_LEVELS),
    "levels beyond the page": (b"\x20\0\0\0\2\1" + bytes(8), 1, page_state.EIGHT_BYTES, True, rle.CORRUPT_LEVELS),
    "too few levels": (levels(b"\2\1") + bytes(16), 2, page_state.EIGHT_BYTES, True, rle.CORRUPT_LEVELS),
    "a level of 2": (levels(b"\2\2") + bytes(16), 1, page_state.EIGHT_BYTES, True, rle.CORRUPT_LEVELS),
    "a run of no levels": (levels(b"\0\1" * 9) + bytes(16), 1, page_state.EIGHT_BYTES, True, rle.CORRUPT_LEVELS),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHORT)
def test_pages_hold_what_they_promise(kind) -> None:
    content, rows, form, optional, status = SHORT[kind]
    with pytest.raises(Refused, match=page_state.STATUS[status]):
        read_all(plain_chunk(content, rows, form, optional=optional))


CODED = {
    "a run beyond the dictionary": (b"\2\x04\3", rle.CODE_OUT_OF_RANGE),
    "a packed code beyond the dictionary": (b"\2\3\xff\xff", rle.CODE_OUT_OF_RANGE),
    "33 bits": (b"\x21\2" + bytes(9), rle.CORRUPT_CODES),
    "nothing": (b"", rle.TOO_FEW_VALUES),
    "too few codes": (b"\2\2\0", rle.TOO_FEW_VALUES),
    "a cut group": (b"\2\3", rle.TOO_FEW_VALUES),
    "a cut run": (b"\x10\4\0", rle.TOO_FEW_VALUES),
}


def coded_chunk(content: bytes, form: int) -> Chunk:
    """Returns a chunk with three values in its dictionary (0, 1, 2) and two rows in its page."""
    entries = np.arange(3).tobytes() if form == page_state.EIGHT_BYTES else b"\1\0\0\0a\1\0\0\0b\1\0\0\0c"
    page, size = field(1, 5, varint(6)) + field(1, 5, b"\0") + b"\0", varint(2 * len(entries))
    first = field(1, 5, varint(4)) + field(1, 5, size) + field(1, 5, size) + field(4, 12, page) + b"\0"
    whole = first + entries + header(len(content), 2, encoding=8) + content
    chunk = object.__new__(Chunk)
    chunk.open(whole, form, page_state.UNCOMPRESSED, False, 2)
    return chunk


@pytest.mark.parametrize("kind", CODED)
@pytest.mark.parametrize("form", [page_state.EIGHT_BYTES, page_state.CODES, page_state.TEXTS])
def test_codes_are_in_the_dictionary(kind, form) -> None:
    content, status = CODED[kind]
    with pytest.raises(Refused, match=page_state.STATUS[status]):
        read_all(coded_chunk(content, form))


def test_a_last_group_may_be_cut_after_its_last_value() -> None:
    """Some writers do not fill the last group of eight; its whole values are there."""
    assert coded_chunk(b"\2\3\x09", page_state.EIGHT_BYTES).fixed(2)[0].tolist() == [1, 2]


def test_more_rows_than_there_are() -> None:
    chunk = plain_chunk(bytes(16), 2)
    with pytest.raises(Refused, match=page_state.STATUS[page_state.CHUNK_ENDED]):
        chunk.fixed(3)


def test_what_no_honest_chunk_has_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(Refused, match=page_state.STATUS[page_state.IMPLAUSIBLE_SIZE]):
        plain = header(8, 2) + bytes(8)
        object.__new__(Chunk).open(plain, page_state.EIGHT_BYTES, page_state.UNCOMPRESSED, False, 1)
    huge = bytearray(header(8, 1))
    at = huge.index(b"\x15\x10")
    huge[at : at + 2] = b"\x15" + varint(2 * (2**31 - 1))
    with pytest.raises(Refused, match=page_state.STATUS[page_state.IMPLAUSIBLE_SIZE]):
        object.__new__(Chunk).open(bytes(huge) + bytes(8), page_state.EIGHT_BYTES, page_state.SNAPPY, False, 1)
    with pytest.raises(Refused, match=page_state.STATUS[page_state.MISPLACED_DICTIONARY]):
        plain_chunk(b"\1\2\0", 1, encoding=8)


def test_arrays_that_are_too_short_are_refused() -> None:
    chunk = plain_chunk(bytes(16), 2)
    enough = (chunk.chunk, chunk.directory, chunk.page, chunk.words, chunk.codes)
    out, none = np.empty(16, np.uint8), np.empty(0, np.uint8)
    short = (chunk.chunk, chunk.directory, chunk.page, chunk.words, chunk.codes[:9])
    assert page_fixed.read_fixed(*enough, chunk.state, out[:15], none, 0, 2) == thrift.BAD_ARGUMENT
    assert page_fixed.read_fixed(*enough, chunk.state, out, none, 2, 1) == thrift.BAD_ARGUMENT
    assert page_fixed.read_fixed(*enough, chunk.state, out, none, -1, 1) == thrift.BAD_ARGUMENT
    assert page_fixed.read_fixed(*short, chunk.state, out, none, 0, 2) == thrift.BAD_ARGUMENT
    assert (
        page_fixed.read_fixed(
            chunk.chunk, chunk.directory, chunk.page[:70], chunk.words, chunk.codes, chunk.state.copy(), out, none, 0, 2
        )
        == page_state.PAGE_TOO_LARGE
    )
    assert (
        page_fixed.read_fixed(chunk.chunk[:-1], *enough[1:], chunk.state.copy(), out, none, 0, 2) == thrift.BAD_ARGUMENT
    )
    assert thrift.list_pages(chunk.chunk, len(chunk.chunk), chunk.directory) == thrift.BAD_ARGUMENT
    assert page_fixed.read_fixed(*enough, chunk.state, out, none, 0, 2) == 0
