"""`checkrow`: commands, options and exit codes. Text to standard error, data and JSON to standard output.

Only typer is imported here; everything heavy is loaded by the command that needs it.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import Annotated, Any

import typer

from checkrow.errors import CheckrowError
from checkrow.lazily import imported

app = typer.Typer(
    name="checkrow", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
    help="Run batch jobs over partitioned Arrow data: your own compiled functions, resumable, committed exactly once.",
)  # fmt: skip
dataset = typer.Typer(no_args_is_help=True, help="Look into datasets that checkrow wrote.")
app.add_typer(dataset, name="dataset")

Parameters = Annotated[
    list[str] | None, typer.Option("--param", "-p", help="A job parameter as name=value; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
Threads = Annotated[int | None, typer.Option(help="Threads of this process; default: all cores it may use.")]
Processes = Annotated[int | None, typer.Option(help="Run on a Dask cluster of so many local processes.")]
Cluster = Annotated[str | None, typer.Option(help="Run on the Dask cluster with this scheduler address.")]
Interval = Annotated[
    float, typer.Option("--checkpoint-interval", help="Seconds of exchange work that may be lost; 0 saves every task.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--task-timeout", help="Seconds a task may run; then the run stops, resumable. Default: 6 h."),
]
_DEBUG = {"on": False}


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Run batch jobs over partitioned Arrow data: your own compiled functions, resumable, committed exactly once."""
    _DEBUG["on"] = debug or os.environ.get("CHECKROW_DEBUG") == "1"


def _commands() -> Any:
    """Loads what the commands do; nothing of it is needed to print help."""
    return imported("checkrow.cli.commands")


@app.command()
def demo(
    directory: Annotated[str, typer.Option(help="Where data and outputs go.")] = "demo",
    scale: Annotated[float, typer.Option(help="TPC-H scale factor.")] = 1.0,
    json: Json = False,
) -> None:
    """Run the main job on real data, kill it, resume it, and prove both results.

    Example: checkrow demo
    """
    imported("checkrow.cli.demo").demo(directory, scale, json)


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="path/to/file.py:job")],
    param: Parameters = None,
    threads: Threads = None,
    processes: Processes = None,
    cluster: Cluster = None,
    checkpoint_interval: Interval = 60.0,
    task_timeout: Timeout = None,
    force: Annotated[
        bool, typer.Option(help="Process a committed instance again, in place of what it committed.")
    ] = False,
    recompute: Annotated[bool, typer.Option(help="Start an unfinished run over.")] = False,
    accept_code_change: Annotated[bool, typer.Option(help="Continue an unfinished run with changed code.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    progress: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Run a job; the same command continues a killed run and does nothing once it is committed.

    Example: checkrow run jobs.py:daily -p source=in/ -p target=out/
    """
    means = _commands().Means(threads, processes, cluster, checkpoint_interval, task_timeout)
    _commands().run(
        job, param or [], means, force=force, recompute=recompute, accept_code_change=accept_code_change, json=json,
        quiet=quiet, progress=progress and not quiet,
    )  # fmt: skip


@app.command()
def resume(
    run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    threads: Threads = None,
    processes: Processes = None,
    cluster: Cluster = None,
    checkpoint_interval: Interval = 60.0,
    task_timeout: Timeout = None,
    json: Json = False,
    quiet: Quiet = False,
    progress: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Continue an unfinished run where it stopped.

    Example: checkrow resume 3f9c
    """
    means = _commands().Means(threads, processes, cluster, checkpoint_interval, task_timeout)
    _commands().resume(run_id, means, json=json, quiet=quiet, progress=progress and not quiet)


@app.command()
def plan(
    job: Annotated[str, typer.Argument(help="path/to/file.py:job")], param: Parameters = None, json: Json = False
) -> None:
    """Show what a job would do: stages, rows, bytes, reasons. Runs nothing.

    Example: checkrow plan jobs.py:daily -p source=in/ -p target=out/
    """
    _commands().plan(job, param or [], json=json)


@app.command()
def show(run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning.")], json: Json = False) -> None:
    """Show what a run did, step by step.

    Example: checkrow show 3f9c
    """
    _commands().show(run_id, json=json)


@dataset.command("log")
def dataset_log(url: str, json: Json = False) -> None:
    """List a dataset's commits.

    Example: checkrow dataset log out/
    """
    _commands().dataset_log(url, json=json)


@dataset.command("verify")
def dataset_verify(url: str, json: Json = False) -> None:
    """Check every file of the current snapshot against the log: size, digest, rows; report what does not belong.

    Example: checkrow dataset verify out/
    """
    _commands().dataset_verify(url, json=json)


@app.command()
def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile the Parquet decoder now, which takes some seconds.")
    ] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Remove all compiled code; what runs now is not disturbed.")
    ] = False,
    json: Json = False,
) -> None:
    """Show versions, cores, the kernel cache and whether this machine can do what checkrow needs.

    Example: checkrow doctor --warm
    """
    _commands().doctor(warm=warm, clear_cache=clear_cache, json=json)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled as Ctrl-C: stop at a task boundary."""


def _on_term(_signal: int, _frame: object) -> None:
    raise _Terminated


def run_cli(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code."""
    previous = signal.signal(signal.SIGTERM, _on_term)
    terminated = False
    try:
        app(args=arguments, standalone_mode=False)
    except CheckrowError as error:
        if _DEBUG["on"]:
            raise
        terminated = isinstance(error.__cause__, _Terminated)
        sys.stderr.write(f"error: {error}\n")
        return 143 if terminated else error.exit_code
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt) as stop:
        return 143 if isinstance(stop, _Terminated) else 130
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):
            error.show()  # click's own usage errors
            return int(error.exit_code)
        if _DEBUG["on"]:
            raise
        sys.stderr.write(f"error: {type(error).__name__}: {error} (run with --debug for the traceback)\n")
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def run_main() -> None:
    """The console script."""
    atexit.register(gc.freeze)  # at the end the system takes the memory back: no use in looking for what is garbage
    sys.exit(run_cli())
