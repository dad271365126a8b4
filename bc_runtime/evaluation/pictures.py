# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures out of a bag."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from bc_runtime.evaluation.errors import EvaluationError
from bc_runtime.recording.reader import BagReader
from bc_runtime.spec.errors import available

_SEARCH_NS = 500_000_000  # how far after a wished time a picture may be
# sensor_msgs/image_encodings -> (channels, where red, green and blue are among them)
_RAW = {
    'rgb8': (3, [0, 1, 2]),
    'bgr8': (3, [2, 1, 0]),
    'rgba8': (4, [0, 1, 2]),
    'bgra8': (4, [2, 1, 0]),
    'mono8': (1, [0, 0, 0]),
}


def decode_picture(message: Any, *, width: int | None = None) -> Image.Image:
    """Return a `sensor_msgs` Image or CompressedImage as an RGB picture.

    Args:
        message: As the bag's decoder gives it.
        width: Width to reduce it to [pixels]; the height follows. JPEG is decoded at a fraction
            of its size then, which is several times faster.

    Raises:
        EvaluationError: The encoding is not one that can be shown.
    """
    image = _compressed(message, width) if hasattr(message, 'format') else _raw(message)
    if width is not None and image.width != width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    return image


def pictures_at(
    bag: BagReader, topic: str, times_s: Iterable[float], *, width: int
) -> list[Image.Image | None]:
    """Return the first picture at or after each time [s since bag start], None where none is."""
    found: list[Image.Image | None] = []
    for time_s in times_s:
        start = bag.start_ns + round(time_s * 1e9)
        messages = bag.messages([topic], start_ns=start, end_ns=start + _SEARCH_NS)
        message = next(messages, None)
        found.append(None if message is None else decode_picture(message.decode(), width=width))
    return found


def pictures_every(
    bag: BagReader, topic: str, period_s: float, *, width: int
) -> Iterator[tuple[float, Image.Image]]:
    """Yield (time since bag start [s], picture) about every `period_s`."""
    due_ns = bag.start_ns
    for message in bag.messages([topic]):
        if message.log_time_ns >= due_ns:
            due_ns += round(period_s * 1e9)
            if due_ns <= message.log_time_ns:  # after a gap
                due_ns = message.log_time_ns + round(period_s * 1e9)
            time_s = (message.log_time_ns - bag.start_ns) * 1e-9
            yield time_s, decode_picture(message.decode(), width=width)


def data_uri(image: Image.Image, *, quality: int = 78) -> str:
    """Return a picture as a JPEG data URI."""
    stream = io.BytesIO()
    image.save(stream, 'JPEG', quality=quality, optimize=True)
    return f'data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode("ascii")}'


def camera_name(topic: str) -> str:
    """Return a short name: `/arm/front/image_raw/compressed` is `front`."""
    parts = [part for part in topic.split('/') if part]
    while len(parts) > 1 and parts[-1] in {'compressed', 'image_raw', 'image_rect', 'image'}:
        parts.pop()
    return parts[-1] if parts else topic


def _compressed(message: Any, width: int | None) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(bytes(message.data)))
        if width is not None:
            image.draft('RGB', (width, width))
        return image.convert('RGB')
    except (UnidentifiedImageError, OSError) as error:
        raise EvaluationError(
            f'a compressed picture of format {message.format!r} cannot be shown: {error}; '
            'expected JPEG or PNG'
        ) from error


def _raw(message: Any) -> Image.Image:
    if message.encoding not in _RAW:
        raise EvaluationError(
            f'a raw picture of encoding {message.encoding!r} cannot be shown; expected one of: '
            f'{available(_RAW)}'
        )
    channels, order = _RAW[message.encoding]
    height, width = int(message.height), int(message.width)
    # Rows may be padded: `step` is the distance between two of them [bytes].
    rows = np.asarray(message.data, dtype=np.uint8).reshape(height, int(message.step))
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return Image.fromarray(np.ascontiguousarray(pixels[..., order]), 'RGB')
