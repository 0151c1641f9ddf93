"""Every notebook runs from top to bottom, with warnings as errors."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*:RuntimeWarning:zmq", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, tmp_path) -> None:
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    texts = [
        o.get("text", "") or o.get("data", {}).get("text/plain", "")
        for c in notebook.cells
        for o in c.get("outputs", [])
    ]
    assert any("already_done" in t for t in texts)
    assert any(
        "<table" in str(o.get("data", {}).get("text/html", "")) for c in notebook.cells for o in c.get("outputs", [])
    )
