"""Driver sources for fold kernels: a loop over groups and, in it, one over a group's rows with the state in scalars."""

from __future__ import annotations

from checkrow.compile.driver import Driver
from checkrow.compile.groups import array_dtypes, over_groups, room_for, stored_value
from checkrow.compile.scalars import argument, scalar_type
from checkrow.compile.states import own_state
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec
from checkrow.kernels.fold import STEP


def fold_driver(call: KernelCall) -> Driver:
    """Returns the driver that goes through the rows of a range of groups.

    Its arguments are those of `over_groups`: the parameters of `step`, then the numbers every group's state begins
    with. `at` holds the row within the group too, and the detail of OUT_OF_RANGE and NOT_UTF8 is that row times the
    number of columns plus the column.
    """
    spec, step = call.kernel, call.method(STEP)
    states = [f"s{j}" for j in range(len(call.state))]
    values = dict(call.parameters)
    parameters = tuple((name, values[name]) for name in step.parameters)
    first = [f"q{len(parameters) + j}" for j in range(len(states))]
    given = ", ".join([own_state(call, states), *_row(call), *(f"q{j}" for j in range(len(parameters)))])
    body = [
        *room_for("b - a"),
        *(f"{s} = {q}" for s, q in zip(states, first, strict=True)),
        # Unsigned indices: signed ones cost a wrap-around test at every access.
        "for i in range(np.uint64(a), np.uint64(b)):",
        "    at[4] = np.int64(i) - a",
        f"    r, y = k0({given})",
        *(f"    {line}" for line in _taken(step, states, tupled=spec.shape == "tuple")),
        *(f"    {line}" for line in _outputs(spec)),
        "    group_of[n] = g",
        "    n += 1",
    ]
    numbered = tuple((f"state[{j}]", v) for j, v in enumerate(call.state))
    return over_groups(call, step, body, parameters=(*parameters, *numbered))


def _row(call: KernelCall) -> list[str]:
    """Returns the values of one row as `step` takes them."""
    return [_value(j, dtype) for j, dtype in enumerate(array_dtypes(call))]


def _value(number: int, dtype: str) -> str:
    if types.is_text(dtype):
        return f"text_between(x{number}, c{number}[i], e{number}[i])"
    return argument(f"c{number}[i]", dtype)


def _taken(step: KernelSpec, states: list[str], *, tupled: bool) -> list[str]:
    """Returns what takes the next state, each number in the kind that `init` gave it."""
    lines = []
    for j, name in enumerate(states):
        value, dtype = f"r[{j}]" if tupled else "r", step.returns[j].dtype
        lines.append(f"{name} = {value} != 0" if dtype == "bool" else f"{name} = {scalar_type(dtype)}({value})")
    return lines


def _outputs(spec: KernelSpec) -> list[str]:
    columns = len(spec.returns)
    lines: list[str] = []
    for j, field in enumerate(spec.returns):
        value = "y" if columns == 1 else f"y[{j}]"
        lines += stored_value(field, j, value, "n", f"at[4] * {columns} + {j}")
    return lines
