"""Kernels over text columns: what arrives, what comes back, constants, nulls, errors that name file and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow_kernels.text_methods import TEXT_METHODS

HERE = Path(__file__).name
SCHEME = "https"
SLASH = b"/"
URLS = ["https://a.example/x", None, "http://ü.example", "", "https://b.example/y/z", "gopher"]


@pytest.fixture
def urls(tmp_path: Path) -> cr.Dataset:
    table = pa.table(
        {"url": URLS, "raw": [b"\xff/", b"", None, b"a", b"\x00", b"b/"], "k": [1, 1, 2, 2, 3, 3], "x": [1.0] * 6}
    )
    pq.write_table(table, tmp_path / "urls.parquet", row_group_size=4)
    return cr.scan(str(tmp_path / "urls.parquet"))


@cr.row_kernel(returns={"scheme": pa.string(), "host": pa.string(), "deep": pa.bool_(), "bytes": pa.int32()})
def parts(url):
    """Cuts an address."""
    at = url.find("://")
    if at < 0:
        return "none", "", False, len(url)
    rest = url.slice(at + 3)
    end = rest.find(SLASH)
    deep = end >= 0 and rest.slice(end + 1).contains(SLASH)
    return url.slice(0, at), rest if end < 0 else rest.slice(0, end), deep, len(url)


@cr.row_kernel
def secure(url) -> bool:
    return url.startswith(SCHEME) and url != "https://"


@cr.row_kernel
def first_byte(raw) -> bytes:
    return raw.slice(0, 1)


WANTED = [
    ("https", "a.example", False, 19),
    (None, None, None, None),
    ("http", "ü.example", False, 17),
    ("none", "", False, 0),
    ("https", "b.example", True, 21),
    ("none", "", False, 6),
]


def test_texts_in_and_out(urls: cr.Dataset) -> None:
    found = urls.map(parts).collect()
    assert found.schema.field("scheme").type == pa.string()
    assert [tuple(r[c] for c in ("scheme", "host", "deep", "bytes")) for r in found.to_pylist()] == WANTED
    assert [parts(u) for u in URLS if u is not None] == [w for w in WANTED if w[0] is not None]


def test_annotations_say_str_and_bytes(urls: cr.Dataset) -> None:
    @cr.row_kernel
    def same(url) -> str:
        return url

    assert urls.map(same).collect()["same"].to_pylist() == URLS
    found = urls.map(first_byte).collect()
    assert found.schema.field("first_byte").type == pa.binary()
    assert found["first_byte"].to_pylist() == [b"\xff", b"", None, b"a", b"\x00", b"b"]
    assert (same("ü"), first_byte(b"ab"), secure("https://x")) == ("ü", b"a", True)


def test_a_kernel_over_text_runs_in_the_fused_loop(urls: cr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def vectorised(batch: Any, conditions: tuple[object, ...] = ("",), *_: object) -> Any:
        assert not conditions, "the batch went the slow way"
        return batch

    monkeypatch.setattr("checkrow.operators.rows.filtered", vectorised)
    monkeypatch.setattr("checkrow.operators.partial.PartialAggregate._vectorised", vectorised)
    rows = urls.filter(secure).filter((col("x") > 0) & col("url").is_not_null()).map(parts).with_columns(y=col("x") + 1)
    assert rows.collect()["host"].to_pylist() == ["a.example", "b.example"]
    found = rows.group_by("k").agg(n=cr.count("url"), b=cr.sum("bytes"), deep=cr.max("deep")).collect()
    assert found.to_pylist() == [{"k": 1, "n": 1, "b": 19, "deep": False}, {"k": 3, "n": 1, "b": 21, "deep": True}]
    # The column is a key, known by its codes, and the argument of a kernel, which takes its texts.
    keyed = urls.filter(secure).group_by("url").agg(n=cr.sum("x")).collect()
    assert keyed["url"].to_pylist() == ["https://a.example/x", "https://b.example/y/z"]


def test_a_computed_text_is_an_argument_a_key_and_an_order(urls: cr.Dataset) -> None:
    @cr.row_kernel(returns=pa.string())
    def scheme_of(url):
        return url.slice(0, max(url.find(":"), 0))

    @cr.row_kernel(returns=pa.int64())
    def length(text):
        return len(text)

    nested = urls.select(n=length(scheme_of(col("url"))))
    assert nested.collect()["n"].to_pylist() == [5, None, 4, 0, 5, 0]
    found = urls.group_by(scheme_of(col("url")).alias("s")).agg(n=cr.count()).collect().to_pylist()
    assert {r["s"]: r["n"] for r in found} == {"https": 2, None: 1, "http": 1, "": 2}
    assert urls.filter(scheme_of(col("url")) == "http").collect()["k"].to_pylist() == [2]


def test_literals_and_expressions_as_arguments(urls: cr.Dataset) -> None:
    @cr.row_kernel(returns=pa.bool_())
    def begins(text, head):
        return text.startswith(head)

    found = urls.select(a=begins(col("url"), cr.lit("http:")), b=begins(col("k").cast(pa.string()), cr.lit("1")))
    assert found.collect().to_pylist() == [
        {"a": None if u is None else u.startswith("http:"), "b": k == 1}
        for u, k in zip(URLS, [1, 1, 2, 2, 3, 3], strict=True)
    ]


def test_a_failing_value_of_a_dictionary_fails_only_where_it_stands(tmp_path: Path) -> None:
    # Conditions on a dictionary were evaluated once per entry, whether or not a row held it.
    texts = pa.DictionaryArray.from_arrays(pa.array([1, 2, 1], pa.int32()), pa.array(["bad", "1", "2"]))
    pq.write_table(pa.table({"t": texts, "u": ["a", "b", "c"]}), tmp_path / "t.parquet")

    @cr.row_kernel(returns=pa.string())
    def picky(t):
        if t == "bad":
            raise ValueError("bad")
        return t

    rows = cr.scan(str(tmp_path / "t.parquet"))
    found = rows.filter(picky(col("t")) == "1").group_by("t").agg(n=cr.count()).collect()
    assert found.to_pylist() == [{"t": "1", "n": 2}]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int16(), pa.string())])
def test_layouts(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"url": pa.chunked_array([URLS[:1], URLS[1:]]).cast(kind)}), tmp_path / "t.parquet")
    found = cr.scan(str(tmp_path / "t.parquet")).map(parts).collect()
    assert found["host"].to_pylist() == [w[1] for w in WANTED]


@pytest.mark.parametrize("values", [[], [None, None], [""], [""] * 3 + [None]])
def test_columns_without_a_byte(tmp_path: Path, values: list[Any]) -> None:
    pq.write_table(
        pa.table({"url": pa.array(values, pa.string()), "k": pa.array([0] * len(values), pa.int64())}),
        tmp_path / "t.parquet",
    )
    rows = cr.scan(str(tmp_path / "t.parquet"))
    wanted = [None if v is None else "none" for v in values]
    assert rows.map(parts).collect()["scheme"].to_pylist() == wanted
    assert rows.group_by("k").apply(joined).collect()["n"].to_pylist() == (
        [sum(v is not None for v in values)] if values else []
    )


@cr.group_kernel(returns={"n": pa.int64(), "last": pa.string()})
def joined(url, url_valid):
    n = 0
    for i in range(len(url)):
        n += url_valid[i]
    return n, url[len(url) - 1]


def test_texts_longer_than_the_room_there_is_at_first(tmp_path: Path) -> None:
    long = ["x" * 100_000, "é" * 3, None, "y" * 1_000_000]
    pq.write_table(pa.table({"url": long, "k": [1, 1, 2, 2]}), tmp_path / "t.parquet")

    @cr.row_kernel(returns={"a": pa.string(), "n": pa.int64(), "b": pa.string()})
    def twice(url):
        return url, len(url), url.slice(1) if url.startswith("x") else url

    found = cr.scan(str(tmp_path / "t.parquet")).map(twice).collect()
    assert found["a"].to_pylist() == long
    assert found["b"].to_pylist() == ["x" * 99_999, *long[1:]]
    assert found["n"].to_pylist() == [100_000, 6, None, 1_000_000]


@pytest.mark.parametrize("room", [0, 1])
def test_groups_whose_texts_do_not_fit_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("checkrow.operators.written._TEXT_BYTES", room)
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", 3)
    texts = ["abc" * (i % 50) for i in range(300)]
    pq.write_table(pa.table({"url": texts, "k": [i % 7 for i in range(300)]}), tmp_path / "t.parquet")

    @cr.group_kernel(returns={"n": pa.int64(), "t": pa.string(), "u": pa.string()}, shape="map")
    def counted(url, out):
        for i in range(len(url)):
            out.n[i] += 1
            out.t[i] = url[i]
            out.u[len(url) - 1 - i] = url[i]

    found = cr.scan(str(tmp_path / "t.parquet")).group_by("k").apply(counted).collect().to_pylist()
    for key in range(7):
        some = [r for r in found if r["k"] == key]
        assert [r["t"] for r in some] == texts[key::7]
        assert [r["u"] for r in some] == texts[key::7][::-1]
        assert {r["n"] for r in some} == {1}


def test_group_kernels(urls: cr.Dataset) -> None:
    @cr.group_kernel(returns={"longest": pa.string()}, nulls={"url": "(unknown)"})
    def longest(url):
        best = url[0]
        for i in range(1, len(url)):
            if len(url[i]) > len(best):
                best = url[i]
        return best

    @cr.group_kernel(returns={"piece": pa.string(), "at": pa.int64()}, shape="expand", nulls={"url": "-"}, max_rows=20)
    def pieces(url, out):
        n = 0
        for i in range(len(url)):
            rest = url[i]
            at = rest.find("/")
            while at >= 0:
                out.piece[n] = "wrong"
                out.piece[n] = rest.slice(0, at)
                out.at[n] = at
                n += 1
                rest = rest.slice(at + 1)
                at = rest.find("/")
            out.piece[n] = rest
            n += 1
        return n

    @cr.group_kernel(returns={"back": pa.string()}, shape="map", nulls={"url": ""})
    def same(url):
        return url

    grouped = urls.group_by("k")
    assert grouped.apply(longest).collect()["longest"].to_pylist() == [
        "https://a.example/x",
        "http://ü.example",
        "https://b.example/y/z",
    ]
    assert longest(["a", "bcd"]) == "bcd"
    found = grouped.apply(pieces).collect()
    assert found["piece"].to_pylist() == [
        "https:",
        "",
        "a.example",
        "x",
        "-",
        "http:",
        "",
        "ü.example",
        "",
        "https:",
        "",
        "b.example",
        "y",
        "z",
        "gopher",
    ]
    room = cr.outputs_for(pieces, 5)
    assert pieces(["a/b", None], room) == 3
    assert room.piece.tolist() == [b"a", b"b", b"", b"", b""]
    assert grouped.apply(same).collect()["back"].to_pylist() == ["" if u is None else u for u in URLS]


def test_an_aggregator_reads_texts(urls: cr.Dataset) -> None:
    @cr.aggregator(returns=pa.int64())
    class Longest:
        def init():
            return 0

        def update(state, text, *, unit=1):
            return max(state, len(text) // unit)

        def merge(state, other):
            return max(state, other)

        def finish(state):
            return state

    found = urls.group_by("k").agg(n=Longest("url"), raw=Longest("raw")).collect()
    assert (found["n"].to_pylist(), found["raw"].to_pylist()) == ([19, 17, 21], [2, 1, 2])
    assert Longest(["ab", "ü"]) == 2
    assert urls.group_by("url").agg(n=Longest("url")).collect()["n"].to_pylist() == [
        None if u is None else len(u.encode()) for u in URLS
    ]


def test_the_fingerprint_follows_text_constants(monkeypatch: pytest.MonkeyPatch, urls: cr.Dataset) -> None:
    before, rows = secure.spec.fingerprint, urls.filter(secure)
    monkeypatch.setitem(globals(), "SCHEME", "http:")
    assert secure.spec.fingerprint != before
    assert urls.filter(secure).collect()["url"].to_pylist() == ["http://ü.example"]
    assert rows.collect().num_rows == 2
    assert dict(parts.spec.texts) == {"SLASH": b"/"}


@pytest.mark.parametrize("rows", ["fail", "null"])
def test_texts_that_are_no_numbers(tmp_path: Path, rows: str) -> None:
    pq.write_table(pa.table({"t": ["1", "x", None, "-7", "1.5"]}), tmp_path / "t.parquet")

    @cr.row_kernel(returns={"n": pa.int64()})
    def number(t):
        return t.to_int()

    @cr.row_kernel(returns={"f": pa.float64()})
    def real(t):
        return t.to_float()

    scan = cr.scan(str(tmp_path / "t.parquet"))
    if rows == "fail":
        with pytest.raises(
            errors.KernelRowError,
            match=rf"row 1: kernel 'number' \(.*{HERE}:\d+, `return t.to_int\(\)`\) raised ValueError: to_int",
        ):
            scan.map(number).collect()
        return
    found = scan.map(number).map(real).collect(bad_rows=cr.BadRows("null"))
    assert found["n"].to_pylist() == [1, None, None, -7, None]
    assert found["f"].to_pylist() == [1.0, None, None, -7.0, 1.5]


def test_forbidden_nulls(urls: cr.Dataset) -> None:
    @cr.row_kernel(returns={"n": pa.int64()}, nulls="forbid")
    def size(url):
        return len(url)

    @cr.group_kernel(returns={"n": pa.int64()})
    def count(url):
        return len(url)

    with pytest.raises(errors.KernelRowError, match=r"row 1: kernel 'size' .* forbids nulls .*url"):
        urls.map(size).collect()
    with pytest.raises(
        errors.KernelRowError, match=r"group k=1: kernel 'count' .* forbids nulls but column 'url' holds one"
    ):
        urls.group_by("k").apply(count).collect()
    whole = urls.filter(col("url").is_not_null())
    assert whole.map(size).collect()["n"].to_pylist() == [len(u.encode()) for u in URLS if u is not None]
    assert whole.group_by("k").apply(count).collect()["n"].to_pylist() == [1, 2, 2]


def test_bytes_that_are_no_string(urls: cr.Dataset, tmp_path: Path) -> None:
    @cr.row_kernel(returns={"s": pa.string()})
    def cast(raw):
        return raw

    @cr.group_kernel(returns={"s": pa.string()}, nulls={"raw": b""})
    def first(raw):
        return raw[0]

    with pytest.raises(
        errors.KernelRowError, match=r"row 0: kernel 'cast' .* returned bytes for 's' that are not UTF-8; slice between"
    ):
        urls.map(cast).collect()
    with pytest.raises(
        errors.KernelRowError, match=r"group k=1: kernel 'first' .* returned bytes for 's' that are not UTF-8"
    ):
        urls.group_by("k").apply(first).collect()
    null = cr.BadRows("null")
    assert urls.map(cast).collect(bad_rows=null)["s"].to_pylist() == [None, "", None, "a", "\x00", "b/"]
    assert urls.group_by("k").apply(first).collect(bad_rows=null)["s"].to_pylist() == [None, "", "\x00"]


def line_of(text: str) -> int:
    return next(n for n, t in enumerate(Path(__file__).read_text().splitlines(), 1) if text in t)


def test_kernels_that_do_not_type(urls: cr.Dataset) -> None:
    @cr.row_kernel(returns=pa.bool_())
    def on_a_number(k):
        return k.startswith("a") or k == 7

    @cr.row_kernel(returns=pa.bool_())
    def unknown(url):
        return url.upper() == "A"

    @cr.row_kernel(returns={"s": pa.string()})
    def whole(url):
        return len(url)

    @cr.row_kernel(returns={"s": pa.float64()})
    def no_float(url):
        return url

    @cr.row_kernel(returns={"s": pa.string()})
    def perhaps(url):
        best = None
        if url:
            best = url
        return best

    cases = [
        (
            on_a_number,
            f"{HERE}:{line_of('return k.starts' + 'with')}: kernel 'on_a_number' does not compile .*'startswith' of type int64.*k \\(int64\\)",
        ),
        (
            unknown,
            f"{HERE}:{line_of('return url.' + 'upper')}: kernel 'unknown' does not compile .*'upper' of type text.*url \\(string\\)",
        ),
        (whole, "'whole' returns int64 for 's', declared string; return a view of an argument or a literal"),
        (no_float, "'no_float' returns text for 's', declared double; convert it"),
        (perhaps, "'perhaps' returns OptionalType.text. for 's', declared string; .* never None"),
    ]
    for kernel, message in cases:
        with pytest.raises(errors.KernelTypeError, match=message):
            urls.map(kernel).collect()


def test_fills_are_of_the_column_s_kind(urls: cr.Dataset) -> None:
    @cr.group_kernel(returns={"n": pa.int64()}, nulls={"url": 0})
    def count(url):
        return len(url)

    with pytest.raises(errors.KernelTypeError, match="nulls= gives 0 for column 'url', which is string; give a str or"):
        urls.group_by("k").apply(count)

    @cr.group_kernel(returns={"n": pa.float64()}, nulls={"x": "0"})
    def total(x):
        return x.sum()

    with pytest.raises(errors.KernelTypeError, match="gives b'0' for column 'x', which is double; give a number"):
        urls.group_by("k").apply(total)


def test_text_that_cannot_be_captured_or_declared() -> None:
    with pytest.raises(errors.KernelTypeError, match="cannot return string"):

        @cr.aggregator(returns=pa.string())
        class Last:
            def init():
                return 0

            def update(state, x):
                return state

            def merge(state, other):
                return state

            def finish(state):
                return "a"


def test_what_a_plain_call_gives() -> None:
    @cr.row_kernel(returns={"s": pa.string(), "b": pa.binary(), "n": pa.int64()})
    def both(text):
        return "é", text.slice(1), text.find("b")

    assert both("abc") == ("é", b"bc", 1)
    assert both(b"\xffb") == ("é", b"b", 1)

    @cr.row_kernel(returns={"s": pa.string()})
    def number(text):
        return len(text)

    with pytest.raises(TypeError, match="expected a text"):
        number("a")
    texts = np.array(["a", "bb"], dtype=object)
    assert joined(texts, np.array([True, False])) == (1, "bb")


def test_the_slow_way_gives_the_same(urls: cr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fused = urls.filter(secure).map(parts).collect()
    monkeypatch.setattr("checkrow.operators.fuse.RangeProof.holds", lambda *_: False)
    assert urls.filter(secure).map(parts).collect().equals(fused)


def test_the_page_about_text_names_every_method() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kernels.md").read_text()
    assert {f"a.{name}(" for name in TEXT_METHODS} <= set(re.findall(r"a\.\w+\(", page))
