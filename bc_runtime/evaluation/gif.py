# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A short GIF of an episode: its cameras side by side, the instruction and the time below."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bc_runtime.evaluation.errors import EvaluationError
from bc_runtime.evaluation.pictures import camera_name, pictures_every
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.topic import IMAGE_TYPES

MAX_BYTES = 3_000_000
_MAX_CAMERAS = 2
_CAPTION = 30  # pixels
_BACKGROUND, _INK, _MUTED = (24, 29, 35), (236, 240, 245), (150, 162, 176)
_FINAL_MS = 1200  # how long the last picture stands before the GIF begins again
_PALETTE_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class _Quality:
    width: int  # of one camera [pixels]
    fps: float
    colors: int


# Tried in this order until the file is small enough.
_QUALITIES = (
    _Quality(320, 10.0, 96),
    _Quality(320, 8.0, 64),
    _Quality(280, 6.0, 64),
    _Quality(240, 5.0, 48),
    _Quality(200, 4.0, 32),
    _Quality(160, 2.0, 32),
)


def write_gif(path: Path, bag: Path, *, max_bytes: int = MAX_BYTES, max_s: float = 20.0) -> int:
    """Write the GIF of an episode in real time and return its size [bytes].

    Args:
        path: File to write.
        bag: Bag of the episode.
        max_bytes: Size, rate and colours are reduced until the file is no larger, if that is
            possible at all.
        max_s: Length; of a longer episode the beginning is shown [s].

    Raises:
        EvaluationError: The bag holds no pictures.
    """
    with BagReader(bag) as reader:
        topics = sorted(
            t.name for t in reader.topics.values() if t.type in IMAGE_TYPES and t.message_count
        )[:_MAX_CAMERAS]
        if not topics:
            raise EvaluationError(
                f'{bag} holds no camera pictures, so there is nothing to show; record with '
                'record:=compressed'
            )
        data = b''
        for quality in _QUALITIES:
            data = _encode(_frames(reader, topics, quality, max_s), quality)
            if len(data) <= max_bytes:
                break
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.tmp')
    temporary.write_bytes(data)
    os.replace(temporary, path)
    return len(data)


def _frames(
    reader: BagReader, topics: Sequence[str], quality: _Quality, max_s: float
) -> list[Image.Image]:
    """Return one picture per step, each with all cameras."""
    rows = []
    for topic in topics:
        row = []
        for time_s, image in pictures_every(reader, topic, 1.0 / quality.fps, width=quality.width):
            if time_s > max_s:
                break
            row.append((time_s, image))
        rows.append(row)
    end = min(max_s, max(row[-1][0] for row in rows))
    steps = np.arange(0.0, end, 1.0 / quality.fps)
    height = max(row[0][1].height for row in rows)
    frames = []
    for step in steps:
        pictures = [_newest(row, float(step)) for row in rows]
        frames.append(_compose(pictures, [camera_name(t) for t in topics], height, quality.width))
        _caption(frames[-1], reader.labels.instruction or reader.labels.id, float(step))
    return frames


def _newest(row: Sequence[tuple[float, Image.Image]], time_s: float) -> Image.Image:
    """Return the newest picture at a time; before the first one, the first."""
    index = bisect_right(row, time_s, key=lambda item: item[0]) - 1
    return row[max(index, 0)][1]


def _compose(
    pictures: Sequence[Image.Image], names: Sequence[str], height: int, width: int
) -> Image.Image:
    gap = 4
    frame = Image.new('RGB', (len(pictures) * (width + gap) - gap, height + _CAPTION), _BACKGROUND)
    draw = ImageDraw.Draw(frame)
    font = ImageFont.load_default(size=12)
    for index, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        left = index * (width + gap)
        frame.paste(picture, (left, 0))
        draw.rectangle((left, 0, left + draw.textlength(name, font) + 10, 18), fill=_BACKGROUND)
        draw.text((left + 5, 2), name, font=font, fill=_MUTED)
    return frame


def _caption(frame: Image.Image, words: str, time_s: float) -> None:
    draw = ImageDraw.Draw(frame)
    clock = f'{time_s:.1f} s'
    room = frame.width - 80
    size = 16
    while size > 9 and draw.textlength(words, ImageFont.load_default(size=size)) > room:
        size -= 1
    font = ImageFont.load_default(size=size)
    baseline = frame.height - _CAPTION // 2
    draw.text((8, baseline), words, font=font, fill=_INK, anchor='lm')
    font = ImageFont.load_default(size=14)
    draw.text((frame.width - 8, baseline), clock, font=font, fill=_MUTED, anchor='rm')


def _encode(frames: Sequence[Image.Image], quality: _Quality) -> bytes:
    """Return the GIF: one palette for all frames and no dither, so that still parts stay still."""
    chosen = frames[:: max(1, len(frames) // _PALETTE_SAMPLES)]
    mosaic = Image.new('RGB', (frames[0].width, frames[0].height * len(chosen)))
    for index, frame in enumerate(chosen):
        mosaic.paste(frame, (0, index * frame.height))
    palette = mosaic.quantize(quality.colors, method=Image.Quantize.MEDIANCUT)
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000.0 / quality.fps)] * len(reduced)
    durations[-1] = _FINAL_MS
    stream = io.BytesIO()
    reduced[0].save(
        stream,
        'GIF',
        save_all=True,
        append_images=reduced[1:],
        duration=durations,
        loop=0,
        optimize=True,
        disposal=1,
    )
    return stream.getvalue()
