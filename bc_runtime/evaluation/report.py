# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`report.html`: what happened in a run of trials, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
import os
from pathlib import Path
from typing import Any

import numpy as np

from bc_runtime import __version__
from bc_runtime.evaluation.charts import histogram, interval_bar
from bc_runtime.evaluation.episode_metrics import EpisodeMetrics, episode_metrics
from bc_runtime.evaluation.episode_record import EpisodeRecord, load_episode
from bc_runtime.evaluation.report_episode import episode_section
from bc_runtime.evaluation.report_style import STYLE
from bc_runtime.evaluation.statistics import Interval, percentiles
from bc_runtime.recording.labels import Outcome
from bc_runtime.recording.reader import BagReader
from bc_runtime.spec.errors import BcError

DEFAULT_DETAILS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Episode:
    record: EpisodeRecord
    metrics: EpisodeMetrics


def write_report(
    path: Path,
    summary: Mapping[str, Any],
    bags: Sequence[Path],
    *,
    details: int = DEFAULT_DETAILS,
) -> None:
    """Write the report.

    Args:
        path: HTML file to write; its folder is made if it is not there.
        summary: As `summarize_demo` returns it.
        bags: Bags of the trials, in their order. One that cannot be read is named in the report.
        details: Episodes to show with pictures and charts: failures first, then the earliest.
    """
    episodes: list[_Episode] = []
    problems: list[str] = []
    for bag_path in bags:
        try:
            with BagReader(bag_path) as bag:
                record = load_episode(bag, joints=False)
        except BcError as error:
            problems.append(str(error))
            continue
        episodes.append(_Episode(record=record, metrics=episode_metrics(record)))
    shown = _choose(episodes, details)
    sections = []
    for episode in shown:
        with BagReader(episode.record.path) as bag:
            record = load_episode(bag)
            sections.append(
                episode_section(bag, record, episode.metrics, opened=episode is shown[0])
            )
    page = _page(summary, episodes, sections, problems, {e.record.labels.id for e in shown})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.tmp')
    temporary.write_text(page, encoding='utf-8')
    os.replace(temporary, path)


def _choose(episodes: Sequence[_Episode], count: int) -> list[_Episode]:
    failed = [e for e in episodes if e.record.labels.outcome is not Outcome.SUCCESS]
    others = [e for e in episodes if e.record.labels.outcome is Outcome.SUCCESS]
    # One success is always shown: a failure is understood beside it.
    chosen = {id(e) for e in [*others[:1], *failed, *others[1:]][:count]}
    return [e for e in episodes if id(e) in chosen]


def _page(
    summary: Mapping[str, Any],
    episodes: Sequence[_Episode],
    sections: Sequence[str],
    problems: Sequence[str],
    detailed: set[str],
) -> str:
    policy = summary.get('policy') or {}
    name = policy.get('name') or 'a policy'
    when = _when(episodes)
    body = [
        f'<h1>{escape(name)}: {summary.get("successes")} of {summary.get("episodes")} '
        'trials succeeded</h1>',
        f'<p class="lead">{_lead(summary, episodes)} {when}</p>',
        _tiles(summary),
        _latency(episodes),
        _table(episodes, detailed),
    ]
    if problems:
        items = ''.join(f'<li>{escape(problem)}</li>' for problem in problems)
        body.append(f'<h2>Not readable</h2><ul>{items}</ul>')
    if sections:
        body.append(f'<h2>Episodes</h2>{"".join(sections)}')
    body.append(_provenance(summary))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="bc_runtime {__version__}">'
        f'<title>{escape(name)}: trial report</title><style>{STYLE}</style></head>'
        f'<body><main>{"".join(body)}</main></body></html>\n'
    )


def _lead(summary: Mapping[str, Any], episodes: Sequence[_Episode]) -> str:
    family = (summary.get('policy') or {}).get('family')
    tasks = sorted({e.record.labels.instruction for e in episodes if e.record.labels.instruction})
    words = f'A cloned policy{f" ({escape(family)})" if family else ""} drove the robot through '
    words += 'the ROS 2 graph in real time'
    if 0 < len(tasks) <= 3:
        words += ': ' + ', '.join(f'“{escape(task)}”' for task in tasks)
    return f'{words}.'


def _when(episodes: Sequence[_Episode]) -> str:
    if not episodes:
        return ''
    start = datetime.fromtimestamp(episodes[0].record.start_ns * 1e-9, tz=UTC)
    return f'Recorded {start:%Y-%m-%d %H:%M} UTC.'


def _tiles(summary: Mapping[str, Any]) -> str:
    rate, interval = summary.get('success_rate'), summary.get('success_rate_wilson_95')
    tiles = []
    if rate is not None and interval:
        low, high = interval['low'], interval['high']
        bar = interval_bar(rate, Interval(low=low, high=high))
        tiles.append(
            _tile('Success', f'{rate:.0%}', f'95 % interval {low:.0%} to {high:.0%}', bar)
        )
    hz = _number(summary.get('control_rate_hz'), '{:.1f} Hz')
    tiles.append(_tile('Control rate', hz, _missed(summary.get('missed_ticks'))))
    jitter = summary.get('tick_jitter_ms') or {}
    tiles.append(
        _tile(
            'Tick lateness, p99',
            _number(jitter.get('p99'), '{:.2f} ms'),
            f'median {_number(jitter.get("p50"), "{:.2f} ms")}',
        )
    )
    latency, inference = summary.get('latency_ms') or {}, summary.get('inference_ms') or {}
    tiles.append(
        _tile(
            'Sensor to command, median',
            _number(latency.get('p50'), '{:.0f} ms'),
            f'p99 {_number(latency.get("p99"), "{:.0f} ms")}; '
            f'of it inference {_number(inference.get("p50"), "{:.0f} ms")}',
        )
    )
    fraction = summary.get('limiter_active_fraction')
    starved = summary.get('starved_ticks')
    tiles.append(
        _tile(
            'Limiter active',
            _number(fraction, '{:.1%}'),
            'of the policy’s ticks'
            + ('' if starved is None else f'; {starved} ticks without a plan'),
        )
    )
    jerk = summary.get('mean_squared_jerk') or {}
    if jerk.get('command') is not None:
        tiles.append(
            _tile(
                'Mean squared jerk',
                _number(jerk['command'], '{:.1f}'),
                f'rad²/s⁶ of the command; measured {_number(jerk.get("measured"), "{:.1f}")}',
            )
        )
    if summary.get('memory_peak_mb'):
        tiles.append(_tile('Memory, peak', f'{summary["memory_peak_mb"]:.0f} MB', 'all processes'))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, value: str, more: str, drawing: str = '') -> str:
    return (
        f'<div class="card tile"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
        f'{drawing}<span class="more">{escape(more)}</span></div>'
    )


def _missed(count: int | None) -> str:
    if count is None:
        return ''
    if count == 1:
        return '1 tick missed'
    return f'{count or "no"} {"ticks" if count else "tick"} missed'


def _latency(episodes: Sequence[_Episode]) -> str:
    empty = [np.zeros(0)]
    samples = {
        'sensor to command': np.concatenate(empty + [e.metrics.latency_ms for e in episodes]),
        'inference': np.concatenate(empty + [e.metrics.inference_ms for e in episodes]),
    }
    chart = histogram(
        samples,
        styles={'sensor to command': 'c-latency', 'inference': 'c-inference'},
        width=1000.0,
        height=190.0,
    )
    if not chart:
        return ''
    return (
        '<h2>Latency</h2><div class="card">'
        '<p class="note">From the moment that a sensor reading is stamped to the first command '
        'that uses it, and how much of that is the policy’s own computation.</p>'
        '<div class="legend"><span class="c-latency"><i class="block"></i>sensor to command</span>'
        '<span class="c-inference"><i class="block"></i>inference alone</span></div>'
        f'{chart}</div>'
    )


def _table(episodes: Sequence[_Episode], detailed: set[str]) -> str:
    if not episodes:
        return ''
    rows = ''.join(_row(episode, detailed) for episode in episodes)
    return (
        '<h2>Trials</h2><div class="card scroll"><table><thead><tr>'
        '<th>episode</th><th>outcome</th><th>instruction</th><th class="n">seed</th>'
        '<th class="n">duration</th><th class="n">rate</th><th class="n">missed</th>'
        '<th class="n">latency p50</th><th class="n">limited</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div>'
    )


def _row(episode: _Episode, detailed: set[str]) -> str:
    record, metrics, labels = episode.record, episode.metrics, episode.record.labels
    outcome = labels.outcome.name.lower()
    name = escape(labels.id)
    if labels.id in detailed:
        name = f'<a href="#{escape(labels.id, quote=True)}">{name}</a>'
    chip = f'<span class="chip {outcome}">{outcome}</span>'
    if labels.outcome is not Outcome.SUCCESS and labels.termination:
        chip += f' <span class="note">{escape(labels.termination)}</span>'
    latency = percentiles(metrics.latency_ms)['p50']
    cells = [
        _number(labels.seed, '{}'),
        f'{record.duration_s:.1f} s',
        _number(metrics.control_rate_hz, '{:.1f} Hz'),
        _number(metrics.missed_ticks, '{}'),
        _number(latency, '{:.0f} ms'),
        _number(metrics.limiter_active_fraction, '{:.1%}'),
    ]
    numbers = ''.join(f'<td class="n">{cell}</td>' for cell in cells)
    return (
        f'<tr><td>{name}</td><td>{chip}</td><td class="wide">{escape(labels.instruction)}</td>'
        f'{numbers}</tr>'
    )


def _provenance(summary: Mapping[str, Any]) -> str:
    policy_id = (summary.get('policy') or {}).get('id') or 'unknown'
    found = summary.get('versions') or {}
    versions = ', '.join(f'{escape(str(k))} {escape(str(v))}' for k, v in found.items())
    return (
        f'<h2>Provenance</h2><p class="note">Policy (sha256) <code>{escape(policy_id)}</code><br>'
        f'{versions}</p>'
    )


def _number(value: Any, form: str) -> str:
    return '–' if value is None else form.format(value)
