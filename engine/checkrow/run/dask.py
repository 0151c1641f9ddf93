"""Tasks on a Dask cluster: the only module that knows `distributed`.

Dask is an at-least-once executor here: manifests decide what counts. Tasks travel as JSON, results as small records;
rows travel through the workspace, which every worker must see.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import distributed
import msgspec

from checkrow.errors import CheckrowError, ClusterError, ConfigError
from checkrow.operators.exchange import ExchangeOutput
from checkrow.plan.fingerprint import recordable, recorded
from checkrow.run.executor import Done
from checkrow.run.spec import TaskResult, TaskSpec
from checkrow.run.task import run_task


def run_encoded(spec: bytes, inputs: tuple[str, ...]) -> TaskResult:
    """Runs a task that travelled as JSON; executed by a worker."""
    return run_task(msgspec.convert(recorded(msgspec.json.decode(spec)), TaskSpec), inputs)


def sees(path: str, text: str) -> bool:
    """Tells whether a worker reads in a file what the driver wrote there."""
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8") == text
    return False


class DaskExecutor:
    """Tasks on a distributed cluster.

    Parameters
    ----------
    client : distributed.Client
        Stays open when the executor closes; who made it closes it.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._ended: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
        self._futures: dict[int, distributed.Future] = {}

    @property
    def capacity(self) -> int:
        """How many tasks may run at once: all worker threads, and one more each so that none waits for the driver."""
        threads = self._client.nthreads()
        if not threads:
            raise ClusterError("the cluster has no workers; start some and run the same command again")
        return sum(int(n) for n in threads.values()) + len(threads)

    @property
    def shares_memory(self) -> bool:
        """Whether results can stay in memory for the next stage."""
        return False

    def require_shared(self, workspace: Path) -> None:
        """Raises ClusterError unless every worker sees the workspace."""
        mark = secrets.token_hex(16)
        probe = workspace / f"probe.tmp-{mark}"
        probe.write_text(mark, encoding="utf-8")
        try:
            answers = self._client.run(sees, str(probe), mark)
        finally:
            probe.unlink(missing_ok=True)
        blind = sorted(str(worker) for worker, seen in answers.items() if not seen)
        if blind:
            raise ClusterError(
                f"{len(blind)} of {len(answers)} workers do not see {workspace} ({blind[0]}); "
                "put the target on storage that all workers share"
            )

    def submit(self, spec: TaskSpec, inputs: Sequence[ExchangeOutput | str]) -> None:
        """Starts a task."""
        paths = tuple(i for i in inputs if isinstance(i, str))
        if len(paths) != len(inputs):
            raise ClusterError("a cluster task was given rows in memory instead of files")
        name = f"checkrow-{spec.run[:8]}-stage{spec.stage.number}-{spec.task.number:06d}-{spec.attempt}"
        try:
            future = self._client.submit(
                run_encoded, msgspec.json.encode(recordable(msgspec.to_builtins(spec))), paths, key=name, pure=False
            )
        except (OSError, RuntimeError) as error:
            raise ClusterError(f"the cluster does not take tasks: {error}") from None
        number = spec.task.number
        self._futures[number] = future
        future.add_done_callback(lambda f: self._ended.put(_done(number, f)))

    def next_done(self, timeout_s: float | None = None) -> Done | None:
        """Waits for a task to end, in whatever order; returns None when `wake` was called or the time is over."""
        with contextlib.suppress(queue.Empty):
            return self._ended.get(timeout=timeout_s)
        return None

    def wake(self) -> None:
        """Lets a waiting `next_done` return; a SimpleQueue may be filled in a signal handler."""
        self._ended.put(None)

    def abandon(self, task: int) -> str:
        """Gives up a task and kills the worker process that runs it; its nanny starts another."""
        future = self._futures[task]
        workers = [w for w, keys in self._client.processing().items() if future.key in {str(k) for k in keys}]
        future.cancel(force=True)
        if not workers:
            return "No worker runs it any more"
        try:
            self._client.restart_workers(workers, timeout=30)
        except (ValueError, TimeoutError) as error:  # a worker without a nanny, or one that does not come back
            return f"Its worker {workers[0]} could not be restarted ({error}) and goes on"
        return f"Its worker {workers[0]} was killed and started again"

    def close(self) -> None:
        """Nothing to free: the client belongs to whoever made it."""


def _done(number: int, future: Any) -> Done:
    if future.status == "finished":
        return Done(number, future.result(), None)
    if future.status in {"cancelled", "lost"}:
        return Done(
            number, None, ClusterError("the cluster lost a task (scheduler or client gone); run again to resume")
        )
    error = future.exception()
    if isinstance(error, distributed.KilledWorker):
        return Done(number, None, ClusterError(f"workers died again and again on one task: {error}"))
    if not isinstance(error, (CheckrowError, BaseException)):
        error = ClusterError(f"a task ended as {future.status}")
    return Done(number, None, error)


@contextlib.contextmanager
def connected(on: object) -> Iterator[DaskExecutor]:
    """Returns an executor on a Client, on a cluster object, or on the address of a scheduler.

    Raises
    ------
    ConfigError
        If `on` is none of these.
    ClusterError
        If the scheduler cannot be reached.
    """
    if isinstance(on, distributed.Client):
        yield DaskExecutor(on)
        return
    if not isinstance(on, str) and not hasattr(on, "scheduler_address"):
        raise ConfigError(
            f"on={on!r} is not a distributed Client, a cluster or a scheduler address like 'tcp://host:8786'"
        )
    try:
        client = distributed.Client(on, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler answers at {on}: {error}") from None
    with client:
        yield DaskExecutor(client)


def local(processes: int, threads: int = 1, memory: str = "auto") -> distributed.LocalCluster:
    """Returns a cluster of worker processes on this machine, its dashboard bound to loopback.

    Close it, or use it in a `with` block.
    """
    return distributed.LocalCluster(
        n_workers=processes, threads_per_worker=threads, memory_limit=memory, processes=True, host="127.0.0.1",
        dashboard_address="127.0.0.1:0", silence_logs=40,
    )  # fmt: skip
