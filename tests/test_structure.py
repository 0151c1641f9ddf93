"""The house: what starts light, what is public, what the documents name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import checkrow

ROOT = Path(__file__).parents[1]
HEAVY = {"numba", "distributed", "dask", "pyarrow", "pandas", "numpy", "fsspec"}


def loaded_by(code: str) -> set[str]:
    text = f"import sys\n{code}\nimport json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("from checkrow.cli.main import run_cli\nassert run_cli(['--help']) == 0")


def test_importing_checkrow_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("import checkrow as cr")


def test_a_run_in_process_does_not_load_distributed() -> None:
    assert "distributed" not in loaded_by("import checkrow as cr; cr.scan; cr.job; cr.row_kernel")


def test_public_names() -> None:
    assert sorted(checkrow.__all__) == [
        "BadRows", "CheckrowError", "Dataset", "Limits", "Plan", "Run", "aggregator", "approx_distinct", "approx_quantile", "batch_kernel", "calendar", "cluster",
        "coalesce", "col", "count", "count_distinct", "errors", "events", "expand_kernel", "first", "fold_kernel", "group_kernel", "job", "last", "lit", "max",
        "mean", "median", "min", "outputs_for", "quantile", "row_kernel", "scan", "std", "sum", "var", "when",
    ]  # fmt: skip
    for name in checkrow.__all__:
        assert getattr(checkrow, name) is not None
    assert set(dir(checkrow)) >= set(checkrow.__all__)


def test_version_stands_once() -> None:
    assert f'version = "{checkrow.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## [{checkrow.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_path_the_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:engine|kernels|tests|docs|benchmarks|notebooks)/[\w./-]*)`", text))
    assert len(named) > 20
    assert [p for p in sorted(named) if not (ROOT / p).exists()] == []


def test_the_test_directories_are_described() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    named = set(re.findall(r"`(tests/[\w./-]*)`", text))
    assert [p for p in sorted(named) if not (ROOT / p).exists()] == []
    there = {f"tests/{p.parent.name}" for p in (ROOT / "tests").glob("*/test_*.py")}
    assert there - named == set()


def test_no_file_hides_behind_a_vague_name() -> None:
    vague = {"utils", "helpers", "common", "misc", "base", "core", "manager"}
    assert [p for p in ROOT.glob("*/**/*.py") if p.stem in vague and ".venv" not in p.parts] == []


def test_no_import_of_our_own_inside_functions() -> None:
    lazy = re.compile(r"^[ \t]+(?:from|import) checkrow", re.MULTILINE)
    found = [
        p
        for p in (ROOT / "engine").rglob("*.py")
        for m in lazy.finditer(p.read_text())
        if not in_type_checking(p, m.start())
    ]
    assert found == []


def in_type_checking(path: Path, at: int) -> bool:
    before = path.read_text()[:at]
    return "if TYPE_CHECKING:" in before.rsplit("\n\n", 1)[-1] or "if TYPE_CHECKING:" in before[-2_500:]
