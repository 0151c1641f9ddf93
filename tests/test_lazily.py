"""Modules that are imported when something in them is used, with Python's collector as it was afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from checkrow.lazily import Lazily, imported
from tests.conftest import environment


def test_a_module_is_imported_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seldom.py").write_text("import gc\nvalue = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = Lazily("seldom")
    assert "seldom" not in sys.modules
    assert module.value is False  # the collector waits
    assert gc.isenabled()
    monkeypatch.delitem(sys.modules, "seldom")
    assert module.value is False
    assert "seldom" not in sys.modules  # what was asked for once is known
    with pytest.raises(AttributeError, match="other"):
        _ = module.other


def test_the_collector_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        imported("broken")
    assert gc.isenabled()
    gc.disable()
    try:
        imported("json")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_job_without_expressions_does_without_pyarrow_compute(tmp_path: Path) -> None:
    code = (
        "import sys, checkrow as cr, pyarrow as pa, pyarrow.parquet as pq\n"
        "pq.write_table(pa.table({'k': [1, 1, 2], 'v': [1.0, 2.0, 3.0]}), 'rows.parquet')\n"
        "cr.scan('rows.parquet').group_by('k').agg(v=cr.sum('v')).write_parquet('out')\n"
        "print('pyarrow.compute' in sys.modules)\n"
        "assert pq.read_table('out')['v'].to_pylist() == [3.0, 3.0]\n"
    )
    environ = environment(CHECKROW_STATE_DIR=str(tmp_path / "state"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True, env=environ
    )
    assert done.stdout == "False\n"
