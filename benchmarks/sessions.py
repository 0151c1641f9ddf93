"""kernels.sessions: events of users into sessions with a gap of half an hour, written to Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numba
import numpy as np
import polars as pl
import pyarrow as pa

import checkrow as cr
from benchmarks.bound import count_rows, decode_columns
from benchmarks.case import CORES, Case
from benchmarks.generated import MakeRows, generated, skewed_keys

GAP_US = 30 * 60 * 10**6
QUERY = f"""
copy (
    with ordered as (
        select user_id, ts, amount, ts - lag(ts) over w > to_microseconds({GAP_US}) as broken
        from read_parquet($data) window w as (partition by user_id order by ts)
    ), numbered as (
        select *, sum(coalesce(broken, true)::int) over (partition by user_id order by ts) as session from ordered
    )
    select user_id, min(ts) as start, max(ts) as end, count(*) as events, sum(amount) as amount
    from numbered group by user_id, session
) to '{{out}}' (format parquet, compression zstd, per_thread_output true, overwrite_or_ignore true)
"""


def prepare(directory: Path, scale: float) -> Path:
    """Writes `scale` million events once, four or five to a session."""
    rows = int(scale * 1_000_000)
    return generated(directory / f"events-{scale:g}", "events", rows, lambda: _maker(rows, seed=7))


def _maker(rows: int, seed: int) -> MakeRows:
    rng = np.random.default_rng(seed)
    users = rng.permutation(max(1, rows * 23 // 400)).astype(np.int64)

    def make(count: int) -> pa.Table:
        ts = 1_700_000_000_000_000 + rng.integers(0, 6 * 3600 * 10**6, count)
        columns = {
            "user_id": skewed_keys(rng, users, count),
            "ts": pa.array(ts, pa.timestamp("us")),
            "amount": np.round(rng.exponential(20, count), 2),
            "kind": rng.integers(0, 10, count).astype(np.int32),
        }
        return pa.table(columns)

    return make


@cr.group_kernel(
    returns={"start": pa.timestamp("us"), "end": pa.timestamp("us"), "events": pa.int64(), "amount": pa.float64()},
    shape="expand",
)
def sessions(ts: Any, amount: Any, out: Any, *, gap_us: int) -> int:
    """Cuts one user's events where they pause; writes one row per session."""
    k = -1
    for i in range(len(ts)):
        if k < 0 or ts[i] - out.end[k] > gap_us:
            k += 1
            out.start[k] = ts[i]
        out.end[k] = ts[i]
        out.events[k] += 1
        out.amount[k] += amount[i]
    return k + 1


def run_checkrow(data: Path, out: Path) -> Path:
    """Runs the group kernel."""
    kernel = sessions.bind(gap_us=GAP_US)
    cr.scan(str(data)).group_by("user_id").apply(kernel, order_by="ts").write_parquet(str(out / "sessions"))
    return out / "sessions"


def run_duckdb(data: Path, out: Path) -> Path:
    """Numbers sessions with window functions."""
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {CORES}")
        connection.execute(f"set temp_directory = '{out}/spill'")
        connection.execute(QUERY.format(out=out / "sessions"), {"data": f"{data}/*.parquet"})
    return out / "sessions"


def run_polars(data: Path, out: Path) -> Path:
    """Sorts, numbers sessions with a running sum, groups by the number; lazily, into a Parquet sink."""
    user, ts = pl.col("user_id"), pl.col("ts")
    broken = (user != user.shift(1)) | (ts - ts.shift(1) > pl.duration(microseconds=GAP_US))
    (
        pl.scan_parquet(f"{data}/*.parquet")
        .select("user_id", "ts", "amount")
        .sort("user_id", "ts")
        .with_columns(session=broken.fill_null(value=True).cum_sum())
        .group_by("session")
        .agg(
            user_id=user.first(), start=ts.min(), end=ts.max(), events=pl.len().cast(pl.Int64), amount=pl.sum("amount")
        )
        .drop("session")
        .sink_parquet(out / "sessions.parquet", compression="zstd")
    )
    return out


@numba.njit
def _cut(user: Any, ts: Any, amount: Any, gap: int, out: Any) -> int:
    owner, start, end, events, total = out
    k = -1
    for i in range(len(user)):
        if k < 0 or user[i] != owner[k] or ts[i] - end[k] > gap:
            k += 1
            owner[k], start[k], events[k], total[k] = user[i], ts[i], 0, 0.0
        end[k] = ts[i]
        events[k] += 1
        total[k] += amount[i]
    return k + 1


def run_expert(data: Path, out: Path) -> Path:
    """Does what an expert writes by hand: Polars reads and sorts, one Numba loop cuts, Polars writes."""
    events = pl.scan_parquet(f"{data}/*.parquet").select("user_id", "ts", "amount").sort("user_id", "ts").collect()
    user, ts = events["user_id"].to_numpy(), events["ts"].to_physical().to_numpy()
    made = tuple(np.empty(len(user), d) for d in ("i8", "i8", "i8", "i8", "f8"))
    count = _cut(user, ts, events["amount"].to_numpy(), GAP_US, made)
    names = ("user_id", "start", "end", "events", "amount")
    frame = pl.DataFrame({n: a[:count] for n, a in zip(names, made, strict=True)})
    frame = frame.with_columns(pl.col("start", "end").cast(pl.Datetime("us")))
    frame.write_parquet(out / "sessions.parquet", compression="zstd")
    return out


def decode(data: Path) -> None:
    """Decodes the columns that are read."""
    decode_columns(data, ["user_id", "ts", "amount"])


SESSIONS = Case(
    suite="kernels",
    name="sessions",
    engines={"checkrow": run_checkrow, "polars": run_polars, "duckdb": run_duckdb, "expert": run_expert},
    oracle="duckdb",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 2.0, "full": 40.0},
    keys=("user_id", "start"),
)
