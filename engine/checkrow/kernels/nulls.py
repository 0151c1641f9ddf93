"""What a kernel does about null arguments: stated in its decorator, followed in every tier and in plain calls."""

from __future__ import annotations

import msgspec

from checkrow.errors import KernelRowError, PlanError
from checkrow.kernels.signature import OUT, Signature, refuse_unknown, validity_of
from checkrow.kernels.source import Number, text_bytes
from checkrow_kernels.text import Text

PROPAGATE, FORBID = "propagate", "forbid"
Fill = Number | str | bytes
Nulls = str | dict[str, Fill]


class NullRule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens on a null in a column that has neither a fill nor an argument for its validity, and the fills.

    Attributes
    ----------
    action : {"propagate", "forbid"}
    fills : tuple of (column, value)
    text_fills : tuple of (column, bytes)
    """

    action: str
    fills: tuple[tuple[str, Number], ...] = ()
    text_fills: tuple[tuple[str, bytes], ...] = ()

    def plain(self, signature: Signature, args: tuple[object, ...]) -> tuple[object, ...] | None:
        """Returns the arguments of a plain call, None being null; None if the function is not to be called.

        Arguments that receive validity may be left out: they are made here.

        Raises
        ------
        KernelRowError
            If an argument is None that the rule forbids.
        """
        short = [a for a in signature.arguments if a in signature.columns or a == OUT]
        if len(args) != len(short):
            return args
        given = dict(zip(short, args, strict=True))
        fills: dict[str, object] = {**dict(self.fills), **{n: Text(data) for n, data in self.text_fills}}
        missing = [c for c in signature.columns if given[c] is None and not signature.takes_null(c, fills)]
        if missing and self.action == FORBID:
            raise KernelRowError(
                f"kernel {signature.name!r} forbids nulls but {missing[0]!r} is None; give nulls={{{missing[0]!r}: "
                f"value}} or take {missing[0]}_valid"
            )
        if missing:
            return None
        return tuple(
            (fills.get(a, 0) if given[a] is None else given[a]) if a in given else given[validity_of(a)] is not None
            for a in signature.arguments
        )


def null_rule(nulls: Nulls, signature: Signature, where: str, *, default: str) -> NullRule:
    """Returns the rule that `nulls=` states; with fills, other columns follow the default of the kernel's kind.

    Raises
    ------
    PlanError
        If it names a column that the kernel does not read, or a value that is neither a number nor a text.
    """
    if not isinstance(nulls, dict):
        refuse_unknown({"nulls": (nulls, tuple(dict.fromkeys((default, FORBID))))})
        return NullRule(action=nulls)
    for name, value in nulls.items():
        if name not in signature.columns:
            raise PlanError(f"{where}: nulls= names {name!r}, which is none of {list(signature.columns)}")
        if not isinstance(value, (bool, int, float, str, bytes)):
            raise PlanError(f"{where}: nulls= gives {value!r} for {name!r}; a number or a text can stand in for null")
    return NullRule(
        action=default, fills=tuple((n, v) for n, v in nulls.items() if not isinstance(v, (str, bytes))),
        text_fills=tuple((n, text_bytes(v, f"{where}: nulls= gives")) for n, v in nulls.items()
                         if isinstance(v, (str, bytes))),
    )  # fmt: skip
