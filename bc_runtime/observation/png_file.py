# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""decode_png: a PNG file that is whole, or an error.

OpenCV returns what it could read of a damaged file. Every chunk of a PNG file has a checksum
(RFC 2083), so damage is found before the file is decoded, at the price of one pass of zlib's CRC.
"""

from __future__ import annotations

from typing import Any
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError

MAGIC = b'\x89PNG\r\n\x1a\n'
#: Length and type before the content of a chunk, checksum after it [bytes].
_HEAD, _CHECK = 8, 4


def decode_png(data: memoryview) -> NDArray[Any]:
    """Decode a PNG file.

    Returns:
        (height, width) of a grey file, else (height, width, 3 or 4) in the order blue, green, red,
        alpha; uint8 or uint16 as in the file.

    Raises:
        ImageError: the file is damaged or ends too early.
    """
    _check_chunks(data)
    try:
        # UNCHANGED keeps the depth of 16-bit files.
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # e.g. a header that speaks of more pixels than there may be
        raise _damaged(data, ' '.join(str(error).split())) from None
    if array is None:
        raise _damaged(data, 'it cannot be decoded')
    return np.asarray(array)


def _check_chunks(data: memoryview) -> None:
    at = len(MAGIC)
    while at + _HEAD + _CHECK <= len(data):
        end = at + _HEAD + int.from_bytes(data[at : at + 4], 'big')
        if end + _CHECK > len(data):
            break
        kind = bytes(data[at + 4 : at + _HEAD])
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + _CHECK], 'big'):
            raise _damaged(data, f'the checksum of the chunk {kind!r} at byte {at} is wrong')
        if kind == b'IEND':
            return
        at = end + _CHECK
    raise _damaged(data, f'it ends inside a chunk at byte {at}')


def _damaged(data: memoryview, why: str) -> ImageError:
    return ImageError(
        f'the PNG file of {len(data)} bytes is damaged ({why}): check the network and the '
        'publisher'
    )
