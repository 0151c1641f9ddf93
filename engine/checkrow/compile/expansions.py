"""Driver sources for kernels that make rows: one loop over rows, each with room in the outputs for all it may give.

The contract is that of all drivers. The loop stops with FULL before a row for which there may not be room, or whose
texts did not fit; the caller empties the outputs and calls again, with more room for bytes where they were empty.
"""

from __future__ import annotations

import ast

import msgspec

from checkrow.compile.driver import FULL, Driver, assembled
from checkrow.compile.emit import Body
from checkrow.compile.groups import WRONG_ROWS, arrays_of, written_to
from checkrow.compile.scalars import scalar_type
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec, Node
from checkrow.kernels.signature import OUT


def expand_driver(call: KernelCall, *, masked: bool) -> Driver:
    """Returns the driver that calls a kernel for a range of rows.

    Its last arguments are: `limit` (how many rows long `out` is), `most` (rows a row may give), `capacity` of the
    outputs, `state` (one int64: rows written), `rows` (int64: which row each row written came of), the outputs (of
    texts those of `over_groups`).

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
            output = msgspec.structs.replace(node, value=j)
            if types.is_text(field.dtype):
                _emit_text(body, output, field.dtype)
            elif types.may_leave(field.dtype):
                body.check_range(output, f"o{j}[j]", field.dtype)
        body.line("rows[j] = i")
    body.line("n += r")
    outputs = [name for j, f in enumerate(spec.returns) for name in arrays_of(f, j)]
    fields = ", ".join(repr(f.name) for f in spec.returns)
    return assembled(
        body, ["limit", "most", "capacity", "state", "rows", *outputs], ["state[0] = n", "return stop, 0, 0"],
        ["n = state[0]"],
        head=[f"# outputs: {' '.join(f.dtype for f in spec.returns)}", f"Out = namedtuple('Out', [{fields}])", "", ""],
    )  # fmt: skip


def _emit_call(body: Body, node: Node, spec: KernelSpec) -> None:
    """Adds a call that leaves in `r` how many rows it wrote from `n` on; a row with nulls may be passed over."""
    text, valid = body.call_of(node, spec, "w")
    if valid != "True" and spec.nulls == "forbid":
        body.refuse_null(node, f"not {valid}")
    elif valid != "True":
        with body.block(f"if not {valid}:"):
            body.line("continue")
    # All of the room: what an earlier row wrote and did not count must not be seen by this one.
    with body.block("for j in range(n, n + limit):"):
        for j, field in enumerate(spec.returns):
            if types.is_text(field.dtype):
                body.line(f"y{j}[j] = 0")
                body.line(f"l{j}[j] = 0")
            else:
                body.line(f"o{j}[j] = {scalar_type(field.dtype)}(0)")
    body.line(written_to(spec, "n + limit"))
    body.calling(spec)
    body.line(f"r = np.int64({text})")
    with body.block("if r < 0 or r > most:"):
        body.stop(WRONG_ROWS, "r")


def _emit_text(body: Body, node: Node, dtype: str) -> None:
    """Copies a text of row `j` out; a row that stops here is done again as a whole."""
    number = int(node.value or 0)
    body.line(f"text = w[{number}][j - n]")
    body.check_utf8(node, "text", dtype)
    body.line(f"end = put_text(text, room_of(z{number}), o{number}[j])")
    with body.block("if end < 0:"):
        body.stop(FULL, number)
    body.line(f"o{number}[j + 1] = end")


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
