"""Executors on clusters, loaded only when a run asks for one: importing `distributed` costs a second."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

from checkrow.run.executor import Executor


@contextlib.contextmanager
def cluster_executor(on: object, workspace: Path | None) -> Iterator[Executor]:
    """Yields an executor on a Client, a cluster or a scheduler's address; refuses one that cannot see the workspace."""
    dask = importlib.import_module("checkrow.run.dask")
    with dask.connected(on) as executor:
        if workspace is not None:
            workspace.mkdir(parents=True, exist_ok=True)
            executor.require_shared(workspace)
        yield executor


def local_cluster(processes: int) -> contextlib.AbstractContextManager[object]:
    """Returns a Dask cluster of worker processes on this machine."""
    dask = importlib.import_module("checkrow.run.dask")
    cluster: contextlib.AbstractContextManager[object] = dask.local(processes)
    return cluster
