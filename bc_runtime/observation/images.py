# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""decode_image: any supported picture -> an array in the colour that the policy wants."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.compressed_image import decode_compressed
from bc_runtime.observation.errors import ImageError
from bc_runtime.observation.image_types import Picture, RawImage
from bc_runtime.observation.pixels import Pixels, to_color, to_depth, to_mono, to_mono16
from bc_runtime.observation.raw_image import decode_raw

COLORS = ('rgb', 'bgr', 'mono', 'depth')


def decode_image(
    image: Picture, *, color: str = 'rgb', dtype: str | None = None
) -> NDArray[np.generic]:
    """Decode a picture.

    Args:
        image: Raw or compressed picture.
        color: `rgb`, `bgr`, `mono` or `depth`.
        dtype: `uint8` (default of rgb, bgr and mono), `uint16` (mono: all 16 bits of a 16-bit
            camera; depth: millimetres) or `float32` (depth: metres). Default for depth: what
            the camera gives.

    Returns:
        rgb, bgr: (height, width, 3); mono, depth: (height, width). Read-only where it is a view of
        the message. Depth without a measurement (0 in 16UC1; NaN and infinities in 32FC1, REP 117
        and REP 118) is 0 in either dtype.

    Raises:
        UnknownEncoding: names the encoding, the supported ones and the way out.
        ImageError: the data does not fit its own header, or cannot become what is asked for.
    """
    if color not in COLORS:
        raise ImageError(f'expected one of the colours {", ".join(COLORS)}; got {color!r}')
    pixels: Pixels
    if isinstance(image, RawImage):
        pixels = decode_raw(image, color, dtype or 'uint8')
    else:
        pixels = decode_compressed(image, color)
    if color == 'depth':
        return to_depth(pixels, dtype)
    wanted = dtype or 'uint8'
    if color == 'mono' and wanted == 'uint16':
        return to_mono16(pixels)
    if wanted != 'uint8':
        raise ImageError(f'{color} pictures are decoded to uint8, got dtype {wanted!r}')
    return to_mono(pixels) if color == 'mono' else to_color(pixels, color)


def opencv_version() -> str:
    """Return the version of OpenCV: resized pixels are only comparable within one version."""
    module: Any = cv2
    return str(module.__version__)
