# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels: a decoded picture that still knows its colour order, and its ways to what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError

#: Channels of each colour order.
CHANNELS = {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4, 'gray': 1, 'gray16': 1, 'depth': 1}

_TO_RGB: dict[str, int | None] = {
    'rgb': None,
    'bgr': cv2.COLOR_BGR2RGB,
    'rgba': cv2.COLOR_RGBA2RGB,
    'bgra': cv2.COLOR_BGRA2RGB,
    'gray': cv2.COLOR_GRAY2RGB,
}
_TO_BGR: dict[str, int | None] = {
    'rgb': cv2.COLOR_RGB2BGR,
    'bgr': None,
    'rgba': cv2.COLOR_RGBA2BGR,
    'bgra': cv2.COLOR_BGRA2BGR,
    'gray': cv2.COLOR_GRAY2BGR,
}
_TO_GRAY: dict[str, int | None] = {
    'rgb': cv2.COLOR_RGB2GRAY,
    'bgr': cv2.COLOR_BGR2GRAY,
    'rgba': cv2.COLOR_RGBA2GRAY,
    'bgra': cv2.COLOR_BGRA2GRAY,
    'gray': None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A decoded picture.

    Attributes:
        order: A key of `CHANNELS`. `gray16` and `depth` are uint16 or float32, else uint8.
        array: (height, width) or (height, width, channels).
        encoding: What the message said, for messages.
    """

    order: str
    array: NDArray[Any]
    encoding: str


def to_color(pixels: Pixels, color: str) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8 in `rgb` or `bgr` order; grey becomes R = G = B."""
    table = _TO_RGB if color == 'rgb' else _TO_BGR
    return _convert(pixels, table, f'a {color} picture')


def to_mono(pixels: Pixels) -> NDArray[np.uint8]:
    """Return (height, width) uint8; colour by OpenCV's weights (BT.601), 16 bits scaled to 8.

    The scale is 255/65535 = 1/257, rounded to nearest, as in cv_bridge.
    """
    if pixels.order == 'gray16' and pixels.encoding != '16UC1':
        # No tie is possible (257 is odd), so the rounding mode does not matter.
        return np.asarray(cv2.convertScaleAbs(pixels.array, alpha=1.0 / 257.0))
    return _convert(pixels, _TO_GRAY, 'an 8-bit mono picture')


def to_mono16(pixels: Pixels) -> NDArray[np.uint16]:
    """Return (height, width) uint16 of a camera that gives 16 bits."""
    if pixels.order != 'gray16':
        raise _impossible(pixels, 'a 16-bit mono picture')
    return pixels.array


def to_depth(pixels: Pixels, dtype: str | None) -> NDArray[np.generic]:
    """Return (height, width) depth: uint16 in mm or float32 in m (REP 118), 0 = no measurement."""
    if pixels.order not in ('gray16', 'depth') or pixels.encoding == 'mono16':
        raise _impossible(pixels, 'a depth picture')
    array = pixels.array
    if array.dtype == np.uint16:
        if dtype in (None, 'uint16'):
            return array
        if dtype == 'float32':
            return (array * np.float64(0.001)).astype(np.float32)
    elif dtype in (None, 'float32'):
        return np.where(np.isfinite(array), array, np.float32(0.0))
    elif dtype == 'uint16':
        finite = np.where(np.isfinite(array), array, np.float32(0.0))
        return np.clip(np.rint(finite * np.float64(1000.0)), 0, 65535).astype(np.uint16)
    raise ImageError(f'depth is decoded to uint16 (mm) or float32 (m), got dtype {dtype!r}')


def _convert(pixels: Pixels, table: dict[str, int | None], wanted: str) -> NDArray[np.uint8]:
    if pixels.order not in table:
        raise _impossible(pixels, wanted)
    code = table[pixels.order]
    if code is None:
        return pixels.array
    return np.asarray(cv2.cvtColor(pixels.array, code))


def _impossible(pixels: Pixels, wanted: str) -> ImageError:
    return ImageError(
        f'the encoding {pixels.encoding!r} cannot become {wanted}: '
        'let the camera publish a fitting encoding, or use another camera for this policy input'
    )
