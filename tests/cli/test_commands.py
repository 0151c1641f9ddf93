"""The command line: exit codes, JSON on standard output, text on standard error, no traceback."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.cli.main import run_cli
from checkrow.compile.cache_files import clear_cache
from checkrow.errors import CheckrowError

JOB = """
import checkrow as cr

@cr.job
def copy(*, source: str, target: str, slow: bool = False):
    return cr.scan(source).group_by("city").agg(n=cr.count()).plan_parquet(target).with_target_bytes(3_000)

@cr.job
def typo(*, source: str, target: str):
    return cr.scan(source).select("cty").plan_parquet(target)
"""


@pytest.fixture
def job_file(tmp_path: Path) -> str:
    path = tmp_path / "jobs.py"
    path.write_text(JOB)
    return str(path)


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_cli(list(arguments))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_run_show_log_verify(capsys, job_file, source) -> None:
    arguments = ("run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out", "--json")
    code, out, err = cli(capsys, *arguments)
    first = json.loads(out)
    assert (code, first["status"], first["metrics"]["rows_out"]) == (0, "committed", 13)
    assert "read and aggregate" in err
    code, out, _ = cli(capsys, *arguments)
    assert (code, json.loads(out)["status"]) == (0, "already_done")
    code, out, _ = cli(capsys, "show", first["run"][:6], "--json")
    assert (code, json.loads(out)["status"], len(json.loads(out)["steps"])) == (0, "committed", 2)
    code, out, _ = cli(capsys, "dataset", "log", "out", "--json")
    assert (code, [r["rows"] for r in json.loads(out)]) == (0, [13])
    code, out, _ = cli(capsys, "dataset", "verify", "out", "--json")
    assert (code, json.loads(out)["problems"]) == (0, [])
    code, out, err = cli(capsys, "dataset", "log", "out")
    assert (code, out) == (0, "")
    assert "commits of out" in err


def test_verify_finds_damage_and_strangers(capsys, job_file, source) -> None:
    cli(capsys, "run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out", "--quiet")
    victim = next(Path("out").rglob("*.parquet"))
    data = bytearray(victim.read_bytes())
    data[10] ^= 1
    victim.write_bytes(bytes(data))
    Path("out", "mine.parquet").write_bytes(b"x")
    code, out, err = cli(capsys, "dataset", "verify", "out", "--json")
    problems = json.loads(out)["problems"]
    assert code == 3
    assert "other content" in problems[0]
    assert "mine.parquet is in the data root but in no commit" in problems[1]
    assert "Traceback" not in err


def test_plan_runs_nothing(capsys, job_file, source) -> None:
    code, _, err = cli(capsys, "plan", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out")
    assert code == 0
    assert "exchange by key hash" in err
    code, out, _ = cli(capsys, "plan", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out", "--json")
    assert json.loads(out)["rows"] == 2_000
    assert not Path("out").exists()
    assert not Path("out.checkrow").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["run", "nowhere.py:x"], 2, "there is no file 'nowhere.py'"),
        (["run", "{job}:missing"], 2, "has no job 'missing'; it has: copy, typo"),
        (["run", "{job}"], 2, "does not name a job"),
        (["run", "{job}:copy", "-p", "source"], 2, "not of the form name=value"),
        (["run", "{job}:copy", "-p", "source=nowhere", "-p", "target=out"], 2, "no file or directory 'nowhere'"),
        (["run", "{job}:typo", "-p", "source={source}", "-p", "target=out"], 2, "did you mean 'city'"),
        (["show", "abcdef"], 2, "no run of this user on this host begins with 'abcdef'"),
        (["show", "zzz"], 2, "no run of this user on this host begins with 'zzz'"),
        (["run", "{job}:copy", "-p", "source=", "-p", "target=out"], 2, "the URL '' names no place"),
        (["run", "{job}:copy", "-p", "source={source}", "-p", "target="], 2, "the URL '' names no place"),
        (["run", "{job}:copy", "-p", "source={source}", "-p", "target=/proc/x"], 2, "cannot be created"),
        (
            ["run", "{job}:copy", "-p", "source={source}", "-p", "target=out", "--checkpoint-interval", "-5"],
            2,
            "at least 0 seconds",
        ),
        (["dataset", "log", "nowhere"], 2, "no dataset that checkrow wrote"),
        (["no-such-command"], 2, "No such command"),
        (["run"], 2, "Missing argument"),
        (["run", "{job}:copy", "--processes", "1", "--cluster", "tcp://x"], 2, "exclude each other"),
    ],
)
def test_mistakes(capsys, job_file, source, arguments, code, text) -> None:
    found, out, err = cli(capsys, *(a.format(job=job_file, source=source) for a in arguments))
    assert found == code
    assert out == ""
    assert text in err
    assert "Traceback" not in err


def test_force_on_a_job_that_wants_an_empty_target(capsys, job_file, source) -> None:
    arguments = ("run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out", "--json")
    cli(capsys, *arguments)
    code, out, _ = cli(capsys, *arguments, "--force")
    assert (code, json.loads(out)["status"], json.loads(out)["snapshot"]) == (0, "committed", 2)
    assert pq.read_table("out").num_rows == 13
    code, out, _ = cli(capsys, "dataset", "log", "out", "--json")
    assert [(r["generation"], r["rows"], r["files_removed"]) for r in json.loads(out)][1] == (2, 13, 1)
    assert cli(capsys, "dataset", "verify", "out")[0] == 0
    code, _, err = cli(capsys, "run", f"{job_file}:copy", "-p", f"source={source}/0.parquet", "-p", "target=out")
    assert (code, "mode='append' or mode='replace'" in err) == (2, True)


@pytest.fixture
def stopped(capsys, job_file, source, monkeypatch) -> Callable[..., str]:
    """Returns what runs the job until a task fails, and gives the run's id."""

    def run(*options: str) -> str:
        arguments = ("run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out", *options)
        with monkeypatch.context() as broken:
            broken.setattr("checkrow.run.task.merge_partition", lambda *_: 1 / 0)
            assert cli(capsys, *arguments, "--checkpoint-interval", "0", "--quiet")[0] == 1
        return max(Path("out.checkrow").glob("runs/*/plan.json"), key=lambda p: p.stat().st_mtime_ns).parent.name

    return run


def test_resume_continues_a_forced_run(capsys, job_file, source, stopped) -> None:
    """It said that the generation before was done."""
    cli(capsys, "run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out")
    run = stopped("--force")
    for status in ("committed", "already_done"):
        code, out, _ = cli(capsys, "resume", run, "--json")
        assert (code, json.loads(out)["run"], json.loads(out)["status"]) == (0, run, status)
        assert json.loads(out)["snapshot"] == 2


def test_input_that_changed_under_an_unfinished_run(capsys, job_file, source, stopped) -> None:
    arguments = ("run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out")
    stopped()
    pq.write_table(pq.read_table(f"{source}/0.parquet"), f"{source}/0.parquet")
    code, _, err = cli(capsys, *arguments)
    assert code == 6
    assert "1 of its 3 input files changed or are gone" in err
    assert "--recompute" in err
    assert cli(capsys, *arguments, "--recompute")[0] == 0


def test_input_that_was_added_under_an_unfinished_run(capsys, source, stopped) -> None:
    run = stopped()
    pq.write_table(pq.read_table(f"{source}/0.parquet"), f"{source}/9.parquet")
    code, _, err = cli(capsys, "resume", run)
    assert code == 0
    assert "input files were added since the run began and not read: --force" in " ".join(err.split())


def test_job_file_that_does_not_import(capsys, tmp_path) -> None:
    (tmp_path / "bad.py").write_text("import nothing_of_this_name")
    code, _, err = cli(capsys, "run", f"{tmp_path}/bad.py:x")
    assert code == 2
    assert "does not import: ModuleNotFoundError" in err


def test_a_list_of_runs_that_cannot_be_kept(capsys, job_file, source, tmp_path) -> None:
    """A run does without it; what needs it says so."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "runs").write_text("a file where the directory should be")
    assert cli(capsys, "run", f"{job_file}:copy", "-p", f"source={source}", "-p", "target=out")[0] == 0
    code, _, err = cli(capsys, "show", "abcdef")
    assert code == 2
    assert "cannot be read in" in err
    assert "set CHECKROW_STATE_DIR" in err


def test_debug_shows_the_traceback(capsys) -> None:
    with pytest.raises(CheckrowError):
        run_cli(["--debug", "run", "nowhere.py:x"])


def test_doctor(capsys) -> None:
    code, out, _ = cli(capsys, "doctor", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["swaps_directories"] is True
    assert facts["cores"] >= 1
    assert facts["page_decoder"].startswith(("ready", "not compiled"))


def test_doctor_shows_the_cache_and_empties_it(capsys, monkeypatch, tmp_path, source) -> None:
    monkeypatch.setenv("CHECKROW_CACHE_DIR", str(tmp_path / "cache"))
    none = json.loads(cli(capsys, "doctor", "--json")[1])
    assert (none["kernel_cache_drivers"], none["kernel_cache_bytes"], none["kernel_cache_writable"]) == (0, 0, True)

    @cr.row_kernel(returns={"y": pa.int64()})
    def next_id(id):  # noqa: A002  # the column's name
        return id + 1

    def last() -> int:
        return max(cr.scan(source).map(next_id).collect()["y"].to_pylist())

    assert last() == 2_000
    old = tmp_path / "cache" / platform.node() / "kernels" / "0123456789abcdef"
    old.mkdir(parents=True)
    (old / "pages.ready").touch()
    (old / "a.nbc").write_bytes(b"x" * 10_000)
    held = json.loads(cli(capsys, "doctor", "--json")[1])
    assert held["kernel_cache"] == str(tmp_path / "cache" / platform.node())
    assert held["kernel_cache_drivers"] == 1
    assert held["kernel_cache_bytes"] > 20_000
    code, out, err = cli(capsys, "doctor", "--clear-cache")
    assert (code, out) == (0, "")
    assert "kernel cache bytes" in err
    left = [f.name for f in (tmp_path / "cache").rglob("*") if f.is_file()]
    assert left == ["compile.lock"]
    assert last() == 2_000
    assert json.loads(cli(capsys, "doctor", "--clear-cache", "--json")[1])["kernel_cache_drivers"] == 0


def test_the_cache_is_emptied_when_nobody_compiles(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CHECKROW_CACHE_DIR", str(tmp_path))
    drivers = tmp_path / platform.node() / "drivers" / "x"
    drivers.mkdir(parents=True)
    (drivers / "d_1.py").touch()
    lock, seen = drivers / "compile.lock", []
    lock.touch()
    flock = fcntl.flock

    def watched(file, kind) -> None:
        seen.append((file.name, kind, (drivers / "d_1.py").exists()))
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", watched)
    clear_cache()
    assert seen == [(str(lock), fcntl.LOCK_EX, True)]
    assert list(drivers.iterdir()) == [lock]


def test_exit_codes_are_those_of_the_design() -> None:
    found = {kind.__name__: kind.exit_code for kind in subclasses(CheckrowError)}
    wanted = {"CheckFailed": 3, "AlreadyRunning": 5, "ResumeMismatch": 6, "ConfigError": 2, "RunInterrupted": 130}
    assert found.items() >= wanted.items()
    assert set(found.values()) <= {1, 2, 3, 4, 5, 6, 75, 130}


def subclasses(kind: type[CheckrowError]) -> list[type[CheckrowError]]:
    return [s for c in kind.__subclasses__() for s in (c, *subclasses(c))]


SLOW = """
import checkrow as cr, pyarrow as pa

@cr.row_kernel(returns={"x": pa.float64()})
def slow(id):
    t = 0.0
    for i in range(40_000):
        t += (id + i) % 7
    return t

@cr.job
def job(*, source: str, target: str):
    return cr.scan(source).map(slow).group_by("city").agg(x=cr.sum("x")).plan_parquet(target).with_target_bytes(500)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_a_task_boundary_and_the_run_resumes(source, tmp_path, number, code) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    command = [
        sys.executable, "-m", "checkrow", "run", f"{tmp_path}/slow.py:job", "-p", f"source={source}", "-p",
        f"target={tmp_path}/out", "--checkpoint-interval", "0", "--threads", "1", "--json", "--no-progress",
    ]  # fmt: skip
    # Tests that run in the background of a shell inherit an ignored SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    victim = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    control = tmp_path / "out.checkrow"
    while not list(control.glob("runs/*/manifests/*.json")):
        assert victim.poll() is None
    os.kill(victim.pid, number)
    _, err = victim.communicate(timeout=60)
    assert victim.returncode == code
    assert "stopped at a task boundary" in err
    assert "checkrow resume" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    kept = len(list(control.glob("runs/*/manifests/*.json")))
    run = next(control.glob("runs/*/plan.json")).parent.name
    done = subprocess.run(
        [sys.executable, "-m", "checkrow", "resume", run[:8], "--json", "--no-progress"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["run"]) == ("committed", run)
    assert result["metrics"]["tasks_reused"] == kept


BAD_ROWS = """
import pyarrow as pa
import checkrow as cr

@cr.row_kernel(returns=pa.int64())
def share(x, z):
    return x // z

@cr.job(name="shares", bad_rows=cr.BadRows("null", max_rows=ALLOWED))
def shares(*, source: str, target: str):
    return cr.scan(source).map(share).plan_parquet(target)
"""


def test_a_job_says_how_many_rows_its_kernels_failed_on(capsys, tmp_path) -> None:
    pq.write_table(pa.table({"x": [8, 9, 10], "z": [2, 0, 0]}), tmp_path / "in.parquet")
    for allowed, wanted in ((1, 1), (1, 1), (2, 0)):  # the second finds all tasks done, and still too many bad rows
        (tmp_path / "shares.py").write_text(BAD_ROWS.replace("ALLOWED", str(allowed)))
        call = (
            "run",
            f"{tmp_path}/shares.py:shares",
            "-p",
            f"source={tmp_path}/in.parquet",
            "-p",
            f"target={tmp_path}/out",
        )
        code, _, err = cli(capsys, *call)
        assert code == wanted
        assert ("failed on 2 rows; of 3 rows read, 1 are allowed" in err) == (allowed == 1)
    assert "nulled" in err
    assert cr.scan(str(tmp_path / "out")).collect()["share"].to_pylist() == [4, None, None]
