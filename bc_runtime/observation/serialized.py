# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read serialized image messages in place, without ROS and without copying a pixel.

rclpy (`raw=True`) and MCAP files both give the CDR bytes of a message; finding the pixels in them
costs microseconds, where deserialising copies the whole message. The layout is XCDR version 1
(OMG DDSI-RTPS 2.2 §10; alignment counts from the end of the 4-byte encapsulation header), with
the members of `sensor_msgs/msg/Image` and `sensor_msgs/msg/CompressedImage`.
"""

from __future__ import annotations

import struct

from bc_runtime.observation.errors import ImageError
from bc_runtime.observation.image_types import Buffer, CompressedImage, RawImage

_ENCAPSULATION = {b'\x00\x00': '>', b'\x00\x01': '<'}


def read_image(data: Buffer) -> tuple[int, RawImage]:
    """Return the stamp [ns] and the picture of a serialized `sensor_msgs/msg/Image`.

    The picture is a view of `data`, which must not be changed afterwards.

    Raises:
        ImageError: the bytes are not such a message.
    """
    cursor = _Cursor(data, 'sensor_msgs/msg/Image')
    stamp_ns = cursor.header()
    height, width = cursor.uint32(), cursor.uint32()
    encoding = cursor.text()
    is_bigendian = cursor.byte() != 0
    step = cursor.uint32()
    image = RawImage(
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=is_bigendian,
        data=cursor.byte_sequence(),
    )
    return stamp_ns, image


def read_compressed_image(data: Buffer) -> tuple[int, CompressedImage]:
    """Return the stamp [ns] and the picture of a serialized `sensor_msgs/msg/CompressedImage`.

    Raises:
        ImageError: the bytes are not such a message.
    """
    cursor = _Cursor(data, 'sensor_msgs/msg/CompressedImage')
    stamp_ns = cursor.header()
    return stamp_ns, CompressedImage(format=cursor.text(), data=cursor.byte_sequence())


class _Cursor:
    """Reads CDR values one after another."""

    def __init__(self, data: Buffer, kind: str) -> None:
        self._view = memoryview(data).cast('B')
        self._kind = kind
        order = _ENCAPSULATION.get(bytes(self._view[:2]))
        if order is None or len(self._view) < 4:
            raise ImageError(
                f'expected a CDR message {kind} (first bytes 00 00 or 00 01), '
                f'got {bytes(self._view[:4]).hex(" ") or "nothing"}'
            )
        self._uint32 = struct.Struct(order + 'I')
        self._at = 4

    def header(self) -> int:
        """Read a std_msgs/Header and return its stamp [ns]."""
        seconds, nanoseconds = self.uint32(), self.uint32()
        self.text()
        if seconds >= 1 << 31:  # builtin_interfaces/Time.sec is signed
            seconds -= 1 << 32
        return seconds * 1_000_000_000 + nanoseconds

    def uint32(self) -> int:
        at = self._at + (-self._at) % 4  # the encapsulation header has 4 bytes: same alignment
        self._need(at + 4)
        self._at = at + 4
        return int(self._uint32.unpack_from(self._view, at)[0])

    def byte(self) -> int:
        self._need(self._at + 1)
        self._at += 1
        return self._view[self._at - 1]

    def byte_sequence(self) -> memoryview:
        length = self.uint32()
        self._need(self._at + length)
        start, self._at = self._at, self._at + length
        return self._view[start : self._at]

    def text(self) -> str:
        raw = bytes(self.byte_sequence())
        try:
            return raw.rstrip(b'\x00').decode()
        except UnicodeDecodeError:
            raise ImageError(f'a text inside the {self._kind} message is not UTF-8') from None

    def _need(self, end: int) -> None:
        if end > len(self._view):
            raise ImageError(
                f'the {self._kind} message has {len(self._view)} bytes but needs at least {end}: '
                'it is truncated or of another type'
            )
