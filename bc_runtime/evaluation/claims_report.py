# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A claim's numbers as a Markdown table and as a picture that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from bc_runtime.evaluation.statistics import wilson_interval
from bc_runtime.evaluation.svg import Floats, Scale, polyline, tag, text

_WIDTH, _HEIGHT = 560.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 190.0, 34.0, 40.0
# Distinguishable in both colour schemes and for colour-blind readers (Okabe and Ito, 2008).
_COLOURS: Final = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
_STYLE: Final = (
    'text{font:12px sans-serif;fill:#555}.title{font-weight:bold}'
    '.grid{stroke:#9994;stroke-width:1}.line{fill:none;stroke-width:2}'
)

#: Successes out of trials.
Counted = tuple[int, int]


def count_table(
    variable: str, columns: Sequence[float], rows: Mapping[str, Sequence[Counted]]
) -> str:
    """Return a Markdown table of successes with their 95 % intervals (Wilson)."""
    cells = {name: [_share(*each) for each in row] for name, row in rows.items()}
    return _table(variable, columns, cells)


def value_table(
    variable: str, columns: Sequence[float], rows: Mapping[str, Sequence[float]]
) -> str:
    """Return a Markdown table of numbers."""
    return _table(variable, columns, {n: [f'{v:.3f}' for v in row] for n, row in rows.items()})


def claim_chart(
    rows: Mapping[str, Sequence[float]],
    *,
    columns: Sequence[float],
    title: str,
    variable: str,
    highest: float | None = None,
) -> str:
    """Draw one line per row over the columns, which are evenly spaced.

    Args:
        rows: Name -> one value per column.
        columns: What stands below.
        title: Above the chart.
        variable: Below the columns.
        highest: End of the value axis; what the values need if None.
    """
    top = highest or 1.1 * max((max(row) for row in rows.values()), default=1.0) or 1.0
    x = Scale(0.0, max(len(columns) - 1.0, 1.0), _LEFT + 16.0, _WIDTH - _RIGHT)
    y = Scale(0.0, top, _HEIGHT - _BOTTOM, _TOP)
    parts = [tag('style', _STYLE), text(_LEFT, 18.0, title, 'title')]
    for value in np.linspace(0.0, top, 5):
        parts.append(
            tag('line', x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(value), y2=y(value), class_='grid')
        )
        label = f'{value:.0%}' if highest else f'{value:.3g}'
        parts.append(text(_LEFT - 6.0, y(value) + 4.0, label, anchor='end'))
    for place, column in enumerate(columns):
        parts.append(text(x(place), _HEIGHT - _BOTTOM + 16.0, f'{column:g}', anchor='middle'))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2.0
    parts.append(text(middle, _HEIGHT - 6.0, variable, anchor='middle'))
    for index, (name, row) in enumerate(rows.items()):
        parts += _line(name, row, index, x, y)
    return tag(
        'svg',
        ''.join(parts),
        viewBox=f'0 0 {_WIDTH:g} {_HEIGHT:g}',
        width=_WIDTH,
        height=_HEIGHT,
        role='img',
        aria_label=title,
        xmlns='http://www.w3.org/2000/svg',
    )


def _line(name: str, row: Sequence[float], index: int, x: Scale, y: Scale) -> list[str]:
    colour = _COLOURS[index % len(_COLOURS)]
    places: Floats = np.array([x(place) for place in range(len(row))])
    values: Floats = np.array([y(value) for value in row])
    base = _TOP + 18.0 * index
    drawn = [
        polyline(places, values, 'line'),
        *(
            tag('circle', cx=float(a), cy=float(b), r=3.5)
            for a, b in zip(places, values, strict=True)
        ),
    ]
    return [
        tag('g', ''.join(drawn), stroke=colour, fill=colour),
        tag('circle', cx=_WIDTH - _RIGHT + 18.0, cy=base, r=5.0, fill=colour),
        text(_WIDTH - _RIGHT + 28.0, base + 4.0, name),
    ]


def _table(variable: str, columns: Sequence[float], rows: Mapping[str, Sequence[str]]) -> str:
    heads = [f'{column:g}' for column in columns] if len(columns) > 1 else ['success']
    lines = [[variable, *heads], ['---'] * (len(heads) + 1)]
    lines += [[name, *cells] for name, cells in rows.items()]
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def _share(done: int, count: int) -> str:
    interval = wilson_interval(done, count)
    if interval is None:
        return '-'
    return f'{done}/{count} ({interval.low:.0%}-{interval.high:.0%})'
