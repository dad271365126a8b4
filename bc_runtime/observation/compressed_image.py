# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Decode `sensor_msgs/CompressedImage`: JPEG and PNG, colour, mono and depth.

The format text is that of image_transport_plugins, described in CompressedImage.msg:
`ORIG_PIXFMT; CODEC compressed [COMPRESSED_PIXFMT]`, or for depth
`ORIG_PIXFMT; compressedDepth CODEC`. Anything else means a JPEG or PNG in its ordinary colours.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError, UnknownEncoding
from bc_runtime.observation.image_types import CompressedImage
from bc_runtime.observation.pixels import Pixels

_MAGIC = {'jpeg': b'\xff\xd8\xff', 'png': b'\x89PNG\r\n\x1a\n'}
_SUPPORTED = (
    '<encoding>; jpeg compressed bgr8, <encoding>; png compressed bgr8, jpeg, png, '
    '16UC1; compressedDepth png, 32FC1; compressedDepth png'
)
_FORMAT = re.compile(
    r'^\s*(?P<original>\w+)\s*;\s*(?:'
    r'(?P<codec>\w+)\s+compressed\s*(?P<stored>\w*)|compressedDepth\s*(?P<depth>\w*))\s*$'
)
#: compressedDepth puts a header before the PNG: enum (int32), then two parameters (float32).
_DEPTH_HEADER = struct.Struct('<iff')


def decode_compressed(image: CompressedImage) -> Pixels:
    """Decode a compressed picture."""
    match = _FORMAT.match(image.format)
    if match is not None and match['depth'] is not None:
        return _depth(image, match['original'], match['depth'] or 'png')
    array = _imdecode(image, memoryview(image.data))
    original = match['original'] if match is not None else ''
    if array.ndim == 2:
        return _gray(image, array, original)
    if array.dtype != np.uint8:
        raise ImageError(
            f'{image.format!r} holds a colour picture of {array.dtype} pixels; '
            'expected 8 bits per channel'
        )
    # image_transport_plugins may store RGB pixels as if they were BGR and says so by this word;
    # such a picture looks blue-red swapped in an ordinary viewer.
    swapped = match is not None and match['stored'].startswith('rgb')
    order = 'rgb' if swapped else 'bgr'
    if array.shape[2] == 4:
        order += 'a'
    return Pixels(order=order, array=array, encoding=image.format)


def _gray(image: CompressedImage, array: NDArray[Any], original: str) -> Pixels:
    if array.dtype == np.uint8:
        return Pixels(order='gray', array=array, encoding=image.format)
    if array.dtype == np.uint16:
        encoding = original if original in ('mono16', '16UC1') else image.format
        return Pixels(order='gray16', array=array, encoding=encoding)
    raise ImageError(f'{image.format!r} holds {array.dtype} pixels; expected 8 or 16 bits')


def _depth(image: CompressedImage, original: str, codec: str) -> Pixels:
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
    array = _imdecode(image, view[_DEPTH_HEADER.size :])
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


def _imdecode(image: CompressedImage, data: memoryview) -> NDArray[Any]:
    head = bytes(data[:8])
    if not any(head.startswith(magic) for magic in _MAGIC.values()):
        raise UnknownEncoding(
            f'the compressed picture with format {image.format!r} is neither JPEG nor PNG '
            f'(first bytes: {head.hex(" ") or "none"}); supported: {_SUPPORTED}',
            encoding=image.format,
        )
    # UNCHANGED keeps the depth of 16-bit files and ignores an EXIF rotation, as image_transport.
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # e.g. a header that speaks of more pixels than there may be
        array = None
    if array is None:
        raise ImageError(
            f'the compressed picture with format {image.format!r} and {len(data)} bytes '
            'is damaged: check the network and the publisher'
        )
    return np.asarray(array)
