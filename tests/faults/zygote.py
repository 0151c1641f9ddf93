"""Starts runs as child processes cheaply: imports once, forks per request. Run as a script.

Each line on standard input is a JSON object {"source", "target"}; the answer is the child's process id, then, when it
has ended, its exit code. No thread is started before a fork.
"""

from __future__ import annotations

import json
import os
import sys

import pyarrow as pa

import checkrow as cr
import checkrow.plan.slices
from checkrow import col

checkrow.plan.slices.PARTITION_ROWS = 1 << 12


@cr.row_kernel(returns=pa.int64())
def share(id):  # noqa: A002  # the column's name
    return 1000 // (id % 50)


def work(source: str, target: str, mode: str) -> None:
    ds = cr.scan(source).filter(col("id") > 100).map(share).group_by("city", "small", "flag")
    ds = ds.agg(n=cr.count(), s=cr.sum("price"), share=cr.sum("share"))
    plan = ds.plan_parquet(target, partition_by="flag", mode=mode, key="k").with_target_bytes(40_000)
    plan.run(checkpoint_interval_s=0, limits=cr.Limits(threads=2), bad_rows=cr.BadRows("quarantine"))


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(request["source"], request["target"], request["mode"])
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
