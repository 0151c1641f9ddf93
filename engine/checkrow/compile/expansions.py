"""Driver sources for kernels that make rows: one loop over rows, each with room in the outputs for all it may give.

The contract is that of all drivers. The loop stops with FULL before a row for which there may not be room; the caller
empties the outputs and calls again.
"""

from __future__ import annotations

import ast

import msgspec

from checkrow.compile.driver import FULL, Driver, assembled
from checkrow.compile.emit import Body, scalar_type
from checkrow.compile.groups import WRONG_ROWS
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec, Node
from checkrow.kernels.signature import OUT


def expand_driver(call: KernelCall, *, masked: bool) -> Driver:
    """Returns the driver that calls a kernel for a range of rows.

    Its last arguments are: `limit` (how many rows long `out` is), `most` (rows a row may give), `capacity` of the
    outputs, `state` (one int64: rows written), `rows` (int64: which row each row written came of), the outputs.

    Parameters
    ----------
    call : KernelCall
        Its arguments are columns.
    masked : bool
        Whether validity arrays are passed.
    """
    spec = call.kernel
    body = Body(masked=masked)
    body.before_return = "state[0] = n"
    body.before_row = ("at[2] = n",)
    with body.block("if n + limit > capacity:"):
        body.stop(FULL)
    node = Node("kernel", args=call.args, value=0, kernel=spec, parameters=call.parameters)
    _emit_call(body, node, spec)
    with body.block("for j in range(n, n + r):"):
        for j, field in enumerate(spec.returns):
            if types.may_leave(field.dtype):
                body.check_range(msgspec.structs.replace(node, value=j), f"o{j}[j]", field.dtype)
        body.line("rows[j] = i")
    body.line("n += r")
    outputs = [f"o{j}" for j in range(len(spec.returns))]
    fields = ", ".join(repr(f.name) for f in spec.returns)
    return assembled(
        body, ["limit", "most", "capacity", "state", "rows", *outputs], ["state[0] = n", "return stop, 0, 0"],
        ["n = state[0]"],
        head=[f"# outputs: {' '.join(f.dtype for f in spec.returns)}", f"Out = namedtuple('Out', [{fields}])", "", ""],
    )  # fmt: skip


def _emit_call(body: Body, node: Node, spec: KernelSpec) -> None:
    """Adds a call that leaves in `r` how many rows it wrote from `n` on; a row with nulls may be passed over."""
    count = len(spec.returns)
    text, valid = body.call_of(node, spec, f"Out({', '.join(f'o{j}[n:n + limit]' for j in range(count))})")
    if valid != "True" and spec.nulls == "forbid":
        body.refuse_null(node, f"not {valid}")
    elif valid != "True":
        with body.block(f"if not {valid}:"):
            body.line("continue")
    # All of the room: what an earlier row wrote and did not count must not be seen by this one.
    with body.block("for j in range(n, n + limit):"):
        for j, field in enumerate(spec.returns):
            body.line(f"o{j}[j] = {scalar_type(field.dtype)}(0)")
    body.calling(spec)
    body.line(f"r = np.int64({text})")
    with body.block("if r < 0 or r > most:"):
        body.stop(WRONG_ROWS, "r")


def room_is_unseen(spec: KernelSpec) -> bool:
    """Tells whether a kernel cannot know how long `out` is, until it fails for want of room.

    So it is when all it does with `out` is to index its columns, checked, with no index that is said to be negative,
    and when it does not catch what is raised.
    """
    nodes = list(ast.walk(ast.parse(spec.block.text)))
    indexed = [
        n.value.value for n in nodes
        if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Attribute) and _is_plain(n.slice)
    ]  # fmt: skip
    uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == OUT]
    return spec.checked and all(n in indexed for n in uses) and not any(isinstance(n, ast.Try) for n in nodes)


def _is_plain(index: ast.expr) -> bool:
    return not any(isinstance(n, (ast.Slice, ast.Tuple, ast.USub)) for n in ast.walk(index))
