"""Driver sources: one fused loop per pipeline, in two shapes.

An *aggregate driver* filters, computes and updates group states; a *row driver* filters, computes and writes columns.
Both have the contract of the design: flat arrays in, `(next row, status, detail)` out, no allocation, no name, literal
or parameter of the user's in the text, so that tomorrow's window runs on today's machine code.
"""

from __future__ import annotations

import hashlib

import msgspec

from checkrow.compile.emit import Body, Parameter
from checkrow.compile.fusible import codes_of, reads_text
from checkrow.compile.scalars import scalar_type
from checkrow.compile.states import emit_states
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelSpec, Node, walk
from checkrow.plan.aggregates import State

DONE, FULL, KEY_RANGE = 0, 1, 2


class KeyField(msgspec.Struct, frozen=True, kw_only=True):
    """Where a key's bits stand: which key, whether its null flag, which word."""

    key: int
    null_flag: bool
    word: int


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """A generated loop and how to call it.

    Arguments: first and last row; `at`, five int64 where a driver with user code notes the row and the call (one of
    `calls`) it is at, the rows it kept so far, the groups before this row and, over groups, the row within the group;
    the arrays of `inputs` (values, or of text where each starts, where it stops, and the bytes; then validity in the
    masked variant); `literals` and `parameters` as scalars; in a careful driver, per call, a flag by row that forbids
    it; then what each kind of driver says. `checked` are the nodes a status detail points to, with the number of their
    call.
    `digest` is the identity of the machine code: text, types of all arguments, and kernels.
    """

    source: str
    masked: bool
    inputs: tuple[Node, ...]
    literals: tuple[Node, ...]
    parameters: tuple[Parameter, ...]
    kernels: tuple[KernelSpec, ...]
    calls: tuple[KernelSpec, ...]
    checked: tuple[tuple[Node, int], ...]
    digest: str


def needs_mask(nodes: tuple[Node, ...]) -> bool:
    """Tells whether nodes can make a null out of no null: a conditional without `otherwise`."""
    return any(n.op == "lit" and n.value is None for node in nodes for n in walk(node))


def aggregate_driver(
    predicates: tuple[Node, ...],
    keys: tuple[Node, ...],
    states: tuple[State, ...],
    fields: tuple[KeyField, ...],
    words: int,
    *,
    masked: bool,
    direct: bool,
    unsplit: frozenset[int] = frozenset(),
    careful: bool = False,
) -> Driver:
    """Returns the driver that updates group states.

    Parameters
    ----------
    predicates, keys, states
        Typed expressions over the stage's columns; keys of text type arrive as codes.
    fields : tuple of KeyField
        How keys are packed into `words` 64-bit words.
    masked : bool
        Whether validity arrays are passed.
    direct : bool
        Whether the one key word addresses the group table directly.
    unsplit : frozenset of int
        Exact sums whose values are so small that their low half alone holds them for a while.
    careful : bool
        Whether flags say which calls of user code to leave out.
    """
    body = Body(masked=masked, careful=careful)
    body.before_return = "groups[1] += kept"
    body.before_row = ("at[2] = kept", "at[3] = groups[0]")
    _emit_filters(body, predicates)
    _emit_words(body, keys, fields, words)
    # Arguments are computed before the group is looked up, so that a row that stops the loop has changed nothing.
    for state in states:
        for arg in state.arguments:
            body.value(arg)
    _emit_lookup(body, words, direct=direct)
    arrays = emit_states(body, states, unsplit)
    tail = ["base", "limit", "shift", "slots", "groups", "capacity", *(f"w_{j}" for j in range(words)), *arrays]
    return assembled(body, tail, ["groups[1] += kept", "return stop, 0, 0"], ["kept = 0"])


def row_driver(
    predicates: tuple[Node, ...], outputs: tuple[Node, ...], *, masked: bool, careful: bool = False
) -> Driver:
    """Returns the driver that writes the row numbers that pass and the columns computed for them.

    Every output has an array, text has offsets and bytes; in the masked variant a validity array follows. Where the
    bytes of a text do not fit, the driver stops with FULL before its row; the detail is the number of the output.
    """
    body = Body(masked=masked, careful=careful)
    _emit_filters(body, predicates)
    tail = ["rows", "written"]
    body.line("n = np.uint64(written[0])")
    values = [body.value(o) for o in outputs]
    for j, (node, value) in enumerate(zip(outputs, values, strict=True)):
        tail.append(f"o{j}")
        if types.is_text(node.dtype):
            _emit_text(body, j, value.name)
            tail.append(f"z{j}")
        else:
            body.line(f"o{j}[n] = " + (f"1 if {value.name} else 0" if node.dtype == "bool" else value.name))
        if masked:
            body.line(f"m{j}[n] = 1 if {value.valid} else 0")
            tail.append(f"m{j}")
    body.line("rows[n] = i")
    body.line("written[0] += 1")
    return assembled(body, tail, ["return stop, 0, 0"])


def _emit_text(body: Body, number: int, name: str) -> None:
    """Copies a text out; a row that stops here is done again as a whole, so nothing written before has to be undone."""
    body.line(f"stop{number} = put_text({name}, room_of(z{number}), o{number}[n])")
    with body.block(f"if stop{number} < 0:"):
        body.stop(FULL, number)
    body.line(f"o{number}[n + np.uint64(1)] = stop{number}")


def _emit_filters(body: Body, predicates: tuple[Node, ...]) -> None:
    for predicate in predicates:
        test = body.value(predicate)
        passed = test.name if test.valid == "True" else f"{test.name} and {test.valid}"
        with body.block(f"if not ({passed}):"):
            body.line("continue")


def _emit_words(body: Body, keys: tuple[Node, ...], fields: tuple[KeyField, ...], words: int) -> None:
    for j in range(words):
        body.line(f"w{j} = np.uint64(0)")
    for number, field in enumerate(fields):
        node = keys[field.key]
        value = body.value(node) if not types.is_text(node.dtype) else body.input(codes_of(node))
        if field.null_flag:
            if value.valid != "True":
                body.line(f"w{field.word} |= np.uint64(0 if {value.valid} else 1) << shift[{number}]")
            continue
        bits = f"u{number}"
        body.line(f"{bits} = {_key_bits(node, value.name)} - base[{number}]")
        if value.valid != "True":
            with body.block(f"if not {value.valid}:"):
                body.line(f"{bits} = np.uint64(0)")
        with body.block(f"if {bits} > limit[{number}]:"):
            body.stop(KEY_RANGE, field.key)
        body.line(f"w{field.word} |= {bits} << shift[{number}]")


def _key_bits(node: Node, name: str) -> str:
    """Returns a key's value as 64 bits; equal keys have equal bits (one zero, one NaN)."""
    if types.is_float(node.dtype):
        return f"float_bits(np.float64({name}))"
    if node.dtype == "bool":
        return f"np.uint64(1 if {name} else 0)"
    return f"np.uint64(np.int64({name}))"


def _emit_lookup(body: Body, words: int, *, direct: bool) -> None:
    if direct:
        body.line("g = slots[w0]")
        with body.block("if g < 0:"):
            with body.block("if groups[0] >= capacity:"):
                body.stop(FULL)
            body.line("g = np.int32(groups[0])")
            body.line("slots[w0] = g")
            body.line("w_0[g] = np.int64(w0)")
            body.line("groups[0] += 1")
        return
    given = ", ".join(f"np.int64(w{j})" for j in range(words))
    tables = ", ".join(f"w_{j}" for j in range(words))
    body.line(f"g = find_or_insert_{words}({given}, slots, {tables}, groups, capacity)")
    with body.block("if g < 0:"):
        body.stop(FULL)


def assembled(
    body: Body, tail: list[str], end: list[str], begin: list[str] | None = None, head: list[str] | None = None
) -> Driver:
    """Returns the driver that runs a body for rows `start` to `stop`; `tail` are its last arguments.

    `begin` and `end` stand before and after the loop, `head` before the function.
    """
    heads = ["start", "stop", "at"]
    for j, node in enumerate(body.inputs):
        heads.append(f"c{j}")
        if reads_text(node):
            heads += [f"e{j}", f"x{j}"]
        if body.masked and node.nullable:
            heads.append(f"v{j}")
    heads += [f"p{j}" for j in range(len(body.literals))]
    heads += [f"q{j}" for j in range(len(body.parameters))]
    heads += [f"b{j}" for j in range(len(body.calls))] if body.careful else []
    kinds = " ".join(f"{n.dtype}{'?' if n.nullable else ''}" for n in body.inputs)
    lines = [
        f"# inputs: {kinds}",
        *(head or []),
        "@jit",
        f"def drive({', '.join([*heads, *tail])}):",
        *(f"    {b}" for b in begin or []),
        # Unsigned indices: signed ones cost a wrap-around test at every access.
        "    for i in range(np.uint64(start), np.uint64(stop)):",
        *(f"        {b}" for b in ("at[0] = i", *body.before_row) if body.calls),
        *(line for line in body.lines if len(body.calls) > 1 or line.strip() != "at[1] = 0"),
        *(f"    {e}" for e in end),
    ]
    source = "\n".join(lines) + "\n"
    dtypes = [n.dtype for n in (*body.inputs, *body.literals)]
    named = [(k.fingerprint, k.function) for k in body.kernels]
    values = [type(v).__name__ for _, v in body.parameters]
    return Driver(
        source=source,
        digest=hashlib.sha256(repr((source, dtypes, named, values)).encode()).hexdigest()[:24],
        masked=body.masked,
        inputs=tuple(body.inputs),
        literals=tuple(body.literals),
        parameters=tuple(body.parameters),
        kernels=tuple(body.kernels),
        calls=tuple(body.calls),
        checked=tuple(body.ranged),
    )


def literal_argument(node: Node) -> str:
    """Returns the NumPy scalar type a literal is passed as."""
    return scalar_type(node.dtype).removeprefix("np.")
