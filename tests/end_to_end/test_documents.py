"""The Python in the documents runs as it stands, block after block."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["kernels.md"])
def test_blocks_run(tmp_path: Path, name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    script = tmp_path / "document.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
