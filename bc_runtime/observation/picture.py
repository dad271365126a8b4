# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""make_picture: one camera sample -> the array of one time step of an image input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.image_types import Picture, RawImage
from bc_runtime.observation.images import decode_image
from bc_runtime.observation.resize import resize_image
from bc_runtime.spec.inputs import ImageInput

#: What each colour can be decoded to, and the dtypes that a policy may ask for.
DTYPES = {
    'rgb': ('uint8', 'float32'),
    'bgr': ('uint8', 'float32'),
    'mono': ('uint8', 'uint16', 'float32'),
    'depth': ('uint16', 'float32'),
}

#: A picture whose brightest pixel is this dark, or whose darkest is this bright, shows nothing.
BLACK_BELOW = 8
WHITE_ABOVE = 247
#: Looking at every such element first is enough for nearly every picture.
PROBE_STRIDE = 251


def decoded_dtype(item: ImageInput) -> str:
    """Return the dtype that the picture is decoded to before it is resized."""
    if item.color == 'depth' or item.dtype == 'uint16':
        return item.dtype
    return 'uint8'


def make_picture(item: ImageInput, decoded: NDArray[Any]) -> NDArray[Any]:
    """Resize, scale and lay out a decoded picture.

    Args:
        item: The policy's image input.
        decoded: (h, w) or (h, w, 3) in `item.color` and `decoded_dtype(item)`.

    Returns:
        Read-only, contiguous array of `item.feature_shape` and `item.dtype`. Colour and mono
        pictures of float32 are resized in uint8 and then scaled: pixel p becomes
        low + p * (high - low) / 255, computed in float64 and rounded once. Depth is not scaled.
    """
    small = resize_image(decoded, item.resize, item.height, item.width)
    scaled = item.dtype == 'float32' and small.dtype == np.uint8
    if item.layout == 'CHW' and small.ndim == 3:
        # Planes are cheapest to make while a pixel still has 8 bits.
        planes = np.empty((small.shape[2], *small.shape[:2]), dtype=item.dtype)
        for channel, plane in enumerate(planes):
            pixels = cv2.extractChannel(small, channel)
            plane[...] = _scale_pixels(pixels, item.value_range) if scaled else pixels
        small = planes
    elif scaled:
        small = _scale_pixels(small, item.value_range)
    picture = np.ascontiguousarray(small).reshape(item.feature_shape)
    picture.flags.writeable = False
    return picture


def describe_picture(image: Picture, items: Iterable[ImageInput]) -> str:
    """Decode a picture as each input takes it, and say what it is.

    Args:
        image: The picture.
        items: The inputs that show its camera; empty: any colour will do.

    Returns:
        Size and encoding, and a warning where a policy of colours is given none.

    Raises:
        ImageError: an input cannot be given this picture.
    """
    wanted = {(item.color, decoded_dtype(item)) for item in items} or {('rgb', 'uint8')}
    warning = ''
    for color, dtype in sorted(wanted):
        decoded = decode_image(image, color=color, dtype=dtype)
        height, width = decoded.shape[:2]
        if color in ('rgb', 'bgr') and np.array_equal(decoded[..., :-1], decoded[..., 1:]):
            warning = ', grey, although the policy takes colour: see that this camera has none'
    encoding = image.encoding if isinstance(image, RawImage) else image.format
    return f'{width}x{height} {encoding}{warning}'


def is_blank(item: ImageInput, picture: NDArray[Any]) -> bool:
    """Return whether an 8-bit picture shows nothing: all black or all white."""
    if item.color == 'depth' or item.dtype == 'uint16':
        return False
    black, white = float(BLACK_BELOW), float(WHITE_ABOVE)
    if item.dtype == 'float32':
        low, high = item.value_range
        black, white = (low + level * (high - low) / 255.0 for level in (black, white))
        if high < low:
            black, white = white, black
    probes = picture.reshape(-1)[::PROBE_STRIDE]
    if probes.max() > black and probes.min() < white:
        return False
    return bool(picture.max() <= black) or bool(picture.min() >= white)


def _scale_pixels(pixels: NDArray[np.uint8], value_range: tuple[float, float]) -> NDArray[Any]:
    low, high = value_range
    table = (low + np.arange(256, dtype=np.float64) * (high - low) / 255.0).astype(np.float32)
    flat = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    return np.asarray(cv2.LUT(flat, table)).reshape(pixels.shape)
