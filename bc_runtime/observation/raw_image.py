# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Decode the pixel formats of `sensor_msgs/Image`, with row padding and either byte order.

Names and layouts follow `sensor_msgs/image_encodings.hpp` and the V4L2 pixel format pages that it
refers to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.cv_bridge_image import decode_by_cv_bridge
from bc_runtime.observation.errors import ImageError
from bc_runtime.observation.image_types import RawImage
from bc_runtime.observation.pixels import CHANNELS, Pixels

#: 8 bits per channel, interleaved. 8UC3 is OpenCV's name of its own type, whose order is BGR.
_PLAIN = {
    'rgb8': 'rgb',
    'bgr8': 'bgr',
    'rgba8': 'rgba',
    'bgra8': 'bgra',
    'mono8': 'gray',
    '8UC1': 'gray',
    '8UC3': 'bgr',
}
_WIDE = {
    'mono16': ('gray16', np.uint16),
    '16UC1': ('gray16', np.uint16),
    '32FC1': ('depth', np.float32),
}
#: (to RGB, to grey); the grey one takes the luma plane without a detour through RGB.
_PACKED_YUV = {
    'uyvy': (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2GRAY_UYVY),
    'yuv422': (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2GRAY_UYVY),
    'yuyv': (cv2.COLOR_YUV2RGB_YUYV, cv2.COLOR_YUV2GRAY_YUYV),
    'yuv422_yuy2': (cv2.COLOR_YUV2RGB_YUYV, cv2.COLOR_YUV2GRAY_YUYV),
}
_PLANAR_YUV = {
    'nv12': (cv2.COLOR_YUV2RGB_NV12, cv2.COLOR_YUV2GRAY_NV12),
    'nv21': (cv2.COLOR_YUV2RGB_NV21, cv2.COLOR_YUV2GRAY_NV21),
}
#: The letters are the colours of the first two pixels of the first two rows.
_BAYER = {
    'bayer_rggb8': cv2.COLOR_BayerRGGB2RGB,
    'bayer_bggr8': cv2.COLOR_BayerBGGR2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGBRG2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGRBG2RGB,
}


def decode_raw(image: RawImage, color: str, dtype: str) -> Pixels:
    """Decode a raw picture; a plain format becomes a view of the message, not a copy.

    Args:
        image: The picture.
        color: What it will be used as; `mono` of a YUV picture is its luma.
        dtype: uint8, or uint16 of a mono picture of 16 bits.

    Raises:
        UnknownEncoding: neither this module nor cv_bridge decodes it.
        ImageError: the data does not fit its own header.
    """
    if image.height < 1 or image.width < 1:
        raise ImageError(f'expected a picture, got {image.width}x{image.height} pixels')
    for encodings, decoder in _DECODERS:
        if image.encoding in encodings:
            return decoder(image, color)
    return decode_by_cv_bridge(image, color, dtype, own=', '.join(SUPPORTED_ENCODINGS))


def _plain(image: RawImage, color: str) -> Pixels:
    order = _PLAIN[image.encoding]
    return Pixels(
        order=order, array=_rows(image, np.uint8, CHANNELS[order]), encoding=image.encoding
    )


def _wide(image: RawImage, color: str) -> Pixels:
    order, dtype = _WIDE[image.encoding]
    stored = np.dtype(dtype).newbyteorder('>' if image.is_bigendian else '<')
    array = _rows(image, stored, 1)
    return Pixels(order=order, array=array.astype(dtype, copy=False), encoding=image.encoding)


def _packed_yuv(image: RawImage, color: str) -> Pixels:
    if image.width % 2:
        raise ImageError(
            f'{image.encoding} pairs pixels: expected an even width, got {image.width}'
        )
    pairs = _rows(image, np.uint8, 2)
    return _from_yuv(pairs, _PACKED_YUV[image.encoding], image, color)


def _planar_yuv(image: RawImage, color: str) -> Pixels:
    if image.width % 2 or image.height % 2:
        raise ImageError(
            f'{image.encoding} shares colour between 2x2 pixels: expected an even size, '
            f'got {image.width}x{image.height}'
        )
    planes = _rows(image, np.uint8, 1, rows=image.height * 3 // 2)
    return _from_yuv(planes, _PLANAR_YUV[image.encoding], image, color)


def _from_yuv(
    array: NDArray[np.uint8], codes: tuple[int, int], image: RawImage, color: str
) -> Pixels:
    order, code = ('gray', codes[1]) if color == 'mono' else ('rgb', codes[0])
    return Pixels(
        order=order, array=np.asarray(cv2.cvtColor(array, code)), encoding=image.encoding
    )


def _bayer(image: RawImage, color: str) -> Pixels:
    if image.width < 3 or image.height < 3:
        raise ImageError(
            f'{image.encoding} needs at least 3x3 pixels, got {image.width}x{image.height}'
        )
    array = cv2.cvtColor(_rows(image, np.uint8, 1), _BAYER[image.encoding])
    return Pixels(order='rgb', array=np.asarray(array), encoding=image.encoding)


def _rows(image: RawImage, dtype: Any, channels: int, *, rows: int | None = None) -> NDArray[Any]:
    """Return a read-only view (rows, width[, channels]) of the message that skips row padding."""
    rows = image.height if rows is None else rows
    stored = np.dtype(dtype)
    used = image.width * channels * stored.itemsize
    if image.step < used:
        raise ImageError(
            f'a row of {image.width} pixels in {image.encoding} has {used} bytes, '
            f'but step says {image.step}: the driver fills its header wrongly'
        )
    data = memoryview(image.data).cast('B') if not isinstance(image.data, bytes) else image.data
    # Some drivers leave out the padding of the last row.
    expected = image.step * (rows - 1) + used
    if len(data) < expected:
        raise ImageError(
            f'{image.width}x{image.height} {image.encoding} with step {image.step} has at least '
            f'{expected} bytes, but the message has {len(data)}: it is truncated, '
            'or height, width, step or encoding of its header is wrong'
        )
    shape: tuple[int, ...] = (rows, image.width)
    strides: tuple[int, ...] = (image.step, channels * stored.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, stored.itemsize)
    view: NDArray[Any] = np.ndarray(shape, dtype=stored, buffer=data, strides=strides)
    view.flags.writeable = False
    return view


_Decoder = Callable[[RawImage, str], Pixels]
_DECODERS: tuple[tuple[frozenset[str], _Decoder], ...] = (
    (frozenset(_PLAIN), _plain),
    (frozenset(_WIDE), _wide),
    (frozenset(_PACKED_YUV), _packed_yuv),
    (frozenset(_PLANAR_YUV), _planar_yuv),
    (frozenset(_BAYER), _bayer),
)
SUPPORTED_ENCODINGS = tuple(sorted(name for names, _ in _DECODERS for name in names))
