"""Encode messages as ZeroMQ frames, ``[b"LV01", header, buffer…]``, and decode them.

The header is a msgpack map: the message's own fields, its name ``t``, and the envelope (``id`` of
this message, ``re`` the id it answers, ``ep`` the server's epoch, ``v`` the minor version).
Incoming data passes a strict decoder first (plain types, text keys, no duplicate keys, bounded
lengths, depth and count, no trailing bytes), and is then converted to a typed message.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack
import msgspec

from .jobs import Problem
from .limits import MAX_BUFFER, MAX_BUFFERS, MAX_HEADER, MAX_ID, MINOR
from .messages import AnyMessage, Message

MAGIC = b"LV01"
T = TypeVar("T")
Bytes = bytes | bytearray | memoryview

_MAX_ITEMS = 1024  # of one array
_MAX_KEYS = 256  # of one map
_MAX_TEXT = 16 * 1024  # bytes of one string
_MAX_DEPTH = 16
_MAX_VALUES = 64 * 1024  # of one packed value, counted with all that it contains
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in Message.__subclasses__())


class BadMessage(ValueError):  # noqa: N818  (it is the message that is bad)
    """A message cannot be read. re: its id, if that was readable."""

    def __init__(self, code: str, text: str, re: str = "") -> None:
        super().__init__(text)
        self.problem = Problem(
            code=code, message=text, hint="Update the add-on and the backend to the same version."
        )
        self.re = re


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its envelope and its raw buffers."""

    message: AnyMessage
    id: str = ""
    re: str = ""
    ep: str = ""
    v: int = 0
    buffers: tuple[Bytes, ...] = ()


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    id: str = ""
    re: str = ""
    ep: str = ""
    v: int = 0


def new_id() -> str:
    """A new id for a message."""
    return uuid.uuid4().hex


class _Counter:
    """Builds the maps and arrays of one value, and stops when it becomes too expensive."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def _count(self, items: int) -> None:
        self._left -= items + 1
        if self._left < 0:
            raise ValueError(f"more than {_MAX_VALUES} values")

    def pairs(self, pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        self._count(len(pairs))
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key appears twice")
        if not all(isinstance(key, str) for key in result):
            raise ValueError("a key is not text")
        return result

    def items(self, items: list[Any]) -> list[Any]:
        self._count(len(items))
        return items


def _no_ext(code: int, _data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def _check(value: Any, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    if isinstance(value, dict):
        for item in value.values():
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise ValueError(f"a {type(value).__name__} is not allowed")


def unpack(data: Bytes) -> Any:
    """Decode msgpack strictly into None, bool, int, float, str, list and dict.

    Raises BadMessage for anything else; the module's docstring lists what is strict.
    """
    counter = _Counter()
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=counter.pairs,
            list_hook=counter.items,
            ext_hook=_no_ext,
            max_str_len=_MAX_TEXT,
            max_bin_len=0,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_KEYS,
            max_ext_len=0,
        )
        _check(value)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as why:
        text = str(why) or type(why).__name__
        raise BadMessage("bad_message", f"A message could not be decoded: {text}.") from why
    return value


def unpack_as(data: Bytes, kind: type[T] | Any) -> T:
    """Decode strictly into a typed value; the error names the path, like ``$.clip.frames[3]``."""
    try:
        value: T = msgspec.convert(unpack(data), kind)
    except msgspec.ValidationError as why:
        raise BadMessage("bad_message", f"A message has the wrong form: {why}.") from why
    return value


def pack(value: Any) -> bytes:
    """Encode a Struct, or a tuple of Structs, as plain msgpack."""
    return msgspec.msgpack.encode(value)


def encode(
    message: AnyMessage, *, id: str = "", re: str = "", ep: str = "", buffers: Sequence[Bytes] = ()
) -> list[Bytes]:
    """Encode a message as frames. Raises ValueError if it exceeds the limits of the wire."""
    header = msgspec.to_builtins(message)
    header["v"] = MINOR
    for key, text in (("id", id), ("re", re), ("ep", ep)):
        if text:
            header[key] = text
    packed = msgpack.packb(header)
    if len(packed) > MAX_HEADER:
        raise ValueError(f"the header of {header['t']} is {len(packed)} bytes")
    if len(buffers) > MAX_BUFFERS or any(len(one) > MAX_BUFFER for one in buffers):
        raise ValueError(f"the buffers of {header['t']} are too many or too large")
    return [MAGIC, packed, *buffers]


def decode(frames: Sequence[Bytes]) -> Packet:
    """Decode frames as a message. Raises BadMessage, ``unsupported`` if its name is unknown."""
    if len(frames) < 2 or bytes(frames[0][:16]) != MAGIC:
        raise BadMessage("bad_message", "This is not a message of protocol LV01.")
    header, buffers = frames[1], tuple(frames[2:])
    if len(header) > MAX_HEADER:
        raise BadMessage("bad_message", f"A header of {len(header)} bytes is too large.")
    if len(buffers) > MAX_BUFFERS:
        raise BadMessage("bad_message", f"A message with {len(buffers)} buffers has too many.")
    if any(len(one) > MAX_BUFFER for one in buffers):
        raise BadMessage("bad_message", "A buffer is too large.")
    fields = unpack(header)
    if not isinstance(fields, dict):
        raise BadMessage("bad_message", "A header is not a map.")
    try:
        envelope = msgspec.convert(fields, _Envelope)
    except msgspec.ValidationError as why:
        raise BadMessage("bad_message", f"A message has the wrong form: {why}.") from why
    if max(len(envelope.id), len(envelope.re)) > MAX_ID:
        raise BadMessage("bad_message", f"A message's id is longer than {MAX_ID} characters.")
    name = fields.get("t")
    if isinstance(name, str) and name not in _KNOWN:
        text = f"The message {name[:40]!r} is unknown here."
        raise BadMessage("unsupported", text, envelope.id)
    try:
        message: AnyMessage = msgspec.convert(fields, AnyMessage)
    except msgspec.ValidationError as why:
        text = f"A message has the wrong form: {why}."
        raise BadMessage("bad_message", text, envelope.id) from why
    return Packet(
        message=message,
        id=envelope.id,
        re=envelope.re,
        ep=envelope.ep,
        v=envelope.v,
        buffers=buffers,
    )
