"""Typed expressions as statements of a generated loop body.

Every node becomes at most one variable (equal nodes share it). In the masked variant a value comes with the name of a
boolean that says whether it is valid; in the dense variant that name is always "True" and Numba removes the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from checkrow.compile.fusible import fusible, reads_text
from checkrow.compile.scalars import argument, argument_type, leaves, scalar_type, stored_fill, zero_of
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelSpec, Node
from checkrow_kernels.text import Text

Parameter = tuple[str, int | float | bool | Text]
"""What user code is given by value: its name, and a number, or a text that stands in for null."""
OUT_OF_RANGE = 3
NULL_FORBIDDEN = 4
NOT_UTF8 = 7
_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip
_CALENDAR = frozenset({"year", "month", "day", "truncate_month", "truncate_year"})


class Value(msgspec.Struct, frozen=True):
    """A variable of the loop body and the name of its validity."""

    name: str
    valid: str = "True"


class Body:
    """The loop body under construction."""

    def __init__(self, *, masked: bool, careful: bool = False) -> None:
        self.masked = masked
        self.careful = careful
        self.lines: list[str] = []
        self.inputs: dict[Node, int] = {}
        self.literals: list[Node] = []
        self.kernels: list[KernelSpec] = []
        self.calls: list[KernelSpec] = []
        self.parameters: list[Parameter] = []
        self.ranged: list[tuple[Node, int]] = []
        self.before_return = ""
        self.before_row: tuple[str, ...] = ()
        self._scopes: list[dict[Node, Value]] = [{}]
        self._depth = 2
        self._count = 0

    # -- statements ---------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Adds a statement at the current depth."""
        self.lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Opens an indented block; what is computed inside is not known outside."""
        self.line(head)
        self._depth += 1
        self._scopes.append({})
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self._scopes.pop()
        self._depth -= 1

    def stop(self, status: int, detail: int | str = 0) -> None:
        """Adds a return that leaves row `i` undone."""
        if self.before_return:
            self.line(self.before_return)
        self.line(f"return np.int64(i), {status}, {detail}")

    def calling(self, spec: KernelSpec) -> None:
        """Notes, before a call of the user's code, which call it is, so that what it raises can be told apart."""
        self.line(f"at[1] = {len(self.calls)}")
        self.calls.append(spec)

    def fresh(self) -> str:
        """Returns a new variable name."""
        self._count += 1
        return f"t{self._count}"

    # -- values -------------------------------------------------------------------------------------------------------

    def value(self, node: Node) -> Value:
        """Returns the variable that holds a node, computing it here if it is not known yet."""
        for scope in self._scopes:
            if node in scope:
                return scope[node]
        made = self._make(node)
        self._scopes[-1][node] = made
        return made

    def input(self, node: Node) -> Value:
        """Returns a value read from an input array."""
        index = self.inputs.setdefault(node, len(self.inputs))
        name = self.fresh()
        text = f"c{index}[i] != 0" if node.dtype == "bool" else f"c{index}[i]"
        self.line(f"{name} = " + (f"text_between(x{index}, c{index}[i], e{index}[i])" if reads_text(node) else text))
        if self.masked and node.nullable:
            self.line(f"{name}v = v{index}[i] != 0")
            return Value(name, f"{name}v")
        return Value(name)

    def _make(self, node: Node) -> Value:
        if node.op == "col" or not fusible(node):
            return self.input(node)
        if node.op == "lit":
            return self._literal(node)
        if node.op == "kernel":
            return self._kernel(node)
        if node.op == "case":
            return self._case(node)
        if node.op in {"and", "or", "is_null", "fill_null"}:
            return self._null_aware(node)
        args = [self.value(a) for a in node.args]
        text = self._strict(node, [a.name for a in args])
        name = self.fresh()
        self.line(f"{name} = {text}")
        return Value(name, self._all_valid(args))

    def allowed(self) -> str:
        """Returns a condition: whether the next call of user code is to be made, as it failed on this row before."""
        if not self.careful:
            return "True"
        name = self.fresh()
        self.line(f"{name} = b{len(self.calls)}[i] == 0")
        return name

    def both(self, first: str, second: str) -> str:
        """Returns the name of a condition that is true where two are."""
        if "True" in {first, second}:
            return second if first == "True" else first
        name = self.fresh()
        self.line(f"{name} = {first} and {second}")
        return name

    def _all_valid(self, args: list[Value]) -> str:
        names = list(dict.fromkeys(a.valid for a in args if a.valid != "True"))
        if len(names) <= 1:
            return names[0] if names else "True"
        name = self.fresh()
        self.line(f"{name} = {' and '.join(names)}")
        return name

    def _literal(self, node: Node) -> Value:
        if node.value is None:
            zero = self.fresh()
            self.line(f"{zero} = {scalar_type(node.dtype)}(0)")
            return Value(zero, "False" if self.masked else "True")
        self.literals.append(node)
        return Value(f"p{len(self.literals) - 1}")

    def _strict(self, node: Node, args: list[str]) -> str:
        """Returns the text of an operation whose result is null exactly when an argument is."""
        if node.op in _INFIX:
            text = f"{args[0]} {_INFIX[node.op]} {args[1]}"
            return f"np.int32({text})" if node.dtype == "date32[day]" else text
        if node.op in _CALENDAR:
            text = f"calendar_{node.op}(np.int64({args[0]}))"
            return f"{scalar_type(node.dtype)}({text})"
        if node.op == "coarse":
            return f"sketch_coarse(np.float64({args[0]}))"
        if node.op in {"sketch_register", "sketch_rank"}:
            kind = "float(np.float64" if types.is_float(node.args[0].dtype) else "int(np.int64"
            return f"{node.op}(sketch_hash_{kind}({args[0]})))"
        if node.op == "negate":
            return f"-{args[0]}"
        if node.op == "not":
            return f"not {args[0]}"
        return self._cast(node, args[0])

    def _cast(self, node: Node, arg: str) -> str:
        source, target = node.args[0].dtype, node.dtype
        kind = scalar_type(target)
        if source == "bool":
            return f"{kind}(1 if {arg} else 0)"
        if types.is_decimal(source) and target == "double":
            return f"np.float64({arg}) / {float(10 ** types.decimal_shape(source)[1])!r}"
        if types.is_decimal(target):
            shift = types.decimal_shape(target)[1] - types.decimal_shape(source)[1]
            return f"np.int64({arg}) * {10**shift}"
        if types.share_time(source, target):
            factor = types.time_factor(source, target) or 1
            return f"np.int64({arg}) * {factor}" if factor > 0 else f"{kind}({arg} // {-factor})"
        return f"{kind}({arg})"

    def _null_aware(self, node: Node) -> Value:
        args = [self.value(a) for a in node.args]
        if node.op == "is_null":
            name = self.fresh()
            self.line(f"{name} = not {args[0].valid}")
            return Value(name)
        a, b = args
        name = self.fresh()
        if node.op == "fill_null":
            kind = scalar_type(node.dtype)
            self.line(f"{name} = {kind}({a.name}) if {a.valid} else {kind}({b.name})")
            return Value(name, self._either(a, b))
        if a.valid == b.valid == "True":
            self.line(f"{name} = {a.name} {node.op} {b.name}")
            return Value(name)
        # Kleene: a known false decides `and`, a known true decides `or`, whatever the other side is.
        decides = ("not {0}", "not {1}") if node.op == "and" else ("{0}", "{1}")
        neutral = "not {}" if node.op == "and" else "{}"
        left = f"({a.name} or {neutral.format(a.valid)})" if node.op == "and" else f"({a.name} and {a.valid})"
        right = f"({b.name} or {neutral.format(b.valid)})" if node.op == "and" else f"({b.name} and {b.valid})"
        self.line(f"{name} = {left} {node.op} {right}")
        valid = self.fresh()
        first, second = (d.format(a.name, b.name) for d in decides)
        self.line(f"{valid} = ({a.valid} and {b.valid}) or ({a.valid} and {first}) or ({b.valid} and {second})")
        return Value(name, valid)

    def _either(self, a: Value, b: Value) -> str:
        if "True" in {a.valid, b.valid}:
            return "True"
        name = self.fresh()
        self.line(f"{name} = {a.valid} or {b.valid}")
        return name

    def _case(self, node: Node) -> Value:
        name, kind = self.fresh(), scalar_type(node.dtype)
        valid = f"{name}v" if self.masked else "True"
        self.line(f"{name} = {kind}(0)")
        if self.masked:
            self.line(f"{valid} = True")
        self._branches(node.args, name, kind)
        return Value(name, valid)

    def _branches(self, args: tuple[Node, ...], name: str, kind: str) -> None:
        if len(args) == 1:
            self._choose(args[0], name, kind)
            return
        test = self.value(args[0])
        with self.block(f"if {test.name} and {test.valid}:"):
            self._choose(args[1], name, kind)
        with self.block("else:"):
            self._branches(args[2:], name, kind)

    def _choose(self, node: Node, name: str, kind: str) -> None:
        chosen = self.value(node)
        self.line(f"{name} = {kind}({chosen.name})")
        if self.masked:
            self.line(f"{name}v = {chosen.valid}")

    # -- kernels ------------------------------------------------------------------------------------------------------

    def _kernel(self, node: Node) -> Value:
        """Calls a kernel once for all its outputs and picks one."""
        spec = node.kernel
        if spec is None:
            raise AssertionError("a kernel node without its kernel")
        result = self._call(node, spec)
        return Value(f"{result.name}_{int(node.value or 0)}", result.valid)

    def _call(self, node: Node, spec: KernelSpec) -> Value:
        """Returns the stem of the variables that hold a call's outputs, and its validity."""
        shared = Node("call", args=node.args, kernel=spec, parameters=node.parameters)
        for scope in self._scopes:
            if shared in scope:
                return scope[shared]
        text, valid = self.call_of(node, spec)
        made = Value(self.fresh(), valid)
        called = self.allowed()
        if made.valid != "True" and spec.nulls == "forbid":
            self.refuse_null(node, f"{called} and not {made.valid}")
            made = Value(made.name)
        made = Value(made.name, self.both(made.valid, called))
        if made.valid == "True":
            self._outputs(node, spec, made.name, text)
        else:
            with self.block(f"if {made.valid}:"):
                self._outputs(node, spec, made.name, text)
            with self.block("else:"):
                for j, field in enumerate(spec.returns):
                    self.line(f"{made.name}_{j} = {zero_of(field.dtype)}")
        self._scopes[-1][shared] = made
        return made

    def call_of(self, node: Node, spec: KernelSpec, out: str = "") -> tuple[str, str]:
        """Returns the text of a call of user code, and the name of whether no null keeps it from being made."""
        values = {c: (self.value(a), a.dtype) for c, a in zip(spec.columns, node.args, strict=True)}
        if spec not in self.kernels:
            self.kernels.append(spec)
        given = {c: self._given(spec, c, value, dtype) for c, (value, dtype) in values.items()}
        given |= {f"{c}_valid": value.valid for c, (value, _) in values.items()}
        names = [given.get(a, out) for a in spec.arguments or spec.columns]
        names += [self._parameter(p) for p in node.parameters]
        text = f"k{self.kernels.index(spec)}({', '.join(names)})"
        return text, self._all_valid([v for c, (v, _) in values.items() if not spec.takes_null(c)])

    def refuse_null(self, node: Node, condition: str) -> None:
        """Adds a stop where the kernel of a node meets a null that it forbids."""
        self.ranged.append((node, len(self.calls)))
        with self.block(f"if {condition}:"):
            self.stop(NULL_FORBIDDEN, len(self.ranged) - 1)

    def _given(self, spec: KernelSpec, column: str, value: Value, dtype: str) -> str:
        """Returns a column as a kernel takes it: where the kernel takes nulls, with what stands in for them."""
        text = argument(value.name, dtype)
        if value.valid == "True" or not spec.takes_null(column):
            return text
        other, name = self._fill(spec, column, dtype), self.fresh()
        self.line(f"{name} = {text} if {value.valid} else {other}")
        return name

    def _fill(self, spec: KernelSpec, column: str, dtype: str) -> str:
        """Returns what stands in for null in a column: a parameter, or what is nothing of its type."""
        if types.is_text(dtype):
            data = dict(spec.text_fills).get(column, b"")
            return self._parameter((column, Text(data))) if data else "EMPTY"
        fill = dict(spec.fills).get(column)
        return f"{argument_type(dtype)}({'0' if fill is None else self._parameter((column, stored_fill(fill)))})"

    def _parameter(self, parameter: Parameter) -> str:
        self.parameters.append(parameter)
        return f"q{len(self.parameters) - 1}"

    def _outputs(self, node: Node, spec: KernelSpec, stem: str, text: str) -> None:
        """Calls a kernel and converts its results at once: unified with a zero first, an integer may become a float."""
        self.calling(spec)
        self.line(f"{stem} = {text}")
        for j, field in enumerate(spec.returns):
            picked = stem if len(spec.returns) == 1 else f"{stem}[{j}]"
            if types.is_text(field.dtype):
                self.line(f"{stem}_{j} = returned_text({picked})")
                self.check_utf8(msgspec.structs.replace(node, value=j), f"{stem}_{j}", field.dtype)
                continue
            if types.may_leave(field.dtype):
                self.check_range(msgspec.structs.replace(node, value=j), picked, field.dtype)
            text = f"{picked} != 0" if field.dtype == "bool" else f"{scalar_type(field.dtype)}({picked})"
            self.line(f"{stem}_{j} = {text}")

    def check_utf8(self, node: Node, name: str, dtype: str) -> None:
        """Adds a stop where a text that the last call gave is no string."""
        if dtype == "binary":
            return
        self.ranged.append((node, len(self.calls) - 1))
        with self.block(f"if not is_utf8({name}):"):
            self.stop(NOT_UTF8, len(self.ranged) - 1)

    def check_range(self, node: Node, name: str, dtype: str) -> None:
        """Adds a stop where a whole number that the last call gave does not fit its type."""
        self.ranged.append((node, len(self.calls) - 1))
        with self.block(f"if {leaves(name, dtype)}:"):
            self.stop(OUT_OF_RANGE, len(self.ranged) - 1)
