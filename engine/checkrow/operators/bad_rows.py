"""Rows on which a kernel failed, in one task: refused at once, or kept with the reason.

A row counts once, however many of its kernels fail: the first failure is the one that is told.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkrow.operators.batch import Batch, Origin
from checkrow.operators.described import described
from checkrow.operators.drive import KernelFailed
from checkrow.plan.bad_rows import FAIL, NULL, QUARANTINE

Array = NDArray[Any]


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that failed, or a group of them: where it stands, which kernel failed on it, and why.

    Attributes
    ----------
    row : int
        Its number within `origin`; -1 for a group that failed as a whole.
    rows : int
        How many rows failed together.
    origins : ndarray, shape (rows,), int64, or None
        Where the rows of a group were read (see `checkrow.plan.groups`), when that is tracked.
    values : tuple of str
        The rows as JSON, when they stand in no file.
    """

    origin: Origin
    row: int
    kernel: str
    error: str
    message: str
    rows: int = 1
    origins: Array | None = None
    values: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, as messages begin."""
        return f"{self.origin}, row {self.row}" if self.row >= 0 else str(self.origin)


class BadRowKeeper:
    """Takes the failures of a task.

    Parameters
    ----------
    action : {"fail", "null", "quarantine"}
    """

    def __init__(self, action: str = FAIL) -> None:
        self._action = action
        self._found: dict[tuple[Origin, int], BadRow] = {}
        self._rows_of: dict[Origin, set[int]] = {}
        self._count = 0
        self._untold: list[tuple[Origin, int]] = []

    @property
    def ends(self) -> bool:
        """Whether the first failure ends the run."""
        return self._action == FAIL

    @property
    def nulls(self) -> bool:
        """Whether a kernel's columns become null where it fails."""
        return self._action == NULL

    @property
    def keeps(self) -> bool:
        """Whether bad rows leave the rows of the task."""
        return self._action == QUARANTINE

    @property
    def rows(self) -> tuple[BadRow, ...]:
        """The rows that failed, as they were found."""
        return tuple(self._found.values())

    @property
    def count(self) -> int:
        """How many rows failed."""
        return self._count

    def first(self, most: int = 3) -> tuple[str, ...]:
        """Returns what happened on the first rows, in words."""
        return tuple(f"{b.place}: kernel {b.kernel!r} {b.message}" for b in self.rows[:most])

    def take(self, batch: Batch, failed: KernelFailed) -> None:
        """Notes a failure on a row of a batch; raises the error for the user if the first one ends the run."""
        if self._action == FAIL:
            raise failed.located(batch.place(failed.row)) from None
        self.note(batch.origin, batch.row_number(failed.row), failed)

    def note(
        self, origin: Origin, row: int, failed: KernelFailed, *, rows: int = 1, origins: Array | None = None,
        values: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Notes a failure on a row, or on a group of rows, of which the place is known."""
        if (origin, row) in self._found:
            return
        self._found[origin, row] = BadRow(
            origin=origin, row=row, kernel=failed.kernel.name, error=failed.reason, message=failed.message, rows=rows,
            origins=origins, values=values,
        )  # fmt: skip
        self._rows_of.setdefault(origin, set()).add(row)
        self._count += rows
        if origin.file is None and origins is None and not values:
            self._untold.append((origin, row))

    def tell(self, batch: Batch) -> None:
        """Keeps the values of the rows of a batch that failed and stand in no file; asked when it is worked on."""
        if not self.keeps:
            return
        for origin, row in self._untold:
            here = row - batch.first_row
            if origin == batch.origin and 0 <= here < batch.rows:
                bad = self._found[origin, row]
                self._found[origin, row] = msgspec.structs.replace(
                    bad, values=tuple(described(batch.arrow.slice(here, 1)))
                )
        self._untold.clear()

    def good_in(self, batch: Batch) -> Array | None:
        """Returns True for the rows of a batch that have not failed, shape (rows,); None if none has."""
        bad = self._rows_of.get(batch.origin)
        if not bad:
            return None
        good = ~np.isin(batch.row_numbers, np.fromiter(bad, np.int64, len(bad)))
        return None if good.all() else good


class Survivor:
    """Goes on with a batch after rows of it on which a kernel failed.

    Attributes
    ----------
    bad : list of int
        Rows to be left out.
    flags : list of ndarray or None
        Where nulls stand in for failures: per call of a careful driver, 1 for the rows it must not be made on.
    """

    def __init__(self, keeper: BadRowKeeper, batch: Batch) -> None:
        self._keeper = keeper
        self._batch = batch
        self.bad: list[int] = []
        self.flags: list[Array] | None = None

    def next_row(self, failed: KernelFailed, calls: int) -> int:
        """Notes a failure of a driver with so many calls; returns the row to go on with, or raises."""
        self._keeper.take(self._batch, failed)
        if self._keeper.keeps:
            self.bad.append(failed.row)
            return failed.row + 1
        if self.flags is None:
            self.flags = [np.zeros(self._batch.rows, np.uint8) for _ in range(calls)]
        self.flags[failed.call][failed.row] = 1
        return failed.row


class Marks:
    """Which rows of a batch failed while it was evaluated, so that they leave it afterwards."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._bad: Array | None = None

    def add(self, rows: Array) -> None:
        """Marks rows by number."""
        if self._bad is None:
            self._bad = np.zeros(self._rows, np.bool_)
        self._bad[rows] = True

    @property
    def good(self) -> Array | None:
        """True for rows that stay, shape (rows,); None if all do."""
        return None if self._bad is None else ~self._bad
