# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One episode in the report: pictures, states, predicted chunks, joints."""

from __future__ import annotations

from html import escape

import numpy as np

from bc_runtime.evaluation.charts import Line, line_chart
from bc_runtime.evaluation.episode_chart import episode_chart, picture_times
from bc_runtime.evaluation.episode_metrics import EpisodeMetrics
from bc_runtime.evaluation.episode_record import EpisodeRecord, JointSeries
from bc_runtime.evaluation.pictures import camera_name, pictures_at
from bc_runtime.recording.reader import BagReader

_PICTURES = 7
_PICTURE_WIDTH = 300  # pixels; shown at about half of it, for sharp screens
_EVENTS = 20
_CLOSE_UP_S = 2.5
# Below this a joint shall look as still as it is.
_LEAST_RANGE = {'rad': 0.05, 'm': 0.01}


def episode_section(
    bag: BagReader, record: EpisodeRecord, metrics: EpisodeMetrics, *, opened: bool
) -> str:
    """Return the section of one episode.

    Args:
        bag: The episode's bag, opened, for its pictures.
        record: The episode.
        metrics: Its figures.
        opened: Show the section unfolded.
    """
    labels = record.labels
    outcome = labels.outcome.name.lower()
    title = (
        f'<summary id="{escape(labels.id, quote=True)}">{escape(labels.id)}'
        f'<span class="chip {outcome}">{outcome}</span></summary>'
    )
    parts = [title, f'<p class="muted">{_sentence(record, metrics)}</p>', _pictures(bag, record)]
    parts += [_events(record), _fan(record), _joints(record)]
    return f'<details class="card"{" open" if opened else ""}>{"".join(parts)}</details>'


def _sentence(record: EpisodeRecord, metrics: EpisodeMetrics) -> str:
    labels = record.labels
    words = [f'“{escape(labels.instruction)}”.' if labels.instruction else '']
    words.append(f'{record.duration_s:.1f} s')
    if labels.termination:
        words.append(f', ended by {escape(labels.termination)}')
    words.append(f'; {len(record.chunks)} chunks predicted')
    if metrics.largest_tracking_error is not None:
        words.append(
            f'; the robot was never further than {metrics.largest_tracking_error:.3f} from its '
            'command (worst joint, rad or m)'
        )
    if labels.note:
        words.append(f'. Note: {escape(labels.note)}')
    return ' '.join(words).replace(' ,', ',').replace(' ;', ';').replace(' .', '.') + '.'


def _pictures(bag: BagReader, record: EpisodeRecord) -> str:
    times = picture_times(record.duration_s, _PICTURES)
    rows = [
        (camera_name(topic), pictures_at(bag, topic, times, width=_PICTURE_WIDTH))
        for topic in record.cameras
    ]
    if not rows and record.ticks is None:
        return ''
    note = 'Time runs from left to right; the strip shows who was in charge.'
    return (
        f'<h3>What happened</h3><p class="note">{note}</p>'
        f'{episode_chart(rows, record.ticks, record.duration_s)}'
    )


def _events(record: EpisodeRecord) -> str:
    """Return what the controller said, as a list under the strip of states."""
    items = ''.join(
        f'<li><span class="time">{event.t_s:.2f} s</span> <b>{escape(event.state)}</b> '
        f'{escape(event.code)}'
        + (f'<span class="muted">: {escape(event.text)}</span>' if event.text else '')
        + '</li>'
        for event in record.events[:_EVENTS]
    )
    more = len(record.events) - _EVENTS
    if more > 0:
        items += f'<li class="muted">and {more} more</li>'
    return f'<ul class="events">{items}</ul>' if items else ''


def _fan(record: EpisodeRecord) -> str:
    """Return the chunks of the joint that moved most, over what was executed."""
    joint = _busiest_joint(record)
    if joint is None:
        return ''
    chunk_lines = [
        Line(t_s=chunk.t_s, values=chunk.values[:, chunk.names.index(joint)], style='l-chunk')
        for chunk in record.chunks
        if joint in chunk.names
    ]
    executed = _executed_lines(record, joint)
    span = (0.0, record.duration_s)
    close = _close_up(record.commanded or record.measured, joint, record.duration_s)
    title = f'{joint} [{_unit(record, joint)}]'
    whole = line_chart(
        [*chunk_lines, *executed],
        title=title,
        label=f'Predicted chunks of {joint} over the executed command',
        width=600.0,
        height=230.0,
        span_s=span,
        shaded_s=close,
        framed=executed,
    )
    detail = line_chart(
        [*chunk_lines, *executed],
        title='the shaded stretch, closer',
        label=f'Predicted chunks of {joint}, a few seconds enlarged',
        width=400.0,
        height=230.0,
        span_s=close,
        framed=executed,
    )
    legend = _legend(
        ('c-chunk', 'each chunk that the policy predicted'),
        ('c-command', 'command sent to the robot'),
        ('c-measured', 'measured'),
    )
    return (
        '<h3>What the policy wanted, and what was done</h3>'
        '<p class="note">The policy predicts a piece of the future again and again; the command '
        'blends the chunks that cover a moment. A tight fan means that it keeps its mind.</p>'
        f'{legend}<div class="pair">{whole}{detail}</div>'
    )


def _joints(record: EpisodeRecord) -> str:
    series = record.commanded or record.measured
    if series is None:
        return ''
    charts = [
        line_chart(
            _executed_lines(record, name),
            title=f'{name} [{_unit(record, name)}]',
            label=f'Commanded and measured position of {name}',
            width=330.0,
            height=150.0,
            span_s=(0.0, record.duration_s),
            least=_LEAST_RANGE.get(_unit(record, name), 0.05),
        )
        for name in series.names
    ]
    legend = _legend(('c-command', 'commanded'), ('c-measured', 'measured'))
    return f'<h3>Every joint</h3>{legend}<div class="joints">{"".join(charts)}</div>'


def _executed_lines(record: EpisodeRecord, joint: str) -> list[Line]:
    lines = []
    for series, style in ((record.commanded, 'l-command'), (record.measured, 'l-measured')):
        values = series.of(joint) if series is not None else None
        if series is not None and values is not None:
            lines.append(Line(t_s=series.t_s, values=values, style=style))
    return lines


def _busiest_joint(record: EpisodeRecord) -> str | None:
    """Return the joint with the largest range, among those predicted in absolute terms.

    A joint in metres is compared as if a metre were a radian, which keeps a gripper out.
    """
    series = record.commanded or record.measured
    if series is None or not record.chunks:
        return None
    chunk = record.chunks[0]
    ranges = {
        name: float(np.ptp(series.position[:, series.names.index(name)]))
        for name, relative in zip(chunk.names, chunk.relative, strict=False)
        if name in series.names and not relative
    }
    return max(ranges, key=lambda name: ranges[name]) if ranges else None


def _close_up(series: JointSeries | None, joint: str, duration_s: float) -> tuple[float, float]:
    """Return the stretch of `_CLOSE_UP_S` in which the joint travels furthest."""
    values = series.of(joint) if series is not None else None
    if series is None or values is None or duration_s <= _CLOSE_UP_S:
        return 0.0, duration_s
    travelled = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(values)))])
    ahead = np.interp(series.t_s + _CLOSE_UP_S, series.t_s, travelled) - travelled
    start = float(series.t_s[int(ahead.argmax())])
    start = min(max(start, 0.0), duration_s - _CLOSE_UP_S)
    return start, start + _CLOSE_UP_S


def _unit(record: EpisodeRecord, joint: str) -> str:
    for chunk in record.chunks[:1]:
        if joint in chunk.names and len(chunk.units) == len(chunk.names):
            return chunk.units[chunk.names.index(joint)]
    return 'rad or m'


def _legend(*entries: tuple[str, str]) -> str:
    items = ''.join(
        f'<span><i class="{style}"></i>{escape(words)}</span>' for style, words in entries
    )
    return f'<div class="legend">{items}</div>'
