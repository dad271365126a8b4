# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What happened in an episode, on one time axis: camera pictures above the controller's states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from bc_runtime.evaluation.charts import time_axis
from bc_runtime.evaluation.episode_record import Ticks
from bc_runtime.evaluation.pictures import data_uri
from bc_runtime.evaluation.svg import Scale, drawing, tag, text

WIDTH = 1000.0
LEFT, RIGHT = 46.0, 8.0
_GAP = 4.0
_STRIP = 26.0


def picture_times(duration_s: float, count: int) -> list[float]:
    """Return the middles of `count` equal stretches of an episode [s]."""
    return [duration_s * (index + 0.5) / count for index in range(count)]


def state_spans(ticks: Ticks) -> Iterator[tuple[str, float, float]]:
    """Yield (state, start [s], end [s]) for each stretch of ticks in one state."""
    begin = 0
    for index in range(1, len(ticks.states) + 1):
        if index == len(ticks.states) or ticks.states[index] != ticks.states[begin]:
            end = min(index, len(ticks.states) - 1)
            yield ticks.states[begin], float(ticks.t_s[begin]), float(ticks.t_s[end])
            begin = index


def episode_chart(
    pictures: Sequence[tuple[str, Sequence[Image.Image | None]]],
    ticks: Ticks | None,
    duration_s: float,
) -> str:
    """Draw the rows of pictures, the strip of states and the time axis.

    Args:
        pictures: (camera name, pictures at `picture_times`) per row.
        ticks: For the states; None leaves the strip out.
        duration_s: Length of the time axis [s].
    """
    x = Scale(0.0, duration_s, LEFT, WIDTH - RIGHT)
    parts: list[str] = []
    y = 0.0
    for name, row in pictures:
        cell = (x.end - x.start + _GAP) / len(row) - _GAP
        ratios = [image.height / image.width for image in row if image is not None]
        height = cell * (ratios[0] if ratios else 0.75)
        # A name beside the row, read upwards: there is no room for a line of text above each row.
        middle = number_pair(14.0, y + height / 2)
        parts.append(
            tag('g', text(0, 0, name, 'row-title', 'middle'),
                transform=f'translate({middle}) rotate(-90)')
        )  # fmt: skip
        for index, image in enumerate(row):
            left = x.start + index * (cell + _GAP)
            parts.append(
                tag('rect', x=left, y=y, width=cell, height=height, class_='no-picture')
                if image is None
                else tag('image', x=left, y=y, width=cell, height=height, href=data_uri(image))
            )
        y += height + _GAP
    if ticks is not None:
        y += 4.0
        parts += _strip(ticks, x, y)
        y += _STRIP + 4.0
    parts += time_axis(x, y)
    return drawing(WIDTH, y + 22.0, parts, 'Camera pictures and controller states over time')


def number_pair(x: float, y: float) -> str:
    """Return a coordinate pair of a transform."""
    return f'{x:.1f} {y:.1f}'


def _strip(ticks: Ticks, x: Scale, y: float) -> Iterator[str]:
    yield text(LEFT - 6, y + 17, 'state', 'tick', 'end')
    for state, start, end in state_spans(ticks):
        left, right = x(max(start, 0.0)), x(min(end, x.high))
        width = max(right - left, 1.0)
        tip = tag('title', f'{state}: {start:.2f} s to {end:.2f} s')
        parts = [
            tip,
            tag('rect', x=left, y=y, width=width, height=_STRIP, class_=f'state state-{state}'),
        ]
        if width > 8.0 * len(state) + 8.0:
            parts.append(text(left + width / 2, y + 17, state, 'state-label', 'middle'))
        yield tag('g', ''.join(parts))
