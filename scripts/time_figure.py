# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Draw the time axis of a recorded episode: the fan of chunks, their weights, the holes.

    scripts/run python scripts/time_figure.py out/demo/bags/episode_000_seed_10000

Chunks are put into a `Timeline` when the bag says that they came, and it is asked every 10 ms, as
the controller does it; so any strategy can be looked at, also another than the one of the run. The
dashed line is the command that the run really sent.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import colorsys
from dataclasses import dataclass
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.evaluation import svg
from bc_runtime.evaluation.episode_record import CHUNK, load_episode, stamp_ns
from bc_runtime.execution import ActionChunk, Setpoint, Timeline, make_strategy
from bc_runtime.recording.reader import BagReader
from bc_runtime.spec.errors import BcError, available

TICK_NS = 10_000_000
NS = 1_000_000_000
WIDTH, LEFT, RIGHT = 860.0, 64.0, 14.0
FAN = (34.0, 250.0)  # top and bottom of the panels
WEIGHTS = (292.0, 400.0)
COVER = (420.0, 436.0)
BOTTOM = 478.0
STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.page { fill: #ffffff; } text { fill: #1b2430; } .muted { fill: #5f6b7a; }
.grid { stroke: #dfe3e9; } polyline { fill: none; }
.chunk { stroke-width: 1.1; opacity: .8; } .plan { stroke: #12161b; stroke-width: 2.4; }
.sent { stroke: #bd2f27; stroke-width: 1.4; stroke-dasharray: 5 4; }
.hole { fill: #e0766f; } .plan-row { fill: #6cc08f; } .shade { fill: #e0766f; opacity: .13; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the timeline said at one time, seconds since the first chunk of the window came."""

    t_s: float
    value: float | None
    hole: str
    weights: dict[int, float]


def read_chunks(bag: BagReader) -> list[ActionChunk]:
    """Return the chunks of a bag in the order in which they came."""
    topics = bag.topics_of_type(CHUNK)[:1]
    if not topics:
        raise BcError(f'{bag.path}: no topic of type {CHUNK}; record an episode with `bc demo`')
    return [_chunk(message.decode(), message.log_time_ns) for message in bag.messages(topics)]


def _chunk(msg: Any, received_ns: int) -> ActionChunk:
    return ActionChunk(
        stamp_ns=stamp_ns(msg.header.stamp),
        dt_ns=stamp_ns(msg.dt),
        stamp_index=int(msg.stamp_index),
        values=np.asarray(msg.values, dtype=np.float32).reshape(int(msg.steps), -1),
        names=tuple(msg.names),
        kinds=tuple(msg.kinds),
        references=tuple(msg.references),
        sequence=int(msg.sequence),
        epoch=int(msg.epoch),
        anchor=dict(zip(msg.anchor_names, msg.anchor_positions, strict=False)) or None,
        received_ns=received_ns,
    )


def replay(
    chunks: Sequence[ActionChunk], timeline: Timeline, joint: int, begin_ns: int, end_ns: int
) -> Iterator[Answer]:
    """Yield the timeline's answer at every tick."""
    waiting = list(chunks)
    for t_ns in range(begin_ns, end_ns, TICK_NS):
        while waiting and waiting[0].received_ns <= t_ns:
            chunk = waiting.pop(0)
            if chunk.epoch != timeline.epoch:
                timeline.clear(chunk.epoch)
            timeline.add(chunk)
        answer = timeline.at(t_ns)
        t_s = (t_ns - begin_ns) / NS
        if isinstance(answer, Setpoint):
            weights = dict(
                zip(answer.chunk_sequences.tolist(), answer.weights.tolist(), strict=True)
            )
            yield Answer(t_s=t_s, value=float(answer.values[joint]), hole='', weights=weights)
        else:
            yield Answer(t_s=t_s, value=None, hole=answer.reason.value, weights={})


def color(sequence: int) -> str:
    """Return a colour; neighbours differ, and every chunk keeps its own in all panels."""
    red, green, blue = colorsys.hls_to_rgb(sequence * 0.131 % 1.0, 0.52, 0.55)
    return f'#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}'


def draw(
    chunks: Sequence[ActionChunk],
    answers: Sequence[Answer],
    sent: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    begin_ns: int,
    joint: str,
    strategy: str,
) -> str:
    """Return the SVG.

    Args:
        chunks: Those that came within the window or before.
        answers: The timeline's, tick by tick.
        sent: Times [s] and values of the commands of the run.
        begin_ns: Start of the window.
        joint: Action that is drawn.
        strategy: Name, for the title.
    """
    end_s = answers[-1].t_s
    x = svg.Scale(0.0, end_s, LEFT, WIDTH - RIGHT)
    column = chunks[0].names.index(joint)
    lines = []
    for chunk in chunks:
        t_s = np.array([(chunk.time_of(k) - begin_ns) / NS for k in range(chunk.chunk_size)])
        lines.append((chunk, t_s, chunk.values[:, column].astype(float)))
    shown = [values[(t_s >= 0.0) & (t_s <= end_s)] for _, t_s, values in lines]
    y = svg.Scale(*svg.padded([*shown, sent[1]], least=0.05), FAN[1], FAN[0])
    parts = [svg.tag('style', STYLE), svg.tag('rect', class_='page', width=WIDTH, height=BOTTOM)]
    title = f'{joint}: chunks (thin), the plan by {strategy} (thick), command (dashed)'
    parts.append(svg.text(LEFT, 20.0, title))
    for value in svg.ticks(y.low, y.high):
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(svg.text(LEFT - 6, y(value) + 4, f'{value:g}', 'muted', 'end'))
    holes = list(_stretches(answers))
    for first, last, reason in holes:
        if reason:
            parts.append(_box(x(first), FAN[0], x(last), WEIGHTS[1], 'shade'))
    fan = []
    for chunk, t_s, values in lines:
        xs, ys = np.array([x(t) for t in t_s]), np.array([y(v) for v in values])
        line = svg.polyline(xs, ys, 'chunk')
        fan.append(line.replace('<polyline', f'<polyline style="stroke:{color(chunk.sequence)}"'))
        fill = f'fill:{color(chunk.sequence)}'
        fan.append(svg.tag('circle', cx=float(xs[0]), cy=float(ys[0]), r=2.2, style=fill))
    for t_s, plan in _plans(answers):
        xs, ys = np.array([x(t) for t in t_s]), np.array([y(v) for v in plan])
        fan.append(svg.polyline(xs, ys, 'plan'))
    inside = (sent[0] >= 0.0) & (sent[0] <= end_s)
    fan.append(
        svg.polyline(
            np.array([x(t) for t in sent[0][inside]]),
            np.array([y(v) for v in sent[1][inside]]),
            'sent',
        )
    )
    box = (LEFT, FAN[0], WIDTH - RIGHT - LEFT, FAN[1] - FAN[0])
    parts.append(svg.window(*box, fan))
    parts.append(svg.text(LEFT, WEIGHTS[0] - 8, 'weight of each chunk, the oldest at the bottom'))
    parts += _weights(answers, x)
    parts.append(svg.text(LEFT - 6, COVER[1] - 4, 'plan', 'muted', 'end'))
    for first, last, reason in holes:
        parts.append(_box(x(first), *_swap(COVER, x(last)), 'hole' if reason else 'plan-row'))
        if reason:
            parts.append(svg.text(x(first), COVER[1] + 14, f'hole: {reason}', 'muted'))
    for value in svg.ticks(0.0, end_s, 8):
        parts.append(svg.text(x(value), BOTTOM - 8, f'{value:g} s', 'muted', 'middle'))
    label = f'Chunks of {joint} over time, the plan made of them, their weights and the holes'
    return svg.drawing(WIDTH, BOTTOM, parts, label) + '\n'


def _swap(rows: tuple[float, float], x2: float) -> tuple[float, float, float]:
    return rows[0], x2, rows[1]


def _box(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return svg.tag('rect', x=x1, y=y1, width=max(x2 - x1, 0.5), height=y2 - y1, class_=class_)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return svg.tag('line', x1=x1, y1=y1, x2=x2, y2=y2, class_='grid')


def _stretches(answers: Sequence[Answer]) -> Iterator[tuple[float, float, str]]:
    """Yield (from, to, reason of the hole or nothing) of neighbouring ticks that agree."""
    begin = answers[0]
    for answer in answers[1:]:
        if answer.hole != begin.hole:
            yield begin.t_s, answer.t_s, begin.hole
            begin = answer
    yield begin.t_s, answers[-1].t_s, begin.hole


def _plans(answers: Sequence[Answer]) -> Iterator[tuple[list[float], list[float]]]:
    t_s: list[float] = []
    values: list[float] = []
    for answer in answers:
        if answer.value is not None:
            t_s.append(answer.t_s)
            values.append(answer.value)
        elif t_s:
            yield t_s, values
            t_s, values = [], []
    if t_s:
        yield t_s, values


def _weights(answers: Sequence[Answer], x: svg.Scale) -> list[str]:
    """Return one bar for each time that the weights stay the same, divided among the chunks."""
    parts = []
    y = svg.Scale(0.0, 1.0, WEIGHTS[1], WEIGHTS[0])
    tick_s = TICK_NS / NS
    for _, group in itertools.groupby(answers, key=lambda answer: tuple(answer.weights.items())):
        same = list(group)
        left, right = x(same[0].t_s), x(same[-1].t_s + tick_s)
        below = 0.0
        for sequence, weight in same[0].weights.items():
            bar = _box(left, y(below + weight), right + 0.1, y(below), 'share')
            parts.append(bar.replace('<rect', f'<rect style="fill:{color(sequence)}"'))
            below += weight
    for value in (0.0, 1.0):
        parts.append(svg.text(LEFT - 6, y(value) + 4, f'{value:g}', 'muted', 'end'))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('bag', type=Path)
    parser.add_argument('--joint', default='', help='action to draw; default: the first')
    parser.add_argument('--strategy', default='temporal_ensemble')
    parser.add_argument('--begin', type=float, help='seconds since the first chunk; default -0.15')
    parser.add_argument('--seconds', type=float, default=2.6, help='length of the window')
    parser.add_argument('--out', type=Path, default=Path('docs/images/time.svg'))
    arguments = parser.parse_args()
    with BagReader(arguments.bag) as bag:
        chunks = read_chunks(bag)
        record = load_episode(bag)
    if not chunks:
        raise SystemExit(f'{arguments.bag}: no chunks')
    joint = arguments.joint or chunks[0].names[0]
    if joint not in chunks[0].names:
        raise SystemExit(f'no action {joint!r}; available: {available(chunks[0].names)}')
    begin = -0.15 if arguments.begin is None else arguments.begin
    begin_ns = chunks[0].received_ns + round(begin * NS)
    end_ns = begin_ns + round(arguments.seconds * NS)
    timeline = Timeline(make_strategy(arguments.strategy), epoch=chunks[0].epoch)
    column = chunks[0].names.index(joint)
    answers = list(replay(chunks, timeline, column, begin_ns, end_ns))
    sent = (np.zeros(0), np.zeros(0))
    commanded = record.commanded
    if commanded is not None and joint in commanded.names:
        values = commanded.of(joint)
        if values is not None:
            sent = (commanded.t_s - (begin_ns - record.start_ns) / NS, values)
            inside = (sent[0] >= 0.0) & (sent[0] <= arguments.seconds)
            sent = (sent[0][inside], sent[1][inside])
    came = [chunk for chunk in chunks if chunk.received_ns < end_ns and chunk.end_ns > begin_ns]
    picture = draw(
        came, answers, sent, begin_ns=begin_ns, joint=joint, strategy=arguments.strategy
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(picture, encoding='utf-8')
    held = sum(1 for answer in answers if answer.hole)
    print(f'{len(came)} chunks, {len(answers)} ticks, {held} of them in holes: {arguments.out}')


if __name__ == '__main__':
    main()
