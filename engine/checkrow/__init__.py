"""checkrow: your own Numba-compiled functions over partitioned Arrow data, resumable, committed exactly once.

Use it as `import checkrow as cr`. Names load when they are first used, so that importing checkrow costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkrow.lazily import imported

if TYPE_CHECKING:
    from checkrow import errors as errors
    from checkrow import events as events
    from checkrow.dataset.dataset import Dataset as Dataset
    from checkrow.dataset.execution import Limits as Limits
    from checkrow.dataset.functions import approx_distinct as approx_distinct
    from checkrow.dataset.functions import approx_quantile as approx_quantile
    from checkrow.dataset.functions import count as count
    from checkrow.dataset.functions import count_distinct as count_distinct
    from checkrow.dataset.functions import first as first
    from checkrow.dataset.functions import last as last
    from checkrow.dataset.functions import max as max  # noqa: A004  # the field's word
    from checkrow.dataset.functions import mean as mean
    from checkrow.dataset.functions import median as median
    from checkrow.dataset.functions import min as min  # noqa: A004  # the field's word
    from checkrow.dataset.functions import quantile as quantile
    from checkrow.dataset.functions import std as std
    from checkrow.dataset.functions import sum as sum  # noqa: A004  # the field's word
    from checkrow.dataset.functions import var as var
    from checkrow.dataset.plan import Plan as Plan
    from checkrow.dataset.run import Run as Run
    from checkrow.dataset.scan import scan as scan
    from checkrow.errors import CheckrowError as CheckrowError
    from checkrow.expressions.expression import coalesce as coalesce
    from checkrow.expressions.expression import col as col
    from checkrow.expressions.expression import lit as lit
    from checkrow.expressions.expression import when as when
    from checkrow.jobs.job import job as job
    from checkrow.kernels.aggregator import aggregator as aggregator
    from checkrow.kernels.batch import batch_kernel as batch_kernel
    from checkrow.kernels.expand import expand_kernel as expand_kernel
    from checkrow.kernels.fold import fold_kernel as fold_kernel
    from checkrow.kernels.group import group_kernel as group_kernel
    from checkrow.kernels.outputs import outputs_for as outputs_for
    from checkrow.kernels.row import row_kernel as row_kernel
    from checkrow.plan.bad_rows import BadRows as BadRows
    from checkrow.run import dask as cluster  # noqa: F401  # public name
    from checkrow_kernels import calendar as calendar

__version__ = "0.1.0"

_NAMES = {
    "BadRows": "checkrow.plan.bad_rows",
    "CheckrowError": "checkrow.errors",
    "Dataset": "checkrow.dataset.dataset",
    "Limits": "checkrow.dataset.execution",
    "Plan": "checkrow.dataset.plan",
    "Run": "checkrow.dataset.run",
    "aggregator": "checkrow.kernels.aggregator",
    "approx_distinct": "checkrow.dataset.functions",
    "approx_quantile": "checkrow.dataset.functions",
    "batch_kernel": "checkrow.kernels.batch",
    "coalesce": "checkrow.expressions.expression",
    "col": "checkrow.expressions.expression",
    "count": "checkrow.dataset.functions",
    "count_distinct": "checkrow.dataset.functions",
    "expand_kernel": "checkrow.kernels.expand",
    "first": "checkrow.dataset.functions",
    "fold_kernel": "checkrow.kernels.fold",
    "group_kernel": "checkrow.kernels.group",
    "job": "checkrow.jobs.job",
    "last": "checkrow.dataset.functions",
    "lit": "checkrow.expressions.expression",
    "max": "checkrow.dataset.functions",
    "mean": "checkrow.dataset.functions",
    "median": "checkrow.dataset.functions",
    "min": "checkrow.dataset.functions",
    "outputs_for": "checkrow.kernels.outputs",
    "quantile": "checkrow.dataset.functions",
    "row_kernel": "checkrow.kernels.row",
    "scan": "checkrow.dataset.scan",
    "std": "checkrow.dataset.functions",
    "sum": "checkrow.dataset.functions",
    "var": "checkrow.dataset.functions",
    "when": "checkrow.expressions.expression",
}
_MODULES = {
    "calendar": "checkrow_kernels.calendar",
    "cluster": "checkrow.run.dask",
    "errors": "checkrow.errors",
    "events": "checkrow.events",
}

__all__ = [*sorted({*_NAMES, *_MODULES})]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    """Loads a public name at its first use."""
    if name in _MODULES:
        return imported(_MODULES[name])
    if name in _NAMES:
        value: object = getattr(imported(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'checkrow' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names."""
    return [*__all__, "__version__"]
