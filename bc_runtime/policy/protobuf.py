# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Walk the fields of a protobuf message in a file: no schema, no copies, no package.

Only what is needed to look into a file before it is trusted, and to append to it. Wire format:
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO, NamedTuple


class WireError(ValueError):
    """The bytes are no protobuf message, or the message ends too early."""


class Wire(IntEnum):
    """Wire types that proto3 still writes."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class Window:
    """Random access to the bytes of a file through one moving buffer.

    No memory map: a file that is cut short while it is read (somebody copies a new one over it)
    would kill the process with SIGBUS.
    """

    SIZE = 65536

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._buffer = b''

    def byte(self, at: int) -> int:
        """Return the byte at an offset."""
        index = at - self._start
        if not 0 <= index < len(self._buffer):
            self._file.seek(at)
            self._start, self._buffer, index = at, self._file.read(self.SIZE), 0
            if not self._buffer:
                raise WireError(f'the file ends at byte {at}')
        return self._buffer[index]

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets."""
        self._file.seek(start)
        return self._file.read(end - start)


class Field(NamedTuple):
    """One field: its number, wire type and where its payload lies (`value` for varints)."""

    number: int
    wire: Wire
    start: int
    end: int
    value: int


def read_fields(data: Window, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message in bytes `start` to `end`.

    Raises:
        WireError: names the offset and what is wrong there.
    """
    at = start
    while at < end:
        key, body = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError(f'field number 0 at byte {at}')
        value = 0
        if kind == Wire.VARINT:
            value, stop = _varint(data, body, end)
        elif kind == Wire.BYTES:
            size, body = _varint(data, body, end)
            stop = body + size
        elif kind == Wire.FIXED64:
            stop = body + 8
        elif kind == Wire.FIXED32:
            stop = body + 4
        else:
            raise WireError(f'wire type {kind} at byte {at}')
        if stop > end:
            raise WireError(
                f'field {number} at byte {at} needs {stop - body} bytes, {end - body} are left'
            )
        yield Field(number, Wire(kind), body, stop, value)
        at = stop


def write_bytes(number: int, payload: bytes) -> bytes:
    """Return one field of bytes, text or a nested message."""
    return _varint_bytes(number << 3 | Wire.BYTES) + _varint_bytes(len(payload)) + payload


def _varint_bytes(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _varint(data: Window, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise WireError(f'ends inside a number at byte {at}')
        byte = data.byte(at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError(f'number longer than 10 bytes before byte {at}')
