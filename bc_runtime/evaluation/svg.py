# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The few SVG pieces that the charts are made of.

Colours come from CSS classes (see `report_style`), so that one picture serves light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import pairwise
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_AIR = 0.06  # share of the range that is left free on each side


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values linearly onto the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def number(value: float) -> str:
    """Return a coordinate with a tenth of a unit, without a trailing zero."""
    return f'{value:.1f}'.removesuffix('.0')


def tag(name: str, content: str | None = None, **attributes: object) -> str:
    """Return an element; `_` in attribute names becomes `-`, `class_` becomes `class`."""
    parts = [name]
    for key, value in attributes.items():
        text = number(value) if isinstance(value, float) else str(value)
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(text, quote=True)}"')
    head = ' '.join(parts)
    return f'<{head}/>' if content is None else f'<{head}>{content}</{name}>'


def text(x: float, y: float, content: str, class_: str = '', anchor: str = 'start') -> str:
    """Return a line of text; `anchor` is start, middle or end."""
    return tag('text', escape(content), x=x, y=y, class_=class_, text_anchor=anchor)


def drawing(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """Return a whole SVG that fits the width of its place; `label` is for screen readers."""
    return tag(
        'svg',
        ''.join(parts),
        viewBox=f'0 0 {number(width)} {number(height)}',
        role='img',
        aria_label=label,
        xmlns='http://www.w3.org/2000/svg',
    )


def window(x: float, y: float, width: float, height: float, parts: Iterable[str]) -> str:
    """Return parts in the coordinates of the drawing, cut off outside a rectangle."""
    box = f'{number(x)} {number(y)} {number(width)} {number(height)}'
    return tag('svg', ''.join(parts), x=x, y=y, width=width, height=height, viewBox=box)


def polyline(x: Floats, y: Floats, class_: str) -> str:
    """Return a line through points given in drawing coordinates, shape (points,) each."""
    points = ' '.join(f'{number(a)},{number(b)}' for a, b in zip(x, y, strict=True))
    return tag('polyline', points=points, class_=class_)


def thin(t: Floats, values: Floats, buckets: int = 300) -> tuple[Floats, Floats]:
    """Reduce a series to what can be seen: the extremes of each of so many stretches.

    Unlike taking every n-th sample this keeps a spike of a single sample.
    """
    finite = np.isfinite(values)
    t, values = t[finite], values[finite]
    if len(t) <= 2 * buckets:
        return t, values
    kept: list[int] = []
    edges = np.linspace(0, len(t), buckets + 1).astype(int)
    for begin, end in pairwise(edges):
        part = values[begin:end]
        kept += sorted({begin + int(part.argmin()), begin + int(part.argmax())})
    return t[kept], values[kept]


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return up to `count` + 1 round values in [low, high]: multiples of 1, 2 or 5 times 10^n."""
    span = high - low
    if not math.isfinite(span) or span <= 0.0:
        return [low]
    power = 10.0 ** (math.floor(math.log10(span / count)) - 1)
    for multiple in (1, 2, 5, 10, 20, 50, 100):
        step = multiple * power
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        if last - first < count + 1:
            return [index * step for index in range(first, last + 1)]
    return [low, high]


def tick_label(value: float, step: float) -> str:
    """Return a value with the decimals that its neighbours differ in."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0.0 else 3
    return f'{value:.{decimals}f}'


def padded(values: Iterable[Floats], *, least: float = 0.0) -> tuple[float, float]:
    """Return a range that holds all finite values with some air around them.

    Args:
        values: Of all series of a chart.
        least: Smallest range: what changes by less shall look still, not like noise.
    """
    joined = np.concatenate([np.zeros(0), *values])
    joined = joined[np.isfinite(joined)]
    if joined.size == 0:
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    air = max((high - low) * _AIR, (least - (high - low)) / 2)
    air = air or max(abs(high) * _AIR, 1e-3)
    return low - air, high + air
