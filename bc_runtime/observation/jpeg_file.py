# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""decode_jpeg: a JPEG file that is whole, or an error.

A damaged file is still decoded by libjpeg, which fills what is missing with grey or with wrong
blocks and only warns. OpenCV prints these warnings and returns the picture; simplejpeg, the same
decoder with the same pixels, turns them into errors.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError

MAGIC = b'\xff\xd8\xff'
#: OpenCV's own limit; a damaged header may speak of any size [px].
MAX_PIXELS = 1 << 30

_CHANNELS = {'Gray': 'GRAY', 'YCbCr': 'BGR', 'RGB': 'BGR'}
_PADDED = re.compile(r'(\d+) extraneous bytes before marker 0xd9')
_END = b'\xff\xd9'


def decode_jpeg(data: memoryview) -> NDArray[Any]:
    """Decode a JPEG file.

    Returns:
        (height, width) of a grey file, (height, width, 3) in the order blue, green, red of others;
        uint8. An EXIF rotation is ignored, as image_transport does.

    Raises:
        ImageError: the decoder found damage, or it is no JPEG file of grey or YCbCr colours.
    """
    try:
        import simplejpeg
    except ImportError as error:
        raise ImageError(
            f'JPEG pictures need the package simplejpeg: {error}. Install it: '
            'pip install simplejpeg'
        ) from None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise _damaged(data, error) from None
    if colors not in _CHANNELS or not 0 < height * width <= MAX_PIXELS:
        raise ImageError(
            f'expected a JPEG file of grey or YCbCr pixels, got {width}x{height} in {colors}'
        )
    wanted = _CHANNELS[colors]
    try:
        try:
            array = simplejpeg.decode_jpeg(data, wanted, strict=True)
        except ValueError as warning:
            if not _is_padding(data, str(warning)):
                raise
            array = simplejpeg.decode_jpeg(data, wanted, strict=False)
    except (ValueError, MemoryError) as error:
        raise _damaged(data, error) from None
    return np.asarray(array[..., 0] if wanted == 'GRAY' else array)


def _is_padding(data: memoryview, warning: str) -> bool:
    """Return whether the decoder only met the fill bytes of some cameras before the end marker."""
    match = _PADDED.search(warning)
    if match is None:
        return False
    file = bytes(data)
    end = file.rfind(_END)
    return not file[max(end - int(match[1]), 0) : end].strip(b'\x00\xff')


def _damaged(data: memoryview, error: Exception) -> ImageError:
    return ImageError(
        f'the JPEG file of {len(data)} bytes is damaged ({error}): check the cable or network of '
        'the camera and its publisher'
    )
