# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as they arrive, undecoded, in the terms of sensor_msgs but without ROS."""

from __future__ import annotations

from dataclasses import dataclass

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """The content of a `sensor_msgs/Image`.

    Attributes:
        encoding: Name of the pixel format, as in `sensor_msgs/image_encodings.hpp`.
        step: Bytes from one row to the next, padding included.
        is_bigendian: Byte order of formats with more than 8 bits per channel.
        data: The pixels; kept, not copied, so it must not be changed after it was handed over.
    """

    height: int
    width: int
    encoding: str
    step: int
    is_bigendian: bool
    data: Buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedImage:
    """The content of a `sensor_msgs/CompressedImage`.

    Attributes:
        format: E.g. `rgb8; jpeg compressed bgr8`, `jpeg`, `16UC1; compressedDepth png`.
        data: The file; kept, not copied.
    """

    format: str
    data: Buffer


Picture = RawImage | CompressedImage
