"""The result file and the table made from it."""

from __future__ import annotations

import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import checkrow

PACKAGES = ("duckdb", "numba", "numpy", "polars", "pyarrow")


def document(scale: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns results in the documented form: machine, versions, scale, cases."""
    return {"machine": machine(), "versions": versions(), "scale": scale, "cases": cases}


def versions() -> dict[str, str]:
    """Returns the versions of everything that was measured."""
    peers = {p: version(p) for p in PACKAGES}
    return {"checkrow": checkrow.__version__, "python": platform.python_version(), **peers}


def machine() -> dict[str, Any]:
    """Returns what the figures were measured on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory, "system": platform.platform()}


def table(results: dict[str, Any]) -> str:
    """Returns results as a Markdown table: medians, checkrow's ratio to each peer, efficiency, peak memory."""
    lines = [
        f"{results['machine']['cpu']}, {results['machine']['cores']} cores, scale {results['scale']}; "
        + ", ".join(f"{n} {v}" for n, v in results["versions"].items()),
        "",
        "| case | engine | median s | checkrow / engine | bound / engine | peak GiB | equal |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = {(c["suite"], c["case"]): _median(c) for c in results["cases"] if c["engine"] == "checkrow"}
    for c in results["cases"]:
        seconds = _median(c)
        lines.append(
            f"| {c['suite']}.{c['case']} | {c['engine']} | {seconds:.3f} | {ours[c['suite'], c['case']] / seconds:.2f} "
            f"| {c['bound_s'] / seconds:.2f} | {c['peak_rss_bytes'] / 2**30:.2f} | {'yes' if c['equal'] else 'NO'} |"
        )
    return "\n".join(lines) + "\n"


def _median(case: dict[str, Any]) -> float:
    return statistics.median(case["seconds"])
