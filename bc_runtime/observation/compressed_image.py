# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Decode `sensor_msgs/CompressedImage`: JPEG and PNG, colour, mono and depth."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation import jpeg_file, png_file
from bc_runtime.observation.announced import Announced, read_format
from bc_runtime.observation.errors import ImageError, UnknownEncoding
from bc_runtime.observation.image_types import CompressedImage
from bc_runtime.observation.pixels import Pixels

_SUPPORTED = (
    '<encoding>; jpeg compressed bgr8, <encoding>; png compressed bgr8, jpeg, png, '
    '16UC1; compressedDepth png, 32FC1; compressedDepth png'
)
#: compressedDepth puts a header before the PNG: enum (int32), then two parameters (float32).
_DEPTH_HEADER = struct.Struct('<iff')


def decode_compressed(image: CompressedImage, color: str) -> Pixels:
    """Decode a compressed picture and compare it with what its format text announces.

    Args:
        image: The picture.
        color: What it will be used as: rgb, bgr, mono or depth.
    """
    announced = read_format(image.format)
    if announced.depth_codec:
        return _depth(image, announced)
    array = _decode(image, memoryview(image.data))
    announced.check(array, color)
    if array.ndim == 2:
        return _gray(array, announced)
    if array.dtype != np.uint8:
        raise ImageError(
            f'{image.format!r} holds a colour picture of {array.dtype} pixels; '
            'expected 8 bits per channel'
        )
    # image_transport_plugins may store RGB pixels as if they were BGR and says so by this word;
    # such a picture looks blue-red swapped in an ordinary viewer.
    order = 'rgb' if announced.stored.startswith('rgb') else 'bgr'
    if array.shape[2] == 4:
        order += 'a'
    return Pixels(order=order, array=array, encoding=image.format)


def _gray(array: NDArray[Any], announced: Announced) -> Pixels:
    if array.dtype == np.uint8:
        return Pixels(order='gray', array=array, encoding=announced.format)
    if array.dtype == np.uint16:
        known = announced.original in ('mono16', '16UC1')
        encoding = announced.original if known else announced.format
        return Pixels(order='gray16', array=array, encoding=encoding)
    raise ImageError(f'{announced.format!r} holds {array.dtype} pixels; expected 8 or 16 bits')


def _depth(image: CompressedImage, announced: Announced) -> Pixels:
    original, codec = announced.original, announced.depth_codec
    if codec != 'png' or original not in ('16UC1', '32FC1'):
        raise UnknownEncoding(
            f'the compressed format {image.format!r} is not decoded here; supported: '
            f'{_SUPPORTED}. Set the depth publisher to png, or subscribe to the raw topic',
            encoding=image.format,
        )
    if len(image.data) <= _DEPTH_HEADER.size:
        raise ImageError(f'{image.format!r} with {len(image.data)} bytes is truncated')
    view = memoryview(image.data)
    _, a, b = _DEPTH_HEADER.unpack_from(view)
    array = _decode(image, view[_DEPTH_HEADER.size :])
    if array.ndim != 2 or array.dtype != np.uint16:
        raise ImageError(
            f'{image.format!r} must hold one channel of 16 bits, '
            f'got shape {array.shape} of {array.dtype}'
        )
    if original == '16UC1':
        return Pixels(order='gray16', array=array, encoding='16UC1')
    # compressed_depth_image_transport quantises the inverse: value = a / depth + b, 0 = no depth.
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(a) / (array.astype(np.float32) - np.float32(b))
    metres = np.where(array > 0, depth, np.float32(np.nan)).astype(np.float32)
    return Pixels(order='depth', array=metres, encoding='32FC1')


def _decode(image: CompressedImage, data: memoryview) -> NDArray[Any]:
    head = bytes(data[:8])
    if head.startswith(jpeg_file.MAGIC):
        return jpeg_file.decode_jpeg(data)
    if head == png_file.MAGIC:
        return png_file.decode_png(data)
    raise UnknownEncoding(
        f'the compressed picture with format {image.format!r} is neither JPEG nor PNG '
        f'(first bytes: {head.hex(" ") or "none"}); supported: {_SUPPORTED}. Set the publisher '
        'to jpeg or png, or take the raw topic (transport: raw in the robot YAML)',
        encoding=image.format,
    )
