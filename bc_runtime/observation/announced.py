# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Announced: what the format text of a compressed picture says, compared with what is in the file.

The format text is that of image_transport_plugins, described in CompressedImage.msg:
`ORIG_PIXFMT; CODEC compressed [COMPRESSED_PIXFMT]`, or for depth
`ORIG_PIXFMT; compressedDepth CODEC`. Drivers that compress themselves write only the codec.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError

_CODECS = frozenset(('jpeg', 'jpg', 'mjpeg', 'png', 'compressed', 'compressedDepth'))
_COLOR = re.compile(
    r'(rgba?|bgra?)\d+|8UC[34]|16UC[34]|bayer_.*|yuv.*|uyvy|yuyv|yuy2|nv\d+|i420|yv12', re.I
)
#: Depth in 16 bits or floats; neither survives in 8 bits.
_DEPTH = frozenset(('16UC1', '32FC1'))


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the format text says.

    Attributes:
        format: The text itself.
        original: Encoding before the compression; empty if it is not said.
        stored: Encoding that the compressor was given; empty if it is not said.
        depth_codec: Codec of compressedDepth; empty for other pictures.
    """

    format: str
    original: str = ''
    stored: str = ''
    depth_codec: str = ''

    def check(self, array: NDArray[Any], color: str) -> None:
        """Refuse a file that holds other pixels than announced and would be misread.

        Args:
            array: The decoded file, (h, w) or (h, w, channels).
            color: What the policy takes: rgb, bgr, mono or depth.

        Raises:
            ImageError: names the format, what is in the file, and the way out.
        """
        grey = array.ndim == 2
        if self.original in _DEPTH and (not grey or array.dtype == np.uint8):
            raise self._error(
                array, f'{self.original} is depth, which 8 bits per pixel cannot hold', 'raw'
            )
        if not grey:
            return
        if array.dtype != np.uint8 and re.fullmatch(r'\D+8|8U.*|yuv.*', self.original):
            raise self._error(array, f'{self.original} has 8 bits per channel', 'raw')
        if color == 'depth' and self.original not in ('', '16UC1'):
            raise self._error(array, f'{self.original} is no depth', '16UC1')
        mosaic = self.original.startswith('bayer_') and not self.stored.startswith('mono')
        if mosaic:
            raise self._error(
                array, f'its pixels are the colour mosaic {self.original}, not a picture', 'bgr8'
            )
        if color in ('rgb', 'bgr'):
            for name in (self.original, self.stored):
                if _COLOR.fullmatch(name):
                    raise self._error(
                        array,
                        f'{name} is colour, the policy takes colour, and the file has none',
                        'bgr8',
                    )

    def _error(self, array: NDArray[Any], why: str, wanted: str) -> ImageError:
        kind = 'grey' if array.ndim == 2 else f'{array.shape[2]} channels'
        bits = 8 * array.dtype.itemsize
        way = (
            'take the raw topic (transport: raw in the robot YAML)'
            if wanted == 'raw'
            else f'set the camera driver to publish {wanted}, or take the raw topic (transport: '
            'raw in the robot YAML)'
        )
        return ImageError(
            f'the format {self.format!r} and its file do not fit: {why}; the file holds {kind} '
            f'pixels of {bits} bits: {way}'
        )


def read_format(text: str) -> Announced:
    """Read a format text; what it does not say stays empty."""
    head, semicolon, rest = text.partition(';')
    original = head.strip()
    words = re.findall(r'\w+', rest)
    if not semicolon and (original in _CODECS or not re.fullmatch(r'\w+', original)):
        return Announced(format=text)
    if 'compressedDepth' in words:
        after = words[words.index('compressedDepth') + 1 :]
        return Announced(format=text, original=original, depth_codec=(after or ['png'])[0])
    stored = next((word for word in reversed(words) if word not in _CODECS), '')
    return Announced(format=text, original=original, stored=stored)
