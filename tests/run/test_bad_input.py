"""What bad input gets: a typed error of a sentence or two, nothing committed, earlier data intact."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from tests.conftest import environment


def data_files(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_missing_path(tmp_path) -> None:
    with pytest.raises(errors.ConfigError, match="no file or directory"):
        cr.scan(str(tmp_path / "nowhere"))


def test_directory_without_data(tmp_path) -> None:
    with pytest.raises(errors.ConfigError, match="holds no .parquet file"):
        cr.scan(str(tmp_path))


def test_empty_dataset_with_schema_commits_an_empty_snapshot(tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ds = cr.scan(str(folder), schema=pa.schema({"x": pa.int64()}))
    assert ds.collect().num_rows == 0
    run = ds.write_parquet(str(tmp_path / "out"))
    assert (run.rows_out, run.files) == (0, ())
    assert cr.scan(str(tmp_path / "out")).collect().schema.names == ["x"]


def test_file_of_no_rows(tmp_path) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "x.parquet")
    ds = cr.scan(str(tmp_path / "x.parquet"))
    assert ds.select(y=col("x") + 1).collect().num_rows == 0
    assert ds.group_by("x").agg(n=cr.count()).collect().num_rows == 0


@pytest.mark.parametrize("keep", [0, 3, 40, -1, -9])
def test_truncated_file(source, keep) -> None:
    victim = Path(source) / "1.parquet"
    victim.write_bytes(victim.read_bytes()[:keep])
    with pytest.raises(errors.CorruptInput, match=r"1\.parquet"):
        cr.scan(source).group_by("city").agg(n=cr.count()).write_parquet("out")
    assert not Path("out").exists()


def test_corrupt_page(source) -> None:
    victim = Path(source) / "1.parquet"
    data = bytearray(victim.read_bytes())
    place = pq.ParquetFile(victim).metadata.row_group(1).column(0)
    start = place.dictionary_page_offset or place.data_page_offset
    data[start : start + place.total_compressed_size] = b"\xff" * place.total_compressed_size
    victim.write_bytes(bytes(data))
    with pytest.raises(errors.CorruptInput, match=r"1\.parquet, row group 1"):
        cr.scan(source).select("id").write_parquet("out")
    assert not Path("out").exists()


def test_missing_column_names_the_nearest(source) -> None:
    with pytest.raises(errors.SchemaError, match="did you mean 'price'"):
        cr.scan(source).filter(col("prise") > 1)


def test_column_of_another_type_in_one_file(source) -> None:
    pq.write_table(pa.table({"id": ["a"], "city": ["b"]}), Path(source) / "9.parquet")
    with pytest.raises(errors.SchemaError, match=r"9\.parquet: column 'id' is string but the dataset has int64"):
        cr.scan(source).select("id").write_parquet("out")
    assert not Path("out").exists()
    assert not Path("out.checkrow").exists(), "it was found by the reading task, with the control root made"


def test_columns_are_matched_by_name_and_missing_ones_are_null(tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), folder / "1.parquet")
    pq.write_table(pa.table({"b": ["y"], "c": [0.5]}), folder / "2.parquet")
    assert cr.scan(str(folder)).collect().to_pylist() == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


def test_not_defined_for_types(source) -> None:
    with pytest.raises(errors.SchemaError, match="not defined for string and int64"):
        cr.scan(source).select(x=col("city") + 1)
    with pytest.raises(errors.SchemaError, match="filter"):
        cr.scan(source).filter(col("number") + 1)
    with pytest.raises(errors.SchemaError, match="twice"):
        cr.scan(source).select("id", "id")


def test_a_column_of_an_unknown_type_is_named_and_can_be_left_out(tmp_path) -> None:
    pq.write_table(pa.table({"id": [1], "tags": [["a"]]}), tmp_path / "x.parquet")
    ds = cr.scan(str(tmp_path / "x.parquet"))
    with pytest.raises(errors.SchemaError, match=r"column 'tags' is list<.*>, which cannot be used yet; leave it out"):
        ds.collect()
    assert ds.drop("tags").collect().to_pylist() == [{"id": 1}]


def test_target_is_a_file(source, tmp_path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(errors.ConfigError, match="is a file"):
        cr.scan(source).write_parquet(str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_target_inside_the_source(source) -> None:
    with pytest.raises(errors.ConfigError, match="inside the source"):
        cr.scan(source).write_parquet(f"{source}/out")


def test_target_holds_foreign_files(source, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.parquet").write_bytes(b"mine")
    with pytest.raises(errors.ConfigError, match="no checkrow run committed"):
        cr.scan(source).write_parquet(str(tmp_path / "out"), mode="replace")
    assert data_files(tmp_path / "out") == ["a.parquet"]


def test_writing_elsewhere_is_refused(source) -> None:
    with pytest.raises(errors.StoreCapabilityError, match="s3://"):
        cr.scan(source).write_parquet("s3://bucket/out")


def test_a_target_where_no_directory_can_be(source) -> None:
    with pytest.raises(errors.ConfigError, match=r"/proc/x\.checkrow cannot be created"):
        cr.scan(source).select("id").write_parquet("/proc/x")


def test_an_empty_url_is_not_the_current_directory(source, monkeypatch) -> None:
    monkeypatch.chdir(source)
    for url in ("", "file://", ["", source]):
        with pytest.raises(errors.ConfigError, match="names no place"):
            cr.scan(url)
    with pytest.raises(errors.ConfigError, match="names no place"):
        cr.scan(".").select("id").write_parquet("")


@pytest.mark.parametrize("url", ["s3://bucket/in", "http://localhost/in", "gs://bucket/in"])
def test_a_package_that_is_missing_is_named(url, monkeypatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(errors.ConfigError, match=f"{url} needs a package that is not installed: Install s3fs"):
        cr.scan(url)


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(errors.ConfigError, match="zzz://x cannot be opened: Protocol not known: zzz"):
        cr.scan("zzz://x")


def test_two_columns_of_one_name(tmp_path) -> None:
    twins = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twins, tmp_path / "twins.parquet")
    with pytest.raises(errors.SchemaError, match=r"twins\.parquet: the column 'a' stands there more than once"):
        cr.scan(str(tmp_path / "twins.parquet"))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(errors.SchemaError, match="schema=: the column 'a'"):
        cr.scan(str(tmp_path / "x.parquet"), schema=twins.schema)


@pytest.mark.parametrize("on", [None, "nowhere:1"])
def test_a_plan_that_does_not_stand_leaves_no_control_root(source, tmp_path, on) -> None:
    pq.write_table(pa.table({"id": [1], "tags": [["a"]]}), tmp_path / "x.parquet")
    Path("taken").mkdir()
    Path("taken/mine").touch()
    for plan, error in (
        (cr.scan(str(tmp_path / "x.parquet")).plan_parquet("out"), errors.SchemaError),
        (cr.scan(source).plan_parquet("taken"), errors.ConfigError),
        (cr.scan(source).plan_parquet("out", mode="wrong"), errors.PlanError),
    ):
        with pytest.raises(error):
            plan.run(on)
    assert not list(tmp_path.glob("*.checkrow"))


def test_no_permission(table) -> None:
    """As any user but root, whom permissions do not bind: as root the test acts as nobody."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        pq.write_table(table, f"{place}/in.parquet")
        Path(place, "closed").mkdir(mode=0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65_534)
        try:
            with pytest.raises(errors.PermissionRefused, match="Permission denied; give this user access"):
                cr.scan(f"{place}/in.parquet").select("id").write_parquet(f"{place}/closed/out")
        finally:
            if root:
                os.seteuid(0)


def test_no_permission_as_the_system_reports_it(source, tmp_path, monkeypatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(errors.PermissionRefused, match="Permission denied"):
        cr.scan(source).write_parquet(str(tmp_path / "closed" / "out"))


@pytest.mark.parametrize("failing", range(1, 60, 6))
def test_disk_full_at_any_write_keeps_data_and_resumes(source, monkeypatch, failing) -> None:
    """The n-th durable write fails with ENOSPC; the same call afterwards commits what an undisturbed one would."""
    ds = cr.scan(source).group_by("city", "small").agg(n=cr.count())
    ds.write_parquet("out", mode="append", key="first")
    before = data_files(Path("out"))
    real, calls = os.fsync, [0]

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] >= failing:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    again = ds.plan_parquet("out", mode="append", key="second").with_target_bytes(4_000)
    try:
        again.run(checkpoint_interval_s=0)
        disturbed = False
    except errors.DiskFull as error:
        disturbed = True
        assert "run the same command again" in str(error)
        assert error.exit_code == 75
    if disturbed:
        shown = data_files(Path("out"))
        assert [f for f in before if f not in shown] == []
        for name in shown:
            pq.read_table(Path("out") / name)
    monkeypatch.setattr(os, "fsync", real)
    run = again.run(checkpoint_interval_s=0)
    assert run.status in {"committed", "already_done"}
    assert cr.scan("out").collect().num_rows == 2 * ds.collect().num_rows


def test_source_file_changed_after_the_scan(source) -> None:
    ds = cr.scan(source).select("id")
    pq.write_table(pa.table({"id": [1, 2, 3]}), Path(source) / "1.parquet")
    with pytest.raises(errors.InputChanged, match=r"1\.parquet changed"):
        ds.write_parquet("out")
    Path(source, "1.parquet").unlink()
    with pytest.raises(errors.InputChanged, match=r"1\.parquet was removed"):
        ds.write_parquet("out")
    assert not Path("out").exists()


def test_error_mode_refuses_data_that_is_there(source) -> None:
    cr.scan(source).select("id").write_parquet("out")
    before = data_files(Path("out"))
    with pytest.raises(errors.ConfigError, match="the dataset has data: .*mode='append' or mode='replace'") as caught:
        cr.scan(source).select("id").write_parquet("out")
    assert (caught.value.exit_code, caught.value.retryable) == (2, False)
    assert data_files(Path("out")) == before


def test_append_needs_the_same_schema(source) -> None:
    cr.scan(source).select("id").write_parquet("out")
    with pytest.raises(errors.SchemaError, match="Column 'city': there absent, here"):
        cr.scan(source).select("id", "city").write_parquet("out", mode="append")


def test_files_without_their_control_root_are_refused(source) -> None:
    cr.scan(source).select("id").write_parquet("out")
    Path("out.checkrow").rename("elsewhere")
    with pytest.raises(errors.CorruptControlFile, match="control root"):
        cr.scan("out")
    assert cr.scan("out", control="elsewhere").collect().num_rows == 2_000


def test_messages_have_no_more_than_two_sentences_and_no_traceback(tmp_path) -> None:
    with pytest.raises(errors.CheckrowError) as caught:
        cr.scan(str(tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_kernel_in_the_vectorised_tier_names_the_row_of_the_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["a", "b"] * 50, "x": range(100)}), "x.parquet")

    @cr.row_kernel(returns={"y": pa.int64()})
    def picky(x):
        if x == 77:
            raise ValueError("no")
        return x

    ds = cr.scan("x.parquet").filter((col("name") == "b") & (col("x") > 10)).map(picky)
    with pytest.raises(errors.KernelRowError, match=r"x\.parquet, row group 0, row 77: kernel 'picky'"):
        ds.collect()


def test_an_unwritable_cache_names_the_setting(tmp_path, source) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", f"import checkrow as cr; cr.scan({source!r}).group_by('city').agg(n=cr.count()).collect()"],
        env=environment(CHECKROW_CACHE_DIR=str(tmp_path / "file" / "cache")), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "set CHECKROW_CACHE_DIR" in done.stderr.splitlines()[-1]


def test_the_upper_half_of_uint64_can_be_asked_for(tmp_path) -> None:
    pq.write_table(pa.table({"u": pa.array([1, 2**63, 2**64 - 1], pa.uint64())}), tmp_path / "u.parquet")
    rows = cr.scan(str(tmp_path / "u.parquet"))
    assert rows.filter(col("u") >= 2**63).collect()["u"].to_pylist() == [2**63, 2**64 - 1]
    with pytest.raises(errors.PlanError, match="does not fit 64 bits"):
        rows.filter(col("u") > 2**64)


def test_two_columns_of_one_name_in_a_later_file(tmp_path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "0.parquet")
    twice = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "b", "a"])
    pq.write_table(twice, tmp_path / "1.parquet")
    rows = cr.scan(str(tmp_path))
    with pytest.raises(errors.SchemaError, match=r"1.parquet has two columns named 'a'"):
        rows.collect()
    assert rows.select("b").collect()["b"].to_pylist() == [2, 2]
