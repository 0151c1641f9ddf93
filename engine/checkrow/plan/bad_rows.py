"""What becomes of rows on which a kernel fails: the policy, as the user states it and a plan records it."""

from __future__ import annotations

from typing import Any

import msgspec

from checkrow.errors import ConfigError, PlanError
from checkrow.expressions.types import UNSUPPORTED, Field, Schema
from checkrow.plan.logical import Relation

FAIL, NULL, QUARANTINE = "fail", "null", "quarantine"


class BadRows(msgspec.Struct, frozen=True):
    """What a run does with rows on which a kernel raises, meets a null it forbids, or returns what does not fit.

    Attributes
    ----------
    action : {"fail", "null", "quarantine"}
        "fail": the first one ends the run. "null": the kernel's columns are null there; an aggregator leaves it out.
        "quarantine": it leaves the output for the dataset's quarantine, with the reason, in the same commit; of a
        group on which a kernel fails all rows do. See `cr.scan(url, output="quarantine")`.
    max_rows : int or None
        More such rows fail the run; nothing is committed then.
    max_share : float or None
        As `max_rows`, as a share (0-1) of the rows read.

    Examples
    --------
    >>> BadRows("null", max_share=0.01).allowed(1_000)
    10
    """

    action: str = FAIL
    max_rows: int | None = None
    max_share: float | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be meant."""
        if self.action not in {FAIL, NULL, QUARANTINE}:
            raise ConfigError(f"BadRows({self.action!r}) is not one of 'fail', 'null', 'quarantine'")
        if self.action == FAIL and (self.max_rows is not None or self.max_share is not None):
            raise ConfigError(
                "BadRows('fail') stops at the first row; max_rows and max_share go with the other actions"
            )
        if self.max_rows is not None and self.max_rows < 0:
            raise ConfigError(f"BadRows(max_rows={self.max_rows}): it must be 0 or more")
        if self.max_share is not None and not 0.0 <= self.max_share <= 1.0:
            raise ConfigError(f"BadRows(max_share={self.max_share}): a share is from 0 to 1")

    def allowed(self, rows: int) -> int | None:
        """Returns how many of some rows may be bad, None for any number."""
        limits = [self.max_rows, None if self.max_share is None else int(self.max_share * rows)]
        return min((n for n in limits if n is not None), default=None)


_NOTES = (
    Field("_source_file", "string"), Field("_row_group", "int64"), Field("_row_index", "int64"),
    Field("_values", "string"), Field("_kernel", "string"), Field("_error", "string"), Field("_message", "string"),
    Field("_run", "string"), Field("_instance", "string"),
)  # fmt: skip


def quarantine_columns(source: Schema) -> Schema:
    """Returns the columns of a quarantine: those of the rows that were read, any of them null, then what is known.

    `_source_file`, `_row_group` and `_row_index` say where a row was read, `_kernel`, `_error` (class) and `_message`
    why it failed, `_run` and `_instance` when. A row that stands in no file has these three and the columns null, and
    its values as JSON in `_values`; for a row of a file `_values` holds what has no column here: nested values.

    Raises
    ------
    PlanError
        If the source has a column of one of these names.
    """
    taken = {f.name for f in _NOTES}
    clash = next((f.name for f in source if f.name in taken), None)
    if clash is not None:
        raise PlanError(
            f"the source has a column {clash!r}, which is a column of the quarantine too; rename it in the files, or "
            "use BadRows('null')"
        )
    typed = (Field(f.name, f.dtype) for f in source if not f.dtype.startswith(UNSUPPORTED))
    return (*typed, *_NOTES)


def planned(relation: Relation, policy: BadRows) -> Relation:
    """Returns the tree that a policy makes of one: kernels that give null where they fail have nullable columns."""
    if policy.action != NULL:
        return relation
    marked: Relation = msgspec.convert(_marked(msgspec.to_builtins(relation)), Relation)
    return marked


def _marked(value: Any) -> Any:
    """Returns plain data with every kernel's record marked."""
    if isinstance(value, dict):
        out = {k: _marked(v) for k, v in value.items()}
        return {**out, "may_fail": True} if {"fingerprint", "blocks"} <= out.keys() else out
    return [_marked(v) for v in value] if isinstance(value, (list, tuple)) else value
