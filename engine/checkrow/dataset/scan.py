"""`scan`: what a URL holds, as a lazy dataset. Reads a listing or a log and one footer; never user code."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from checkrow.dataset.dataset import Dataset
from checkrow.errors import ConfigError, CorruptControlFile, SchemaError, StoreCapabilityError
from checkrow.expressions.types import Field, Schema, schema_of
from checkrow.plan.logical import Scan
from checkrow.plan.source import DataFile, Source
from checkrow.storage.hive import parse_partition_path
from checkrow.storage.log import OUTPUT, QUARANTINE, CommitLog, current, snapshot
from checkrow.storage.parquet import read_key_value, read_schema
from checkrow.storage.reveal import locate, roll_forward, root_of
from checkrow.storage.roots import DatasetRoot, read_identity, resolve_root
from checkrow.storage.store import SourceFile, is_local, list_files, local_path, open_input

Options = dict[str, str | int | float | bool | None]


class _Listing(msgspec.Struct, frozen=True):
    files: tuple[DataFile, ...]
    schema: Schema
    partition_columns: tuple[str, ...]
    snapshot: int | None = None


def scan(
    url: str | list[str],
    *,
    schema: pa.Schema | None = None,
    partitioning: str | None = "hive",
    output: str | None = None,
    control: str | None = None,
    storage_options: Options | None = None,
) -> Dataset:
    """Returns a dataset of Parquet files as a lazy table.

    Parameters
    ----------
    url : str or list of str
        Directories or files: local, or any URL fsspec opens. A dataset checkrow wrote is read at its newest snapshot.
    schema : pyarrow.Schema
        What the columns are; default: that of the first file. Columns are matched by name, missing ones are null.
    partitioning : {"hive", None}
        Whether `key=value` directories are columns.
    output : str
        Another output of the commits of a dataset checkrow wrote: "quarantine", the rows on which kernels failed.
    control : str
        The control root, when it is not the sibling `<url>.checkrow`.
    storage_options : dict
        Passed to fsspec; never recorded in fingerprints.

    Raises
    ------
    ConfigError
        If there is nothing at the URL, or no such output.
    CorruptInput
        If the first file is not readable Parquet.
    SchemaError
        If it has two columns of one name.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq, tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> pq.write_table(pa.table({"x": [1, 2, 3]}), folder / "a.parquet")
    >>> scan(str(folder)).schema.names
    ['x']
    """
    if partitioning not in {"hive", None}:
        raise ConfigError(f"partitioning={partitioning!r} is not 'hive' or None")
    options = dict(storage_options or {})
    urls = [url] if isinstance(url, str) else list(url)
    if not urls:
        raise ConfigError("scan() was given no URL")
    if output is None:
        found = [_list(u, schema, options, control, hive=partitioning == "hive") for u in urls]
    else:
        found = [_output(u, output, schema, control) for u in urls]
    files = tuple(f for listing in found for f in listing.files)
    return Dataset(
        Scan(
            Source(
                url=", ".join(urls), format="parquet", schema=found[0].schema,
                partition_columns=found[0].partition_columns, files=files, snapshot=found[0].snapshot,
                storage_options=options,
            )
        )
    )  # fmt: skip


def _output(url: str, output: str, schema: pa.Schema | None, control: str | None) -> _Listing:
    if output not in {OUTPUT, QUARANTINE}:
        raise ConfigError(f"output={output!r} is not {QUARANTINE!r}")
    root = _known_root(url, control) if is_local(url) else None
    if root is None:
        raise ConfigError(f"{url!r} is no dataset that checkrow wrote, so it has no output {output!r}")
    return _committed(root, schema, output)


def _list(url: str, schema: pa.Schema | None, options: Options, control: str | None, *, hive: bool) -> _Listing:
    if is_local(url):
        root = _known_root(url, control)
        if root is not None:
            return _committed(root, schema, OUTPUT)
    listed = list_files(url, options)
    if not listed and schema is None:
        raise ConfigError(f"{url!r} holds no .parquet file; give schema= to read it as an empty dataset")
    if listed:
        _refuse_orphan(url, listed[0], options)
    partitions = [parse_partition_path(f.path) if hive else {} for f in listed]
    files = tuple(
        DataFile(url=f.url, path=f.path, size_bytes=f.size_bytes, version=f.version, partition=p)
        for f, p in zip(listed, partitions, strict=True)
    )
    known = schema if schema is not None else read_schema(open_input(listed[0].url, options), listed[0].path)
    _refuse_twins(known, listed[0].url if schema is None else "schema=")
    names = tuple(dict.fromkeys(n for p in partitions for n in p))
    return _Listing(files, _with_partitions(schema_of(known), partitions, names), names)


def _known_root(url: str, control: str | None) -> DatasetRoot | None:
    try:
        root = resolve_root(url, control)
    except (ConfigError, StoreCapabilityError):
        return None  # a file, a link or a mount point: readable, though no data root
    return root if read_identity(root) is not None else None


def _committed(root: DatasetRoot, schema: pa.Schema | None, output: str) -> _Listing:
    records = roll_forward(root)
    now = snapshot(records, current(records, CommitLog(root.store).revealed()), output)
    if not now.schema and schema is None:
        what = "no commit" if output == OUTPUT else f"committed no {output}"
        raise ConfigError(f"{root.data} has {what} yet; give schema= to read it as an empty dataset")
    whole = schema_of(schema if schema is not None else now.arrow_schema())
    place, files = root_of(root, output), []
    for entry in now.files:
        path = locate(place, entry)
        stat = path.stat()
        version = f"{stat.st_mtime_ns}:{stat.st_size}:{stat.st_ino}"
        files.append(
            DataFile(
                url=str(path), path=entry.path, size_bytes=entry.size_bytes, version=version, partition=entry.partition
            )
        )
    columns = tuple(dict.fromkeys(n for f in now.files for n in f.partition))
    return _Listing(tuple(files), whole, columns, now.number)


def _refuse_orphan(url: str, first: SourceFile, options: Options) -> None:
    """Refuses files that a checkrow run wrote when their control root is not there: which of them count is unknown.

    A single file named by itself is what it is.
    """
    if is_local(url) and local_path(url).is_file():
        return
    if read_key_value(open_input(first.url, options), first.path, b"checkrow.dataset") is not None:
        raise CorruptControlFile(
            f"{url} was written by checkrow but its control root {url.rstrip('/')}.checkrow is missing; "
            "restore it, or name it with control="
        )


def _refuse_twins(schema: pa.Schema, where: str) -> None:
    """Refuses two columns of one name: which of them is meant is unknown."""
    twin = next((n for n in schema.names if schema.names.count(n) > 1), None)
    if twin is not None:
        raise SchemaError(f"{where}: the column {twin!r} stands there more than once; write it with distinct names")


def _with_partitions(schema: Schema, partitions: list[dict[str, str | None]], names: tuple[str, ...]) -> Schema:
    """Adds directory columns: dates and integers where every value reads as one, else text."""
    held = {f.name for f in schema}
    added = []
    for name in names:
        if name in held:
            continue
        values = [p.get(name) for p in partitions]
        texts = pa.array([v for v in values if v is not None], pa.string())
        dtype = next((t for t in (pa.int64(), pa.date32()) if _all_read_as(texts, t)), pa.string())
        added.append(Field(name, str(dtype), None in values))
    return (*schema, *added)


def _all_read_as(texts: pa.Array, dtype: pa.DataType) -> bool:
    try:
        return bool(len(texts)) and texts.cast(dtype).cast(pa.string()).equals(texts)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
