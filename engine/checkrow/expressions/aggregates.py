"""An aggregate as the user writes it: a function of a group's values, named by `.agg(name=...)`."""

from __future__ import annotations

import msgspec

from checkrow.errors import PlanError
from checkrow.expressions.expression import Expr
from checkrow.expressions.nodes import KernelCall, Node, OrderKey, column, substitute


class AggregateCall(msgspec.Struct, frozen=True):
    """An aggregate under its output name.

    `function` is a built-in one, or "own" with the user's aggregator as `kernel`. `arg` is None for `count()` and for
    an aggregator, whose arguments stand in its call. `order` is what `first` and `last` go by; `option` the quantile
    or the degrees of freedom taken off.
    """

    name: str
    function: str
    arg: Node | None = None
    kernel: KernelCall | None = None
    order: tuple[OrderKey, ...] = ()
    option: float | None = None

    def substituted(self, by: dict[str, Node]) -> AggregateCall:
        """Returns the call over what computes the columns it reads."""
        return msgspec.structs.replace(
            self,
            arg=substitute(self.arg, by) if self.arg is not None else None,
            kernel=self.kernel.substituted(by) if self.kernel is not None else None,
            order=tuple(o.substituted(by) for o in self.order),
        )


class AggregateExpr(msgspec.Struct, frozen=True):
    """An aggregate without a name yet; `call` has the empty name."""

    call: AggregateCall

    @property
    def function(self) -> str:
        """The function's name."""
        return self.call.kernel.kernel.name if self.call.kernel is not None else self.call.function

    def named(self, name: str) -> AggregateCall:
        """Returns the call under an output name."""
        return msgspec.structs.replace(self.call, name=name)


def argument(function: str, value: object) -> Node:
    """Returns the node of an argument: a column name or an expression; raises PlanError for anything else."""
    if isinstance(value, Expr):
        return value.node
    if isinstance(value, str):
        return column(value)
    raise PlanError(f"{function}() takes a column name or an expression, not {value!r}")
