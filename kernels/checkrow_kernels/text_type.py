"""Text in compiled kernels: an address and a length, so that no view allocates, copies or counts references.

Invariant: the bytes behind a view outlive it. They belong to arrays that the caller of a driver holds, or are constants
of the machine code; a view never leaves the driver, which copies its bytes out.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import NativeValue, box, intrinsic, models, register_model, typeof_impl, unbox

from checkrow_kernels.text import Text

_BYTES, _WORDS = types.CPointer(types.uint8), types.CPointer(types.int64)


class _TextType(types.Type):  # type: ignore[misc]  # Numba has no types
    """One text."""


class _TextsType(types.Type):  # type: ignore[misc]
    """The texts of a group, read-only."""


class _SlotsType(types.Type):  # type: ignore[misc]
    """Texts that a kernel writes: an address and a length each."""


text_type = _TextType("text")
texts_type = _TextsType("texts")
slots_type = _SlotsType("text slots")


def _model(fields: list[tuple[str, Any]]) -> Any:
    class Model(models.StructModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, fields)

    return Model


register_model(_TextType)(_model([("data", _BYTES), ("size", types.int64)]))
register_model(_TextsType)(_model([("starts", _WORDS), ("stops", _WORDS), ("data", _BYTES), ("size", types.int64)]))
register_model(_SlotsType)(_model([("addresses", _WORDS), ("lengths", _WORDS), ("size", types.int64)]))


# -- Python and machine code ------------------------------------------------------------------------------------------


@typeof_impl.register(Text)
def _typeof(_value: Text, _context: Any) -> Any:
    return text_type


@lower_constant(_TextType)
def _constant(context: Any, builder: Any, _kind: Any, value: Text) -> Any:
    made = cgutils.create_struct_proxy(text_type)(context, builder)
    # Numba keeps one constant per name and module; its own names come from a hash that two texts may share.
    name = hashlib.sha256(value.data).hexdigest()
    made.data = context.insert_const_bytes(builder.module, value.data, name=name)
    made.size = context.get_constant(types.int64, len(value.data))
    return made._getvalue()  # noqa: SLF001  # how Numba's extensions return structures


@unbox(_TextType)
def _unbox(_kind: Any, value: Any, c: Any) -> Any:
    # The caller's object keeps its bytes while the call lasts.
    held = c.pyapi.object_getattr_string(value, "data")
    made = cgutils.create_struct_proxy(text_type)(c.context, c.builder)
    made.data = c.pyapi.bytes_as_string(held)
    made.size = c.pyapi.long_as_longlong(c.pyapi.call_method(held, "__len__"))
    c.pyapi.decref(held)
    return NativeValue(made._getvalue())  # noqa: SLF001


@box(_TextType)
def _box(_kind: Any, value: Any, c: Any) -> Any:
    view = cgutils.create_struct_proxy(text_type)(c.context, c.builder, value=value)
    data = c.pyapi.bytes_from_string_and_size(view.data, view.size)
    factory = c.pyapi.unserialize(c.pyapi.serialize_object(Text))
    made = c.pyapi.call_function_objargs(factory, [data])
    c.pyapi.decref(data)
    c.pyapi.decref(factory)
    return made


# -- making and reading views -----------------------------------------------------------------------------------------


def _made(context: Any, builder: Any, kind: Any, **fields: Any) -> Any:
    out = cgutils.create_struct_proxy(kind)(context, builder)
    for name, value in fields.items():
        setattr(out, name, value)
    return out._getvalue()  # noqa: SLF001


def _fields(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return cgutils.create_struct_proxy(kind)(context, builder, value=value)


def text_pointer(context: Any, builder: Any, value: Any) -> Any:
    """Returns the address of a text's first byte, for intrinsics that load words."""
    return _fields(context, builder, text_type, value).data


def made_text(context: Any, builder: Any, data: Any, size: Any) -> Any:
    """Returns a text, for intrinsics that know its address."""
    return _made(context, builder, text_type, data=data, size=size)


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def view(_typing: Any, data: Any, _start: Any, _stop: Any) -> Any:
    """Returns `data[start:stop]` as a text; `data` is an array of bytes or a text, nothing is checked."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        whole = text_pointer(context, builder, args[0]) if kind == text_type else _data(context, builder, kind, args[0])
        return made_text(context, builder, builder.gep(whole, [args[1]]), builder.sub(args[2], args[1]))

    return text_type(data, types.int64, types.int64), build


@intrinsic
def size_of(_typing: Any, value: Any) -> Any:
    """Returns the number of bytes of a text, or of texts."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fields(context, builder, signature.args[0], args[0]).size

    return types.int64(value), build


@intrinsic
def texts_between(_typing: Any, starts: Any, stops: Any, data: Any, _first: Any, _last: Any) -> Any:
    """Returns the texts from one row to before another of a column, given where each starts and stops in `data`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        heads, tails, data = (_data(context, builder, k, a) for k, a in zip(signature.args[:3], args[:3], strict=True))
        size = builder.sub(args[4], args[3])
        heads, tails = builder.gep(heads, [args[3]]), builder.gep(tails, [args[3]])
        return _made(context, builder, texts_type, starts=heads, stops=tails, data=data, size=size)

    return texts_type(starts, stops, data, types.int64, types.int64), build


@intrinsic
def text_among(_typing: Any, texts: Any, _index: Any) -> Any:
    """Returns one of some texts; the index is not checked."""

    def build(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        column = _fields(context, builder, texts_type, args[0])
        start, stop = (builder.load(builder.gep(p, [args[1]])) for p in (column.starts, column.stops))
        size = builder.sub(stop, start)
        return made_text(context, builder, builder.gep(column.data, [start]), size)

    return text_type(texts, types.int64), build


@intrinsic
def slots_between(_typing: Any, addresses: Any, lengths: Any, _first: Any, _last: Any) -> Any:
    """Returns slots for texts in two int64 arrays that hold an address and a length per row."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = [_data(context, builder, k, a) for k, a in zip(signature.args[:2], args[:2], strict=True)]
        heads, lengths = (builder.gep(p, [args[2]]) for p in pair)
        size = builder.sub(args[3], args[2])
        return _made(context, builder, slots_type, addresses=heads, lengths=lengths, size=size)

    return slots_type(addresses, lengths, types.int64, types.int64), build


@intrinsic
def slot(_typing: Any, slots: Any, _index: Any) -> Any:
    """Returns the text in a slot; the index is not checked."""

    def build(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kept = _fields(context, builder, slots_type, args[0])
        address, size = (builder.load(builder.gep(p, [args[1]])) for p in (kept.addresses, kept.lengths))
        return made_text(context, builder, builder.inttoptr(address, context.get_value_type(_BYTES)), size)

    return text_type(slots, types.int64), build


@intrinsic
def set_slot(_typing: Any, slots: Any, _index: Any, value: Any) -> Any:
    """Keeps a text in a slot by its address; the index is not checked."""

    def build(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kept = _fields(context, builder, slots_type, args[0])
        text = _fields(context, builder, text_type, args[2])
        address = builder.ptrtoint(text.data, context.get_value_type(types.int64))
        builder.store(address, builder.gep(kept.addresses, [args[1]]))
        builder.store(text.size, builder.gep(kept.lengths, [args[1]]))
        return context.get_dummy_value()

    return (types.void(slots, types.int64, text_type), build) if value == text_type else None
