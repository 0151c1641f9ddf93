"""Column chunks as the page decoder reads them equal what pyarrow reads of the same file, however they were written and are taken."""

from __future__ import annotations

import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checkrow_kernels import page_fixed, page_opening, page_state, page_texts, thrift, warm
from tests.conftest import environment

ROOT = Path(__file__).parents[2]
FORMS = {
    "INT32": page_state.FOUR_BYTES,
    "FLOAT": page_state.FOUR_BYTES,
    "INT64": page_state.EIGHT_BYTES,
    "DOUBLE": page_state.EIGHT_BYTES,
    "BYTE_ARRAY": page_state.TEXTS,
}


class Refused(Exception):
    """A status of a kernel, or a reason not to begin."""


def seen(status: int) -> int:
    if status < 0 and status != page_state.TEXTS_FULL:
        raise Refused(page_state.STATUS[status])
    return status


class Chunk:
    """One column chunk of a file, read as the engine reads it."""

    def __init__(self, file: bytes, group: int = 0, column: int = 0, form: int | None = None) -> None:
        footer = pq.read_metadata(io.BytesIO(file))
        meta = footer.row_group(group).column(column)
        starts = [s for s in (meta.dictionary_page_offset, meta.data_page_offset) if s]
        first = min(starts, default=0)  # a chunk of no rows may have no pages
        content = file[first : first + meta.total_compressed_size]
        self.open(
            content, FORMS[meta.physical_type] if form is None else form, {"UNCOMPRESSED": 0, "SNAPPY": 1}[meta.compression],
            footer.schema.column(column).max_definition_level == 1, meta.num_values,
        )  # fmt: skip

    def open(self, content: bytes, form: int, codec: int, optional: bool, rows: int) -> None:
        self.chunk = np.zeros(len(content) + thrift.PADDING, np.uint8)
        self.chunk[: len(content)] = np.frombuffer(content, np.uint8)
        self.optional, self.rows = optional, rows
        self.state, self.codes = page_state.begin(codec, form, optional), np.empty(page_state.CODES_LENGTH, np.uint32)
        self.directory, self.word_offsets = np.empty((2, thrift.FIELDS), np.int64), np.empty(1, np.int64)
        self.page = self.words = np.empty(thrift.PADDING, np.uint8)
        while True:
            status = page_opening.open_chunk(
                self.chunk, len(content), self.directory, self.page, self.word_offsets, self.words, self.state, rows
            )
            if status == thrift.DIRECTORY_FULL:
                self.directory = np.empty((2 * len(self.directory), thrift.FIELDS), np.int64)
            elif status == page_state.BUFFERS_FULL:
                self.page = np.empty(self.state[page_state.PAGE_BYTES] + thrift.PADDING, np.uint8)
                self.words = np.empty(self.state[page_state.DICTIONARY_BYTES] + thrift.PADDING, np.uint8)
                self.word_offsets = np.empty(max(1, self.state[page_state.OFFSETS]), np.int64)
            else:
                break
        assert seen(status) == self.state[page_state.ENTRIES]
        self.directory = self.directory[: self.state[page_state.PAGES]]
        self.form = int(self.state[page_state.FORM])
        self.looked_up = self.words
        if self.form == page_state.CODES:  # codes are looked up too: here each stands for itself
            self.looked_up = np.arange(status, dtype=np.int32).view(np.uint8)
        self.width = 8 if self.form in (page_state.EIGHT_BYTES, page_state.WIDENED) else 4

    def fixed(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the next rows' values (as unsigned integers) and validity."""
        out, valid = np.full(rows * self.width, 0x55, np.uint8), np.full(rows if self.optional else 0, 9, np.uint8)
        nulls = seen(
            page_fixed.read_fixed(
                self.chunk, self.directory, self.page, self.looked_up, self.codes, self.state, out, valid, 0, rows
            )
        )
        assert self.state[page_state.NEXT_ROW] == rows
        valid = valid if self.optional else np.ones(rows, np.uint8)
        assert valid.max(initial=0) <= 1
        assert nulls == self.state[page_state.NULLS] == (valid == 0).sum()
        return out.view(np.uint32 if self.width == 4 else np.uint64), valid

    def texts(self, rows: int, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the next rows' offsets, bytes and validity, from an array that grows whenever it is full."""
        data, offsets = np.empty(room + thrift.PADDING, np.uint8), np.zeros(rows + 1, np.int64)
        valid, row, nulls = np.full(rows if self.optional else 0, 9, np.uint8), 0, 0
        while row < rows:
            status = seen(
                page_texts.read_texts(
                    self.chunk, self.directory, self.page, self.words, self.word_offsets, self.codes, self.state,
                    offsets, data, valid, row, rows,
                )
            )  # fmt: skip
            row = int(self.state[page_state.NEXT_ROW])
            nulls += int(self.state[page_state.NULLS])
            if status != page_state.TEXTS_FULL:
                break
            data = np.concatenate([data, np.empty(len(data), np.uint8)])
        valid = valid if self.optional else np.ones(rows, np.uint8)
        assert nulls == (valid == 0).sum()
        return offsets, data, valid

    def array(self, batch: int, kind: pa.DataType, room: int = 64) -> pa.Array:
        """Returns all rows as Arrow, read in batches."""
        parts = []
        for start in range(0, self.rows, batch):
            rows = min(batch, self.rows - start)
            if self.form == page_state.TEXTS:
                offsets, data, valid = self.texts(rows, room)
                buffers = [pa.py_buffer(offsets), pa.py_buffer(data)]
                kind = (
                    pa.large_binary()
                    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
                    else pa.large_string()
                )
            else:
                values, valid = self.fixed(rows)
                assert len(values) == rows
                assert not values[valid == 0].any()
                buffers = [pa.py_buffer(values)]
            bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
            parts.append(pa.Array.from_buffers(kind, rows, [bits, *buffers]))
        return pa.chunked_array(parts, kind).combine_chunks()


def written(array: pa.Array, *, nullable: bool = True, **options: object) -> bytes:
    sink = io.BytesIO()
    schema = pa.schema([pa.field("c", array.type, nullable)])
    pq.write_table(pa.Table.from_arrays([array], schema=schema), sink, **{"compression": "snappy", **options})
    return sink.getvalue()


def same(file: bytes, batch: int, kind: pa.DataType | None = None) -> None:
    """Asserts that every chunk of a one-column file reads as pyarrow reads it."""
    source = pq.ParquetFile(io.BytesIO(file))
    for group in range(source.num_row_groups):
        wanted = source.read_row_group(group)["c"].combine_chunks()
        kind = kind or wanted.type
        found = Chunk(file, group).array(batch, kind)
        assert len(found) == len(wanted)
        assert found.null_count == wanted.null_count
        assert found.cast(kind).equals(wanted.cast(kind))


def with_nulls(values: np.ndarray, nulls: str, rng: np.random.Generator) -> np.ndarray:
    """Returns which rows are null."""
    rows = len(values)
    gone = {
        "none": np.zeros(rows, bool),
        "all": np.ones(rows, bool),
        "some": rng.random(rows) < 0.3,
        "runs": np.repeat(rng.random(rows // 700 + 1) < 0.5, 700)[:rows],
        "last": np.arange(rows) >= rows - 3,
    }
    return gone[nulls]


def numbers(kind: str, rows: int, spread: int, rng: np.random.Generator) -> np.ndarray:
    values = rng.integers(-(spread // 2) - 1, spread // 2 + 1, rows)
    return (values * 1.25).astype(kind) if kind.startswith("float") else values.astype(kind)


LAYOUTS = [
    {"data_page_version": "1.0"},
    {"data_page_version": "2.0"},
    {"data_page_version": "2.0", "compression": "none"},
    {"data_page_version": "1.0", "compression": "none", "write_page_checksum": True},
    {"data_page_version": "1.0", "data_page_size": 64, "write_batch_size": 16},
    {"data_page_version": "2.0", "data_page_size": 64, "write_batch_size": 5, "write_page_checksum": True},
    {"data_page_version": "1.0", "use_dictionary": False},
    {"data_page_version": "2.0", "use_dictionary": False, "data_page_size": 700},
    {"data_page_version": "1.0", "dictionary_pagesize_limit": 600, "write_batch_size": 200, "data_page_size": 1000},
    {"data_page_version": "2.0", "dictionary_pagesize_limit": 600, "write_batch_size": 200, "row_group_size": 2000},
]


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("kind", ["int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("nulls", ["required", "none", "all", "some", "runs", "last"])
def test_numbers(layout, kind, nulls) -> None:
    rng = np.random.default_rng([layout, len(nulls)])
    for rows, spread in ((3_001, 40), (5_000, 3_000), (1, 5), (0, 5), (2_000, 1)):
        values = numbers(kind, rows, spread, rng)
        gone = None if nulls == "required" else with_nulls(values, nulls, rng)
        file = written(pa.array(values, mask=gone), nullable=nulls != "required", **LAYOUTS[layout])
        for batch in (613, 131_072):
            same(file, batch)


def texts(rows: int, distinct: int, rng: np.random.Generator) -> list[str]:
    lengths = [0, 1, 3, 8, 15, 16, 17, 40, 300]
    words = [f"{i}é" * lengths[int(rng.integers(0, len(lengths)))] for i in range(distinct)]
    return [words[int(i)] for i in rng.integers(0, distinct, rows)]


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("nulls", ["required", "none", "all", "some", "runs", "last"])
def test_texts(layout, nulls) -> None:
    rng = np.random.default_rng([layout, len(nulls)])
    for rows, distinct in ((1_501, 12), (1_500, 1_000), (1, 1), (0, 1), (1_200, 1)):
        values = np.array(texts(rows, distinct, rng), dtype=object)
        gone = None if nulls == "required" else with_nulls(values, nulls, rng)
        file = written(pa.array(values, pa.string(), mask=gone), nullable=nulls != "required", **LAYOUTS[layout])
        for batch in (613, 131_072):
            same(file, batch)


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("nulls", ["required", "some", "runs"])
def test_codes_where_all_pages_have_them(layout, nulls) -> None:
    rng = np.random.default_rng(layout)
    values = np.array(texts(4_000, 300, rng), dtype=object)
    gone = None if nulls == "required" else with_nulls(values, nulls, rng)
    column = pa.array(values, pa.string(), mask=gone)
    file = written(column, nullable=gone is not None, **{**LAYOUTS[layout], "row_group_size": 4_000})
    for batch in (7, 1_000, 131_072):
        chunk = Chunk(file, form=page_state.CODES)
        data = chunk.directory[:, thrift.KIND] != thrift.DICTIONARY_PAGE
        all_coded = np.isin(chunk.directory[data, thrift.ENCODING], (2, 8)).all()
        assert chunk.form == (page_state.CODES if all_coded else page_state.TEXTS)
        found = []
        for start in range(0, chunk.rows, batch):
            rows = min(batch, chunk.rows - start)
            if chunk.form == page_state.TEXTS:
                offsets, word, valid = chunk.texts(rows, 100)
                codes = np.arange(rows)
            else:
                codes, valid = chunk.fixed(rows)
                offsets, word = chunk.word_offsets, chunk.words
                assert (codes[valid == 0] == 0xFFFFFFFF).all()
            found += [
                word[offsets[c] : offsets[c + 1]].tobytes().decode() if v else None
                for c, v in zip(codes.astype(int), valid, strict=True)
            ]
        assert found == column.to_pylist()


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("form", [page_state.EIGHT_BYTES, page_state.CODES, page_state.TEXTS])
def test_buffers_of_the_lengths_asked_for_are_enough_and_shorter_ones_are_not(use_dictionary, form) -> None:
    numbers = form == page_state.EIGHT_BYTES
    values = pa.array(range(900)) if numbers else pa.array([f"text {i}" for i in range(900)])
    chunk = Chunk(written(values, use_dictionary=use_dictionary), form=form)
    arrays = {
        "page": chunk.page,
        "offsets": chunk.word_offsets[: chunk.state[page_state.OFFSETS]],
        "dictionary": chunk.words,
    }

    def status(**shorter: np.ndarray) -> int:
        return page_opening.open_chunk(
            chunk.chunk, len(chunk.chunk) - thrift.PADDING, chunk.directory, *{**arrays, **shorter}.values(), chunk.state,
            chunk.rows,
        )  # fmt: skip

    assert status() == chunk.state[page_state.ENTRIES] == (900 if use_dictionary else 0)
    for name, array in arrays.items():
        if len(array):
            assert status(**{name: array[:-1]}) == page_state.BUFFERS_FULL
            assert chunk.state[page_state.ENTRIES] == 0


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_decimals_in_four_bytes_become_eight(layout) -> None:
    rng = np.random.default_rng(layout)
    cents = rng.integers(-(10**7), 10**7, 3_000)
    gone = rng.random(3_000) < 0.2
    column = pa.array(
        [None if g else Decimal(int(c)).scaleb(-2) for c, g in zip(cents, gone, strict=True)], pa.decimal128(9, 2)
    )
    file = written(column, store_decimal_as_integer=True, **{**LAYOUTS[layout], "row_group_size": 3_000})
    values, valid = Chunk(file, form=page_state.WIDENED).fixed(3_000)
    assert (valid == 0).tolist() == gone.tolist()
    assert values.view(np.int64).tolist() == np.where(gone, 0, cents).tolist()


@pytest.mark.parametrize("bits", range(18))
def test_every_width_of_codes(bits) -> None:
    """A dictionary of 2**bits values has codes of that width; the order is neither sorted nor periodic."""
    rng = np.random.default_rng(bits)
    distinct = 1 << bits
    values = np.concatenate([np.arange(distinct), rng.integers(0, distinct, 6_000)]) * 7919
    file = written(pa.array(values), dictionary_pagesize_limit=1 << 26, nullable=bool(bits & 1))
    assert Chunk(file).directory[1:, thrift.ENCODING].tolist() == [8] * (len(Chunk(file).directory) - 1)
    same(file, 131_072)
    same(file, 4_099)


def test_one_row_more_than_a_batch() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 10**6, 131_073)
    file = written(pa.array(values, mask=rng.random(131_073) < 0.1), row_group_size=200_000)
    same(file, 131_072)
    same(written(pa.array(values), nullable=False, row_group_size=200_000), 131_072)


@pytest.mark.parametrize("batch", [1, 7])
def test_few_rows_at_a_time(batch) -> None:
    rng = np.random.default_rng(2)
    for layout in LAYOUTS:
        values = rng.integers(0, 50, 300)
        same(written(pa.array(values, mask=rng.random(300) < 0.4), **layout), batch)
        same(written(pa.array([str(v) * 9 for v in values], mask=rng.random(300) < 0.4), **layout), batch)


def test_several_chunks_fill_one_batch() -> None:
    values = np.arange(1_000)
    file = written(pa.array(values), row_group_size=300)
    out, row = np.empty(8_000, np.uint8), 0
    valid = np.empty(1_000, np.uint8)
    for group in range(4):
        chunk = Chunk(file, group)
        stop = row + chunk.rows
        assert (
            page_fixed.read_fixed(
                chunk.chunk, chunk.directory, chunk.page, chunk.words, chunk.codes, chunk.state, out, valid, row, stop
            )
            == 0
        )
        row = int(chunk.state[page_state.NEXT_ROW])
    assert out.view(np.int64).tolist() == values.tolist()


@pytest.mark.parametrize("dictionary", [True, False])
def test_text_bytes_are_estimated_high_enough(dictionary) -> None:
    rng = np.random.default_rng(3)
    column = pa.array(texts(4_000, 200, rng))
    chunk = Chunk(written(column, use_dictionary=dictionary, data_page_size=3_000, write_batch_size=50))
    total = sum(len(t.encode()) for t in column.to_pylist())
    estimate = page_texts.estimate_text_bytes(chunk.directory, chunk.state, 4_000)
    assert total <= estimate
    chunk.texts(1_500, 10)
    rest = sum(len(t.encode()) for t in column.to_pylist()[1_500:])
    assert rest <= page_texts.estimate_text_bytes(chunk.directory, chunk.state, 2_500) < estimate


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (pa.array(range(100)), {"use_dictionary": False, "column_encoding": "DELTA_BINARY_PACKED"}),
        (pa.array(np.arange(100.0)), {"use_dictionary": False, "column_encoding": "BYTE_STREAM_SPLIT"}),
        (pa.array(["a", "b"]), {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"}),
    ],
)
def test_other_encodings_are_refused(column, options) -> None:
    with pytest.raises(Refused, match="an encoding that is not decoded here"):
        Chunk(written(column, **options))


def test_lineitem_as_tpchgen_writes_it(tmp_path) -> None:
    command = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run(
        [command, "parquet", "-s", "0.002", "--tables=lineitem", f"--output-dir={tmp_path}"],
        check=True,
        capture_output=True,
    )
    file = (tmp_path / "lineitem.parquet").read_bytes()
    source = pq.ParquetFile(io.BytesIO(file))
    for column, name in enumerate(source.schema_arrow.names):
        wanted = source.read([name])[name].combine_chunks()
        if pa.types.is_decimal(wanted.type):
            values, _ = Chunk(file, 0, column, page_state.EIGHT_BYTES).fixed(len(wanted))
            assert values.view(np.int64).tolist() == [int(v.scaleb(2)) for v in wanted.to_pylist()]
        else:
            found = Chunk(file, 0, column).array(
                10_000,
                pa.large_string()
                if pa.types.is_string_view(wanted.type) or pa.types.is_string(wanted.type)
                else wanted.type,
            )
            assert found.to_pylist() == wanted.to_pylist()


def test_interpreted_gives_the_same_without_a_warning() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import numpy as np, pyarrow as pa\n"
        "from tests.kernels import test_pages as t\n"
        "rng = np.random.default_rng(0)\n"
        "gone = rng.random(400) < 0.3\n"
        "for layout in t.LAYOUTS:\n"
        "    for kind in ('int32', 'int64', 'float64'):\n"
        "        t.same(t.written(pa.array(t.numbers(kind, 400, 90, rng), mask=gone), **layout), 150)\n"
        "    t.same(t.written(pa.array(np.array(t.texts(400, 30, rng), dtype=object), pa.string(), mask=gone), **layout), 150)\n"
        "t.test_decimals_in_four_bytes_become_eight(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_entry_point_has_one_signature() -> None:
    """Arrays as the engine makes them call what `WARM` compiles ahead, and nothing else."""
    rng = np.random.default_rng(6)
    same(written(pa.array(rng.integers(0, 9, 100))), 40)
    same(written(pa.array(["a", None, "b"])), 2)
    for function, arguments in warm.WARM:
        assert function.dispatcher.signatures in ([], [arguments])
