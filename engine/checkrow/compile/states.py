"""Updates of group states as statements of a loop body.

A built-in state is updated in place. An aggregator's state is read from its arrays as the number or tuple its methods
take, and written back: always through `own_state` and `store`, so that all loops agree on how a state stands in arrays.
"""

from __future__ import annotations

from checkrow.compile.emit import Body
from checkrow.compile.fusible import fusible
from checkrow.compile.scalars import argument, scalar_type
from checkrow.expressions.nodes import KernelCall, state_type
from checkrow.plan.aggregates import CHOSEN, State


def emit_states(body: Body, states: tuple[State, ...], unsplit: frozenset[int]) -> list[str]:
    """Emits the updates and returns the names of the state arrays."""
    body.line("kept += 1")
    body.line("h = np.uint64(g)")
    arrays = [[f"s{number}_{j}" for j in range(len(state.arrays))] for number, state in enumerate(states)]
    emit_own_updates(body, [(s, a) for s, a in zip(states, arrays, strict=True) if s.call is not None])
    for number, state in enumerate(states):
        if state.call is None:
            _emit_update(body, state, arrays[number], split=number not in unsplit)
    return [name for names in arrays for name in names]


def _emit_update(body: Body, state: State, arrays: list[str], *, split: bool) -> None:
    if state.arg is None:
        body.line(f"{arrays[0]}[h] += 1")
        return
    value = body.value(state.arg)
    if value.valid == "True":
        _emit_valid_update(body, state, value.name, arrays, split=split)
        return
    with body.block(f"if {value.valid}:"):
        _emit_valid_update(body, state, value.name, arrays, split=split)


def _emit_valid_update(body: Body, state: State, x: str, arrays: list[str], *, split: bool) -> None:
    first = arrays[0]
    match state.kind:
        case "valid":
            body.line(f"{first}[h] += 1")
        case "sum_int":
            wide = body.fresh()
            text = f"(1 if {x} else 0)" if state.arg is not None and state.arg.dtype == "bool" else x
            body.line(f"{wide} = np.int64({text})")
            if not split:
                body.line(f"{first}[h] += {wide}")
                return
            body.line(f"{first}[h] += {wide} & 0xFFFFFFFF")
            body.line(f"{arrays[1]}[h] += {wide} >> 32")
        case "sum_float":
            body.line(f"{first}[h] += {x}")
        case "moments":
            mean, square = arrays[1:]
            value, distance = body.fresh(), body.fresh()
            body.line(f"{value} = np.float64({x})")
            body.line(f"{first}[h] += 1.0")
            body.line(f"{distance} = {value} - {mean}[h]")
            body.line(f"{mean}[h] += {distance} / {first}[h]")
            body.line(f"{square}[h] += {distance} * ({value} - {mean}[h])")
        case "min":
            with body.block(f"if {x} < {first}[h] or {first}[h] != {first}[h]:"):
                body.line(f"{first}[h] = {x}")
        case "max":
            with body.block(f"if {x} > {first}[h] or {x} != {x}:"):
                body.line(f"{first}[h] = {x}")
        case other:
            raise AssertionError(f"no fused update for {other}")


def fusible_state(state: State) -> bool:
    """Tells whether a driver can keep a state: 128-bit sums and chosen rows are kept by the vectorised tier."""
    return state.kind not in {"sum_wide", *CHOSEN} and all(fusible(a) for a in state.arguments)


def emit_own_updates(body: Body, states: list[tuple[State, list[str]]]) -> None:
    """Adds row `i` to the states of group `h` of all aggregators, each unless an argument is null.

    Nothing is stored before all of them have returned: a row on which one raises is in none.
    """
    stores: list[str] = []
    for state, arrays in states:
        stores += _emit_own_update(body, state, [f"{a}[h]" for a in arrays])
    for text in stores:
        body.line(text)


def _emit_own_update(body: Body, state: State, places: list[str]) -> list[str]:
    """Computes an aggregator's next state into variables; returns the statements that store it."""
    call = _call_of(state)
    values = [body.value(a) for a in call.args]
    describe(body, call)
    condition = body.allowed()
    for valid in dict.fromkeys(v.valid for v in values):
        condition = body.both(condition, valid)
    stem = body.fresh()
    fresh = [f"{stem}_{j}" for j in range(len(call.state))]
    with body.block(f"if {condition}:"):
        taken = (argument(v.name, a.dtype) for v, a in zip(values, call.args, strict=True))
        text = method_text(body, call, "update", [own_state(call, places), *taken])
        body.calling(call.method("update"))
        body.line(f"{stem} = {text}")
        store(body, call, stem, fresh)
    if condition != "True":
        with body.block("else:"):
            for name, place in zip(fresh, places, strict=False):
                body.line(f"{name} = {place}")
    stores = [f"{place} = {name}" for name, place in zip(fresh, places, strict=False)]
    if state.counted:
        stores.append(f"{places[-1]} += 1 if {condition} else 0")
    return stores


def describe(body: Body, call: KernelCall) -> None:
    """Adds a comment with the types of a state, which makes them part of the driver's identity."""
    body.line(f"# state: {' '.join(state_type(v) for v in call.state)}")


def method_text(body: Body, call: KernelCall, method: str, given: list[str]) -> str:
    """Returns the call of an aggregator's method, its parameters after the arguments given."""
    spec = call.method(method)
    if spec not in body.kernels:
        body.kernels.append(spec)
    values = dict(call.parameters)
    names = list(given)
    for parameter in spec.parameters:
        names.append(f"q{len(body.parameters)}")
        body.parameters.append((parameter, values[parameter]))
    return f"k{body.kernels.index(spec)}({', '.join(names)})"


def own_state(call: KernelCall, places: list[str]) -> str:
    """Returns a state in the form methods take, read from one place per number."""
    read = [f"{p} != 0" if isinstance(x, bool) else p for x, p in zip(call.state, places, strict=False)]
    return f"({', '.join(read)},)" if call.kernel.shape == "tuple" else read[0]


def store(body: Body, call: KernelCall, name: str, places: list[str]) -> None:
    """Writes a state a method returned to one place per number."""
    for j, (field, place) in enumerate(zip(call.method("update").returns, places, strict=False)):
        value = f"{name}[{j}]" if call.kernel.shape == "tuple" else name
        body.line(
            f"{place} = np.uint8(1 if {value} else 0)"
            if field.dtype == "bool"
            else f"{place} = {scalar_type(field.dtype)}({value})"
        )


def _call_of(state: State) -> KernelCall:
    if state.call is None:
        raise AssertionError("a state of kind 'own' without its call")
    return state.call
