"""`expand_kernel`: the scalars of one row in, any number of rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from checkrow.errors import KernelTypeError, PlanError
from checkrow.expressions.nodes import KernelSpec
from checkrow.kernels.called import CalledKernel
from checkrow.kernels.forms import refuse_no_value
from checkrow.kernels.group import EXPAND
from checkrow.kernels.nulls import PROPAGATE, Nulls
from checkrow.kernels.outputs import refuse_unwritable
from checkrow.kernels.signature import OUT, Returns, refuse_unknown
from checkrow.kernels.texts import seen_value

MAX_ROWS = 1024


class ExpandPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator was told besides the function."""

    returns: Returns
    keep: tuple[str, ...] | None
    max_rows: int
    nulls: Nulls
    decimals: str
    time_unit: str
    checked: bool


class ExpandKernel(CalledKernel):
    """A function that makes rows of one row; call it with plain values and `out` to run it as plain Python.

    In a plain call None is null, treated as the decorator says; arguments `x_valid` may be left out.
    """

    def __init__(self, function: Callable[..., object], policy: ExpandPolicy) -> None:
        super().__init__(function, policy, nulls=PROPAGATE)
        self._policy = policy
        self._check()

    def _check(self) -> None:
        where = self._captured.where
        if self._signature.arguments[-1:] != (OUT,):
            raise KernelTypeError(f"{where} writes its rows to `out`: make that its last positional argument")
        if not self._signature.columns:
            raise KernelTypeError(f"{where} reads no column; name the columns it needs as arguments before `out`")
        refuse_unwritable(self._returns, where)

    @property
    def spec(self) -> KernelSpec:
        """The record from which any process can compile the kernel, with helpers and constants as they are now."""
        record = self._record("expand", EXPAND)
        refuse_no_value(self._captured.block)
        return record

    def __call__(self, *args: object, **parameters: object) -> object:
        """Runs the plain function on one row and returns how many rows it wrote; see `outputs_for` for `out`."""
        given = self._nulls.plain(self._signature, args)
        if given is None:
            return 0
        return self.function(*(seen_value(g) for g in given), **{**dict(self.parameters), **parameters})

    def kept(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Returns the columns of the input that every row repeats."""
        return tuple(columns) if self._policy.keep is None else self._policy.keep


def expand_kernel(
    *,
    returns: Returns,
    keep: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    nulls: Nulls = "propagate",
    decimals: str = "",
    time_unit: str = "us",
    checked: bool = True,
) -> Callable[[Callable[..., object]], ExpandKernel]:
    """Makes a function that writes 0 to n rows for one row a kernel, for `.map(kernel)`.

    Its arguments are bound to columns by name, keyword-only ones are parameters; the last positional one is `out`. It
    writes `out.name[k]` for rows k from 0 and returns how many. What it leaves unwritten is 0, or the empty text.

    Parameters
    ----------
    returns : Arrow type or dict of column name to Arrow type
        The columns it gives, after those that are kept.
    keep : list of column names
        Columns of the input that each of its rows repeats; default: all. None may be one that the kernel returns.
    max_rows : int
        Most rows for one input row, which `out` has room for. A function that does more with `out` than index its
        columns has all of that room cleared for every input row: with it, a small limit is faster than a large one.
    nulls : {"propagate", "forbid"} or dict of column name to value
        "propagate": a row with a null argument gives no rows. "forbid": it is an error. A dict says by column what
        stands in for null there; nulls in other columns propagate. An argument named `x_valid` beside `x` receives
        whether `x` is there: then the function is called although it is null, and `x` is its fill, or 0 or the empty
        text.
    decimals : {"scaled", "float64"}
        How decimal columns arrive: exact unscaled int64, or converted to float64. There is no default.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of timestamps and durations, which arrive as int64.
    checked : bool
        Whether an index outside `out` is an error. Without the check it overwrites other memory.

    Raises
    ------
    KernelTypeError
        If the function cannot be captured, takes no `out`, or its types are not supported.

    Notes
    -----
    Whole numbers and dates arrive as int64 whatever the width of their column, as in row kernels, and are written as
    such; one that does not fit its column is an error, and so is an index outside `out`. A row on which the
    kernel fails gives no rows where `BadRows` lets the run go on; a failure further up names the row that was read.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from checkrow import outputs_for
    >>> @expand_kernel(returns={"part": pa.int64()}, keep=["id"], max_rows=16)
    ... def parts(total, size, out):
    ...     n = 0
    ...     while n * size < total:
    ...         out.part[n] = min(size, total - n * size)
    ...         n += 1
    ...     return n
    >>> out = outputs_for(parts, 16)
    >>> parts(7, 3, out), out.part[:3].tolist()
    (3, [3, 3, 1])
    """
    refuse_unknown(
        {
            "decimals": (decimals, ("", "scaled", "float64")),
            "time_unit": (time_unit, ("s", "ms", "us", "ns")),
        }
    )
    if isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 1:
        raise PlanError(f"max_rows={max_rows!r} must be a whole number from 1: the most rows that one row may give")
    if isinstance(keep, str) or not all(isinstance(k, str) for k in keep or ()):
        raise PlanError(f"keep={keep!r} must be a list of column names")
    policy = ExpandPolicy(
        returns=returns, keep=None if keep is None else tuple(keep), max_rows=max_rows, nulls=nulls, decimals=decimals,
        time_unit=time_unit, checked=checked,
    )  # fmt: skip

    def decorate(function: Callable[..., object]) -> ExpandKernel:
        return ExpandKernel(function, policy)

    return decorate
