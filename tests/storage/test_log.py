"""The log is dense, chained, and holds a token once, whatever races and whatever edits."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from checkrow.errors import CommitConflict, ConfigError, CorruptControlFile, SchemaError, StorageError
from checkrow.storage.control import canonical, encode
from checkrow.storage.log import (
    CommitLog,
    CommitRecord,
    FileEntry,
    current,
    decode_schema,
    encode_schema,
    record_key,
    refuse_conflict,
    snapshot,
    superseded,
)
from checkrow.storage.store import Outcome, PosixStore
from tests.storage.workbench import SCHEMA, record


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "control")


def _entry(path: str) -> FileEntry:
    return FileEntry(path=path, rows=1, size_bytes=1, sha256="0" * 64)


def _append(store: PosixStore, run: str, mode: str = "append", read_version: int | None = None) -> CommitRecord:
    log = CommitLog(store)
    read = len(log.read()) if read_version is None else read_version

    def make(number: int, previous: str) -> CommitRecord:
        return record(number=number, previous=previous, run=run, mode=mode, read_version=read, adds=(_entry(run),))

    def check(records: tuple[CommitRecord, ...]) -> None:
        refuse_conflict(records, mode, read, encode_schema(SCHEMA))

    return log.append(make, f"token-{run}", check)


def _put(store: PosixStore, body: bytes, number: int) -> None:
    """Writes a record as another version of checkrow would: the envelope is right, the body is what it wants."""
    whole = b'{"body":%b,"len":%d,"sha256":"%b"}' % (body, len(body), hashlib.sha256(body).hexdigest().encode())
    store.put_if_absent(record_key(number), whole)


def test_records_are_dense_and_chained(store: PosixStore) -> None:
    made = [_append(store, f"r{n}") for n in range(5)]
    records = CommitLog(store).read()
    assert list(records) == made
    assert [r.number for r in records] == [1, 2, 3, 4, 5]
    assert [r.previous_sha256 for r in records] == [
        "",
        *[hashlib.sha256(canonical(r)).hexdigest() for r in records[:-1]],
    ]
    assert store.list("log")[0] == "log/00000000000000000001.json"


def test_the_chain_digest_is_that_of_the_stored_body(store: PosixStore) -> None:
    _append(store, "r1")
    second = _append(store, "r2")
    stored = msgspec.json.decode(store.get(record_key(1)))
    assert second.previous_sha256 == stored["sha256"]


def test_an_empty_log_is_empty(store: PosixStore) -> None:
    log = CommitLog(store)
    assert log.read() == ()
    assert log.revealed() == set()


def test_a_missing_record_is_named(store: PosixStore) -> None:
    for n in range(3):
        _append(store, f"r{n}")
    store.delete(record_key(2))
    with pytest.raises(CorruptControlFile, match=r"00000000000000000002\.json is missing"):
        CommitLog(store).read()


def test_a_replaced_record_breaks_the_chain(store: PosixStore) -> None:
    for n in range(3):
        _append(store, f"r{n}")
    forged = msgspec.structs.replace(CommitLog(store).read()[1], committed_at="2030-01-01T00:00:00+00:00")
    store.path(record_key(2)).write_bytes(encode(forged))
    with pytest.raises(CorruptControlFile, match=r"00000000000000000003\.json does not follow"):
        CommitLog(store).read()


def test_a_record_under_another_number_is_refused(store: PosixStore) -> None:
    _append(store, "r1")
    store.put_if_absent(record_key(2), store.get(record_key(1)))
    with pytest.raises(CorruptControlFile, match=r"00000000000000000002\.json"):
        CommitLog(store).read()


def test_a_torn_record_is_named(store: PosixStore) -> None:
    _append(store, "r1")
    path = store.path(record_key(1))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptControlFile, match=r"00000000000000000001\.json"):
        CommitLog(store).read()


def test_the_chain_holds_over_records_with_fields_this_version_does_not_know(store: PosixStore) -> None:
    first = canonical({**msgspec.to_builtins(record(number=1)), "later": "a field of the next version"})
    _put(store, first, 1)
    _put(store, canonical(record(number=2, run="r2", previous=hashlib.sha256(first).hexdigest())), 2)
    assert [r.run for r in CommitLog(store).read()] == ["r1", "r2"]


def test_the_chain_holds_over_records_that_lack_a_field_with_a_default(store: PosixStore) -> None:
    body = msgspec.to_builtins(record(number=1, adds=(_entry("a"),)))
    del body["outputs"]["data"]["adds"][0]["partition"]
    first = canonical(body)
    _put(store, first, 1)
    _put(store, canonical(record(number=2, run="r2", previous=hashlib.sha256(first).hexdigest())), 2)
    assert [r.run for r in CommitLog(store).read()] == ["r1", "r2"]


def test_a_token_enters_once(store: PosixStore) -> None:
    first = _append(store, "r1")
    _append(store, "r2")
    assert _append(store, "r1") == first
    assert len(CommitLog(store).read()) == 2


def test_a_token_that_is_there_wins_over_a_conflict(store: PosixStore) -> None:
    first = _append(store, "r1", mode="error")
    assert _append(store, "r1", mode="error", read_version=0) == first


def _race(calls: list[Callable[[], CommitRecord]]) -> list[CommitRecord]:
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], CommitRecord]) -> CommitRecord:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_racing_appends_all_land_in_one_order(store: PosixStore) -> None:
    made = _race([partial(_append, store, f"r{n}", read_version=0) for n in range(8)])
    records = CommitLog(store).read()
    assert sorted(r.number for r in made) == list(range(1, 9))
    assert {r.run for r in records} == {f"r{n}" for n in range(8)}


def test_racers_with_one_token_make_one_record(store: PosixStore) -> None:
    made = _race([lambda: _append(store, "same", read_version=0) for _ in range(6)])
    assert len({r.number for r in made}) == 1
    assert len(CommitLog(store).read()) == 1


def test_of_racing_replacements_one_wins(store: PosixStore) -> None:
    _append(store, "base")

    def replace(run: str) -> CommitRecord | str:
        try:
            return _append(store, run, mode="replace", read_version=1)
        except CommitConflict as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(replace, ["a", "b", "c", "d"]))
    winners = [e for e in ends if isinstance(e, CommitRecord)]
    assert len(winners) == 1
    assert all(f"run {winners[0].run} committed record 2" in e for e in ends if isinstance(e, str))


def test_a_record_that_arrives_while_the_log_is_read_is_no_gap(tmp_path: Path) -> None:
    class Busy(PosixStore):
        """Another process commits the next record right after this one found the end."""

        def get(self, key: str) -> bytes:
            try:
                return super().get(key)
            except FileNotFoundError:
                if key == record_key(2):
                    _append(PosixStore(self.root), "r2", read_version=0)
                raise

    store = Busy(tmp_path / "control")
    _append(PosixStore(store.root), "r1")
    assert len(CommitLog(store).read()) in {1, 2}


def test_losing_every_race_gives_up_and_says_so(tmp_path: Path) -> None:
    class Unlucky(PosixStore):
        def put_if_absent(self, key: str, data: bytes) -> Outcome:
            return Outcome.OTHER

    with pytest.raises(CommitConflict, match="20 times"):
        _append(Unlucky(tmp_path / "control"), "r1")


def test_an_unknown_outcome_deletes_nothing_and_says_so(tmp_path: Path) -> None:
    class Lost(PosixStore):
        def put_if_absent(self, key: str, data: bytes) -> Outcome:
            super().put_if_absent(key, data)
            return Outcome.UNKNOWN

    store = Lost(tmp_path / "control")
    with pytest.raises(StorageError, match="unknown; nothing was deleted"):
        _append(store, "r1")
    assert _append(PosixStore(store.root), "r1").number == 1


# -- conflicts --------------------------------------------------------------------------------------------------------


def test_an_append_follows_appends_and_replacements(store: PosixStore) -> None:
    _append(store, "r1")
    _append(store, "r2", mode="replace")
    assert _append(store, "r3", read_version=0).number == 3


def test_a_replacement_that_did_not_see_a_commit_names_the_winner(store: PosixStore) -> None:
    _append(store, "r1")
    _append(store, "r2")
    with pytest.raises(CommitConflict, match=r"run r2 committed record 2"):
        _append(store, "late", mode="replace", read_version=1)
    assert _append(store, "fresh", mode="replace").number == 3


def test_error_mode_wants_a_dataset_without_commits(store: PosixStore) -> None:
    assert _append(store, "r1", mode="error").number == 1
    with pytest.raises(ConfigError, match=r"run r1 committed it \(record 1\).*mode='append'") as refused:
        _append(store, "r2", mode="error")
    assert not refused.value.retryable, "trying again can never succeed"


def test_error_mode_that_lost_a_race_is_a_conflict(store: PosixStore) -> None:
    _append(store, "r1", mode="error")
    with pytest.raises(CommitConflict, match=r"run r1 committed record 1 while this run was at work"):
        _append(store, "r2", mode="error", read_version=0)


OWN = "i-mine"


def _mine(number: int, run: str, *paths: str, removes: tuple[str, ...] = ()) -> CommitRecord:
    made = record(number=number, run=run, adds=tuple(_entry(p) for p in paths), removes=removes)
    return msgspec.structs.replace(made, instance=OWN)


def test_superseded_is_what_earlier_generations_left() -> None:
    records = (
        _mine(1, "g1", "a", "b"),
        record(number=2, run="other", adds=(_entry("c"),)),
        _mine(3, "g2", "d", removes=("a",)),
    )
    assert superseded(records, OWN) == ("b", "d")
    assert superseded(records, "i-other") == ("c",)
    assert superseded(records, "i-nobody") == ()


def test_error_mode_accepts_what_only_earlier_generations_left() -> None:
    schema = encode_schema(SCHEMA)
    refuse_conflict((_mine(1, "g1", "a"),), "error", 1, schema, OWN)
    refuse_conflict((_mine(1, "g1"),), "error", 1, schema, OWN)
    with pytest.raises(ConfigError, match="run g1 committed it"):
        refuse_conflict((_mine(1, "g1", "a"),), "error", 1, schema, "i-other")


def test_error_mode_refuses_what_others_left_beside_earlier_generations() -> None:
    schema, other = encode_schema(SCHEMA), record(number=1, run="other", adds=(_entry("c"),))
    with pytest.raises(ConfigError, match=r"run other committed it \(record 1\)"):
        refuse_conflict((other, _mine(2, "g1", "a")), "error", 2, schema, OWN)
    after = (_mine(1, "g1", "a"), record(number=2, run="empty"))
    with pytest.raises(ConfigError, match=r"run empty committed it \(record 2\)"):
        refuse_conflict(after, "error", 2, schema, OWN)
    with pytest.raises(CommitConflict, match="run empty committed record 2 while"):
        refuse_conflict(after, "error", 1, schema, OWN)


def test_an_append_in_place_of_all_there_is_may_change_the_schema() -> None:
    other = encode_schema(pa.schema([("y", pa.int64())]))
    refuse_conflict((_mine(1, "g1", "a"),), "append", 1, other, OWN)
    with pytest.raises(SchemaError, match="Column 'x'"):
        refuse_conflict((record(adds=(_entry("c"),)), _mine(2, "g1", "a")), "append", 2, other, OWN)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([("x", pa.int32())]), r"Column 'x': there .*int64.*, here .*int32"),
        (pa.schema([("y", pa.int64())]), r"Column 'x': there .*, here absent"),
        (pa.schema([("x", pa.int64()), ("y", pa.int64())]), r"Column 'y': there absent"),
    ],
)
def test_an_append_of_another_schema_names_the_column(schema: pa.Schema, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        refuse_conflict((record(),), "append", 1, encode_schema(schema))


def test_an_append_of_another_column_order_is_refused() -> None:
    there = pa.schema([("x", pa.int64()), ("y", pa.int64())])
    here = pa.schema([("y", pa.int64()), ("x", pa.int64())])
    with pytest.raises(SchemaError, match="order"):
        refuse_conflict((record(schema=there),), "append", 1, encode_schema(here))


def test_a_replacement_may_change_the_schema() -> None:
    refuse_conflict((record(),), "replace", 1, encode_schema(pa.schema([("other", pa.string())])))


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_snapshots_follow_adds_and_removes() -> None:
    other = pa.schema([("y", pa.string())])
    records = (
        record(number=1, adds=(_entry("a"), _entry("b"))),
        record(number=2, adds=(_entry("c"),)),
        record(number=3, mode="replace", adds=(_entry("d"),), removes=("a", "b", "c"), schema=other),
    )
    assert [[f.path for f in snapshot(records, n).files] for n in range(4)] == [[], ["a", "b"], ["a", "b", "c"], ["d"]]
    assert snapshot(records, 2).arrow_schema() == SCHEMA
    assert snapshot(records, 3).arrow_schema() == other


@pytest.mark.parametrize(
    ("revealed", "number"), [(set(), 0), ({1}, 1), ({2}, 0), ({1, 3}, 1), ({1, 2, 3}, 3), ({1, 2, 3, 4}, 3)]
)
def test_the_current_snapshot_ends_before_the_first_record_not_revealed(revealed: set[int], number: int) -> None:
    assert current(tuple(record(number=n) for n in (1, 2, 3)), revealed) == number


def test_marking_twice_is_marking(store: PosixStore) -> None:
    log = CommitLog(store)
    _append(store, "r1")
    log.mark_revealed(1)
    log.mark_revealed(1)
    assert log.revealed() == {1}
    assert len(log.read()) == 1


def test_schemas_come_back_whole() -> None:
    schema = pa.schema(
        [
            pa.field("d", pa.decimal128(15, 2), nullable=False),
            pa.field("t", pa.timestamp("us", "Europe/Berlin")),
            pa.field("l", pa.list_(pa.string()), metadata={"k": "v"}),
        ],
        metadata={"a": "b"},
    )
    assert decode_schema(encode_schema(schema)).equals(schema, check_metadata=True)
