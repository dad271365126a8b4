# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Charts of the report: lines over time, a histogram, an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bc_runtime.evaluation.statistics import Interval, percentiles
from bc_runtime.evaluation.svg import (
    Floats,
    Scale,
    drawing,
    padded,
    polyline,
    tag,
    text,
    thin,
    tick_label,
    ticks,
    window,
)

_LEFT, _RIGHT, _BOTTOM = 46.0, 8.0, 22.0
_LABEL = 66.0  # width of 'p99 123 ms'


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series to draw; `t_s` and `values` of shape (samples,), `style` a CSS class."""

    t_s: Floats
    values: Floats
    style: str


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    label: str,
    width: float,
    height: float,
    span_s: tuple[float, float],
    shaded_s: tuple[float, float] | None = None,
    framed: Sequence[Line] = (),
    least: float = 0.0,
) -> str:
    """Draw lines over time.

    Args:
        lines: Drawn in this order, the last on top.
        title: Above the chart.
        label: For screen readers.
        width: Of the drawing [units; about CSS pixels at full width].
        height: Of the drawing.
        span_s: Range of the time axis [s].
        shaded_s: Stretch of time to mark [s].
        framed: Lines that decide the range of the value axis; all if empty.
        least: Smallest range of the value axis.
    """
    top = 22.0
    inside = [_within(line, span_s) for line in lines]
    low, high = padded([_within(line, span_s).values for line in framed or lines], least=least)
    x = Scale(*span_s, _LEFT, width - _RIGHT)
    y = Scale(low, high, height - _BOTTOM, top)
    parts = [text(_LEFT, 13, title, 'chart-title')]
    if shaded_s is not None:
        begin, end = x(max(shaded_s[0], span_s[0])), x(min(shaded_s[1], span_s[1]))
        parts.append(
            tag('rect', x=begin, y=top, width=end - begin, height=y(low) - top, class_='shade')
        )
    parts += value_axis(y, _LEFT, width - _RIGHT)
    parts += time_axis(x, height - _BOTTOM)
    drawn = [
        polyline(*_placed(*thin(line.t_s, line.values), x, y), line.style)
        for line in inside
        if line.t_s.size
    ]
    parts.append(window(_LEFT, top, width - _RIGHT - _LEFT, y(low) - top, drawn))
    return drawing(width, height, parts, label)


def value_axis(y: Scale, left: float, right: float, count: int = 4) -> list[str]:
    """Return grid lines with their values."""
    values = ticks(y.low, y.high, count)
    step = values[1] - values[0] if len(values) > 1 else abs(y.high - y.low)
    parts = []
    for value in values:
        place = y(value)
        parts.append(tag('line', x1=left, x2=right, y1=place, y2=place, class_='grid'))
        parts.append(text(left - 6, place + 3.5, tick_label(value, step), 'tick', 'end'))
    return parts


def time_axis(x: Scale, y: float, unit: str = 's') -> list[str]:
    """Return the lower axis; the unit stands at its last value."""
    values = ticks(x.low, x.high, max(2, int((x.end - x.start) / 75)))
    step = values[1] - values[0] if len(values) > 1 else abs(x.high - x.low)
    parts = [tag('line', x1=x.start, x2=x.end, y1=y, y2=y, class_='axis')]
    for value in values:
        place = x(value)
        last = f' {unit}' if value is values[-1] else ''
        parts.append(tag('line', x1=place, x2=place, y1=y, y2=y + 4, class_='axis'))
        parts.append(text(place, y + 16, tick_label(value, step) + last, 'tick', 'middle'))
    return parts


def histogram(
    samples: Mapping[str, Floats], *, styles: Mapping[str, str], width: float, height: float
) -> str:
    """Draw distributions of durations over each other, with median and 99th percentile.

    Args:
        samples: Name -> durations [ms].
        styles: Name -> CSS class.
        width: Of the drawing.
        height: Of the drawing.
    """
    finite = {name: v[np.isfinite(v)] for name, v in samples.items()}
    finite = {name: v for name, v in finite.items() if v.size}
    if not finite:
        return ''
    # The axis ends where the last per mille begins, else one outlier would flatten all the rest.
    high = max(float(np.percentile(v, 99.9)) for v in finite.values()) * 1.05 or 1.0
    edges = np.linspace(0.0, high, 61)
    shares = {n: np.histogram(np.minimum(v, high), edges)[0] / v.size for n, v in finite.items()}
    top, left = 34.0, 12.0
    x = Scale(0.0, high, left, width - _RIGHT)
    y = Scale(0.0, max(float(s.max()) for s in shares.values()), height - _BOTTOM, top)
    parts = []
    for name, share in shares.items():
        bars = [
            tag(
                'rect',
                x=x(edges[i]),
                y=y(value),
                width=x(edges[i + 1]) - x(edges[i]) - 0.6,
                height=y(0.0) - y(value),
            )
            for i, value in enumerate(share)
            if value > 0.0
        ]
        parts.append(tag('g', ''.join(bars), class_=f'bars {styles[name]}'))
    parts += time_axis(x, height - _BOTTOM, 'ms')
    for row, (name, values) in enumerate(finite.items()):
        base = top - 4 - 14 * (len(finite) - 1 - row)
        parts += _marks(values, x, base, y(0.0), styles[name])
    label = '; '.join(f'{name}: {percentiles(v)}' for name, v in finite.items())
    return drawing(width, height, parts, f'Distribution of durations. {label}')


def _marks(values: Floats, x: Scale, top: float, bottom: float, style: str) -> list[str]:
    """Return median and 99th percentile as lines with their values."""
    found = {key: value for key, value in percentiles(values).items() if value is not None}
    parts = []
    labels = {key: f'{key} {value:.0f} ms' for key, value in found.items()}
    if x(found['p50']) < x.start + _LABEL and x(found['p99']) < x.start + 2 * _LABEL:
        # No room to the left of the median, none between the two: one label for both.
        labels = {'p99': f'{labels["p50"]}, {labels["p99"]}'}
    for key, value in found.items():
        place = x(min(value, x.high))
        parts.append(tag('line', x1=place, x2=place, y1=top, y2=bottom, class_=f'mark {style}'))
        if key not in labels:
            continue
        # The median's label stands to the left of its line, so that two close lines both fit.
        left = (key == 'p50' and place > x.start + _LABEL) or place > x.end - _LABEL
        side = (place - 4, 'end') if left else (place + 4, 'start')
        parts.append(text(side[0], top + 4, labels[key], f'mark-label {style}', side[1]))
    return parts


def interval_bar(rate: float, interval: Interval, *, width: float = 220.0) -> str:
    """Draw a success rate with its confidence interval on a line from 0 to 100 %."""
    x = Scale(0.0, 1.0, 6.0, width - 6.0)
    low, high = x(interval.low), x(interval.high)
    parts = [
        tag('line', x1=x(0.0), x2=x(1.0), y1=10.0, y2=10.0, class_='track'),
        tag('line', x1=low, x2=high, y1=10.0, y2=10.0, class_='interval'),
        tag('circle', cx=x(rate), cy=10.0, r=5.0, class_='dot'),
    ]
    label = f'{rate:.0%}, 95 % interval {interval.low:.0%} to {interval.high:.0%}'
    return drawing(width, 20.0, parts, label)


def _within(line: Line, span_s: tuple[float, float]) -> Line:
    """Return the part of a line inside a time span, with one sample more on each side."""
    inside = np.flatnonzero((line.t_s >= span_s[0]) & (line.t_s <= span_s[1]))
    if inside.size == 0:
        return Line(t_s=np.zeros(0), values=np.zeros(0), style=line.style)
    part = slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2)
    return Line(t_s=line.t_s[part], values=line.values[part], style=line.style)


def _placed(t: Floats, values: Floats, x: Scale, y: Scale) -> tuple[Floats, Floats]:
    return np.array([x(v) for v in t]), np.array([y(v) for v in values])
