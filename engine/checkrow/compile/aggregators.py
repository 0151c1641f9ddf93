"""Driver sources for aggregators outside the fused loop: rows that come with group numbers, partial states, results.

They read and write states through the text the fused loop uses, so a batch may go either way.
"""

from __future__ import annotations

from itertools import count

from checkrow.compile.driver import Driver, assembled
from checkrow.compile.emit import OUT_OF_RANGE, Body
from checkrow.compile.scalars import leaves, scalar_type
from checkrow.compile.states import describe, emit_own_updates, method_text, own_state, store
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, Node
from checkrow.plan.aggregates import State

_END = ["return stop, 0, 0"]


def update_driver(states: tuple[State, ...], *, masked: bool, careful: bool = False) -> Driver:
    """Returns the driver that adds rows to the states of several aggregators.

    Its arguments: the columns of all their arguments, parameters, `gids`, the arrays of all states.
    """
    body, numbers, updates = Body(masked=masked, careful=careful), count(), []
    body.line("h = np.uint64(gids[i])")
    for place, state in enumerate(states):
        call = state.call
        if call is None:
            raise AssertionError("only aggregators are updated here")
        args = tuple(Node("col", name=f"a{next(numbers)}", dtype=a.dtype, nullable=a.nullable) for a in call.args)
        over = State("own", call=_over(call, args), counted=state.counted)
        updates.append((over, [f"s{place}_{j}" for j in range(len(state.arrays))]))
    emit_own_updates(body, updates)
    return assembled(body, ["gids", *(name for _, names in updates for name in names)], _END)


def merge_driver(call: KernelCall, *, counted: bool) -> Driver:
    """Returns the driver that merges partial states: parameters, `gids`, `known`, their arrays, the state arrays.

    Groups from `known` on are new and numbered by first appearance; their first state is taken as it is.
    """
    body, names = Body(masked=False), _names(call, counted=counted)
    others = [f"o{j}" for j in range(len(names))]
    describe(body, call)
    body.line("h = np.uint64(gids[i])")
    with body.block("if gids[i] == known:"):
        body.line("known += 1")
        for name, other in zip(names, others, strict=True):
            body.line(f"{name}[h] = {other}[i]")
        body.line("continue")
    given = [own_state(call, [f"{n}[h]" for n in names]), own_state(call, [f"{o}[i]" for o in others])]
    text = method_text(body, call, "merge", given)
    body.calling(call.method("merge"))
    body.line(f"r = {text}")
    store(body, call, "r", [f"{n}[h]" for n in names])
    if counted:
        body.line(f"{names[-1]}[h] += {others[-1]}[i]")
    return assembled(body, ["gids", "known", *others, *names], _END)


def finish_driver(call: KernelCall, *, counted: bool) -> Driver:
    """Returns the driver that reads results: parameters, state arrays, `out`. Groups without rows are left alone."""
    body, names, field = Body(masked=False), _names(call, counted=counted), call.kernel.returns[0]
    describe(body, call)
    if counted:
        with body.block(f"if {names[-1]}[i] == 0:"):
            body.line("continue")
    text = method_text(body, call, "finish", [own_state(call, [f"{n}[i]" for n in names])])
    body.calling(call.method("finish"))
    body.line(f"r = {text}")
    if field.dtype == "bool":
        body.line("out[i] = 1 if r else 0")
    else:
        if types.may_leave(field.dtype):
            with body.block(f"if {leaves('r', field.dtype)}:"):
                body.stop(OUT_OF_RANGE)
        body.line(f"out[i] = {scalar_type(field.dtype)}(r)")
    return assembled(body, [*names, "out"], _END)


def _over(call: KernelCall, args: tuple[Node, ...]) -> KernelCall:
    return KernelCall(kernel=call.kernel, args=args, parameters=call.parameters, state=call.state)


def _names(call: KernelCall, *, counted: bool) -> list[str]:
    return [f"s{j}" for j in range(len(call.state) + (1 if counted else 0))]
