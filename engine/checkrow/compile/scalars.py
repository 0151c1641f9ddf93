"""How values of column types stand in the text of a loop: their NumPy types, what user code takes, what fits."""

from __future__ import annotations

from checkrow.expressions import types

_NUMPY_NAMES = {"i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8", "u2": "uint16",
                "u4": "uint32", "u8": "uint64", "f4": "float32", "f8": "float64"}  # fmt: skip


def scalar_type(dtype: str) -> str:
    """Returns the NumPy scalar type a value of a column type has inside a driver."""
    return "np.bool_" if dtype == "bool" else f"np.{_NUMPY_NAMES[types.numpy_dtype(dtype).str[1:]]}"


def zero_of(dtype: str) -> str:
    """Returns what stands in for a value where there is none."""
    return "EMPTY" if types.is_text(dtype) else f"{scalar_type(dtype)}(0)"


def argument(name: str, dtype: str) -> str:
    """Returns a value as the user's code takes it: whole numbers as int64 (uint64 as it is), floats as float64."""
    if types.is_text(dtype):
        return name
    kind = argument_type(dtype)
    return name if kind == scalar_type(dtype) else f"{kind}({name})"


def argument_type(dtype: str) -> str:
    """Returns the NumPy scalar type of `argument`."""
    if dtype == "float":
        return "np.float64"
    narrow = types.is_integer(dtype) and dtype not in {"int64", "uint64"}
    return "np.int64" if narrow or dtype == "date32[day]" else scalar_type(dtype)


def stored_fill(fill: float | bool) -> float | bool:
    """Returns what stands in for null as it is passed: a whole number beyond int64 as the int64 of the same bits."""
    beyond = not isinstance(fill, float) and fill >= 1 << 63
    return fill - (1 << 64) if beyond else fill


def leaves(name: str, dtype: str) -> str:
    """Returns the condition that a whole number does not fit a type, whether it is signed or not."""
    low, high = types.integer_range(dtype)
    # Signed against unsigned, Numba compares as float64, which makes 2**63 equal to 2**63 - 1.
    return f"{name} < {low} or ({name} > 0 and np.uint64({name}) > np.uint64({high}))"
