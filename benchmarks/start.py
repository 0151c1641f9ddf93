"""batch.start and batch.cold: a tiny job as a whole process, with a warm compile cache and with an empty one.

`batch.start` compares with a process that only imports Numba and pyarrow's Parquet, which no job that compiles its own
functions can do without; the rows are made by plain pyarrow afterwards, in the measuring process, so that results can
be compared. `batch.cold` compares with the same job and a warm cache. Bytecode of all packages is kept for both, as it
is after an installation. `checkrow-cli` is the same job through the command line, as a schedule starts it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bound import count_rows, decode_columns
from benchmarks.case import Case

ROOT = Path(__file__).parents[1]
JOB = Path(__file__).parent / "tiny_job.py"
SEED = 29
SHOPS = 7
IMPORTS = "import numba, pyarrow.parquet"


def prepare(directory: Path, scale: float) -> Path:
    """Writes one small file of `scale` sales, once."""
    data = directory / f"sales-{scale:g}" / "sales"
    if not (data / "sales.parquet").exists():
        data.mkdir(parents=True, exist_ok=True)
        rng, rows = np.random.default_rng(SEED), int(scale)
        columns = {
            "shop": rng.integers(0, SHOPS, rows),
            "price": np.round(rng.exponential(20, rows), 2),
            "quantity": rng.integers(1, 9, rows),
        }
        pq.write_table(pa.table(columns), data / "sales.parquet")
    return data


def _process(command: list[str], data: Path, cache: Path) -> None:
    """Runs a Python process with a compile cache of its own and the bytecode of all that it imports."""
    place = data.parent
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    own = {
        "CHECKROW_CACHE_DIR": str(cache), "CHECKROW_STATE_DIR": str(place / "state"),
        "PYTHONPYCACHEPREFIX": str(place / "bytecode"),
    }  # fmt: skip
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT, env={**kept, **own}, stderr=subprocess.DEVNULL)


def _script(data: Path, out: Path, cache: Path) -> pa.Table:
    _process([str(JOB), str(data), str(out / "sums")], data, cache)
    return pq.read_table(out / "sums")


def run_warm(data: Path, out: Path) -> pa.Table:
    """Runs the job's file; its first run fills the cache and is not counted."""
    return _script(data, out, data.parent / "warm")


def run_cli(data: Path, out: Path) -> pa.Table:
    """Runs the job through the command line."""
    parameters = ["-p", f"source={data}", "-p", f"target={out / 'sums'}"]
    _process(["-m", "checkrow", "run", f"{JOB}:tiny", *parameters, "--quiet"], data, data.parent / "warm")
    return pq.read_table(out / "sums")


def run_cold(data: Path, out: Path) -> pa.Table:
    """Runs the job's file with an empty cache."""
    cache = data.parent / "cold"
    shutil.rmtree(cache, ignore_errors=True)
    return _script(data, out, cache)


def run_imports(data: Path, _out: Path) -> pa.Table:
    """Imports what every job with a kernel imports, in a process, and makes the wanted rows in this one."""
    _process(["-c", IMPORTS], data, data.parent / "warm")
    sales = pq.read_table(data / "sales.parquet")
    price, quantity = (sales[c].to_numpy() for c in ("price", "quantity"))
    net = np.where(quantity > 3, price * quantity * 0.9, price * quantity)
    kept = pa.table({"shop": sales["shop"], "net": net}).filter(pa.array(quantity > 1))
    return kept.group_by("shop").aggregate([("net", "sum")]).rename_columns(["shop", "net"])


def decode(data: Path) -> None:
    """Decodes the columns read."""
    decode_columns(data, ["shop", "price", "quantity"])


START = Case(
    suite="batch",
    name="start",
    engines={"checkrow": run_warm, "checkrow-cli": run_cli, "checkrow:reference": run_imports},
    oracle="checkrow:reference",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 1e3, "full": 1e3},
)
COLD = Case(
    suite="batch",
    name="cold",
    engines={"checkrow": run_cold, "checkrow:reference": run_warm},
    oracle="checkrow:reference",
    decode=decode,
    prepare=prepare,
    rows=count_rows,
    scales={"small": 1e3, "full": 1e3},
)
