# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run of trials: `summary.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from itertools import pairwise
import os
from pathlib import Path
import platform
from typing import Any, Protocol

import numpy as np

from bc_runtime import __version__
from bc_runtime.evaluation.episode_metrics import EpisodeMetrics, episode_metrics
from bc_runtime.evaluation.episode_record import EpisodeRecord, Floats, load_episode
from bc_runtime.evaluation.statistics import percentiles, wilson_interval
from bc_runtime.recording.reader import BagReader
from bc_runtime.spec.errors import BcError

#: Names of `bc_msgs/ControllerStatus.SOURCE_*`, in their order.
SOURCES = ('none', 'policy', 'human', 'align', 'hold', 'brake')
#: Distributions whose versions decide what a policy does; those not installed are left out.
_PACKAGES = ('numpy', 'onnxruntime', 'opencv-python-headless', 'mujoco', 'mcap')


class Trial(Protocol):
    """What is known about a trial besides its bag."""

    @property
    def seed(self) -> int:
        """Seed of the scene."""

    @property
    def instruction(self) -> str:
        """The task in words."""

    @property
    def success(self) -> bool:
        """The task was done."""

    @property
    def wrong_object(self) -> bool:
        """Another object than the named one was moved."""

    @property
    def duration_s(self) -> float:
        """From start to end [s]."""

    @property
    def termination(self) -> str:
        """Why it ended."""

    @property
    def bag(self) -> str:
        """Directory of its bag."""


def summarize_demo(
    trials: Sequence[Trial], *, memory_bytes: int = 0, wall_s: float = 0.0
) -> dict[str, object]:
    """Return the content of summary.json, made of JSON types.

    Rates, percentiles and the mean squared jerk [rad^2/s^6] are over all ticks and chunks of all
    bags together. What no bag tells is None; bags that cannot be read are named under `problems`
    and are part of the success rate all the same.

    Args:
        trials: In the order in which they were run.
        memory_bytes: Peak memory of the whole deployment; 0 if not measured.
        wall_s: Duration of the whole run [s]; 0 if not measured.
    """
    records, problems = _load(Path(trial.bag) for trial in trials)
    metrics = [episode_metrics(record) for record in records]
    successes = sum(trial.success for trial in trials)
    interval = wilson_interval(successes, len(trials))
    policy_ids = sorted({r.labels.policy_id for r in records if r.labels.policy_id})
    names = sorted({r.policy for r in records if any(r.policy)})
    return {
        'episodes': len(trials),
        'successes': successes,
        'success_rate': successes / len(trials) if trials else None,
        'success_rate_wilson_95': (
            {'low': _round(interval.low), 'high': _round(interval.high)} if interval else None
        ),
        'wrong_object': sum(trial.wrong_object for trial in trials),
        'control_rate_hz': _round(_control_rate(metrics)),
        'missed_ticks': _total(m.missed_ticks for m in metrics),
        'tick_jitter_ms': _spread([m.jitter_ms for m in metrics]),
        'latency_ms': _spread([m.latency_ms for m in metrics]),
        'inference_ms': _spread([m.inference_ms for m in metrics]),
        'overhead_ms': _spread([m.overhead_ms for m in metrics]),
        'limiter_active_fraction': _round(_limiter_fraction(metrics)),
        'mean_squared_jerk': {
            'command': _mean([m.command_jerk for m in metrics]),
            'measured': _mean([m.measured_jerk for m in metrics]),
        },
        'starved_ticks': _total(m.starved_ticks for m in metrics),
        'chunks_accepted': _total(m.chunks_accepted for m in metrics),
        'chunks_rejected': _total(m.chunks_rejected for m in metrics),
        'ticks_by_source': ticks_by_source(records),
        'takeovers': sum(map(_takeovers, records)),
        'messages_recorded': sum(record.messages for record in records),
        'messages_dropped': sum(record.dropped for record in records),
        'memory_peak_mb': round(memory_bytes / 1e6, 1) if memory_bytes else None,
        'wall_s': round(wall_s, 1) if wall_s else None,
        'policy': {
            'id': ', '.join(policy_ids),
            'name': ', '.join(name for name, _, _ in names),
            'version': ', '.join(version for _, version, _ in names),
            'family': ', '.join(family for _, _, family in names),
        },
        'versions': versions(),
        'trials': [
            {
                'bag': trial.bag,
                'seed': trial.seed,
                'instruction': trial.instruction,
                'success': trial.success,
                'wrong_object': trial.wrong_object,
                'termination': trial.termination,
                'duration_s': round(trial.duration_s, 2),
            }
            for trial in trials
        ],
        'problems': problems,
    }


def ticks_by_source(records: Sequence[EpisodeRecord]) -> dict[str, int]:
    """Return who made the commands: source -> control ticks, those that sent nothing left out."""
    counts = np.zeros(len(SOURCES), dtype=np.int64)
    for record in records:
        if record.ticks is not None:
            counts += np.bincount(record.ticks.source, minlength=len(SOURCES))[: len(SOURCES)]
    return {name: int(n) for name, n in zip(SOURCES[1:], counts[1:], strict=True) if n}


def _takeovers(record: EpisodeRecord) -> int:
    """Return how often a human has had the robot."""
    states = () if record.ticks is None else record.ticks.states
    return sum(state == 'HUMAN' and before != 'HUMAN' for before, state in pairwise(('', *states)))


def versions() -> dict[str, str]:
    """Return the versions of what makes a run: ours, Python, ROS, the libraries that compute."""
    found = {
        'bc_runtime': __version__,
        'python': platform.python_version(),
        'ros_distro': os.environ.get('ROS_DISTRO', ''),
        'machine': f'{platform.machine()}, {os.cpu_count()} CPUs',
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {name: version for name, version in found.items() if version}


def _load(bags: Iterable[Path]) -> tuple[list[EpisodeRecord], list[str]]:
    records: list[EpisodeRecord] = []
    problems: list[str] = []
    for path in bags:
        try:
            with BagReader(path) as bag:
                records.append(load_episode(bag))
        except BcError as error:
            problems.append(str(error))
    return records, problems


def _control_rate(metrics: Sequence[EpisodeMetrics]) -> float | None:
    """Return ticks per second inside the episodes; the time between them does not count."""
    timed = [m for m in metrics if m.control_rate_hz is not None]
    span = sum(m.span_s for m in timed)
    return sum(m.ticks - 1 for m in timed) / span if timed else None


def _limiter_fraction(metrics: Sequence[EpisodeMetrics]) -> float | None:
    ticks = sum(m.policy_ticks for m in metrics)
    return sum(m.limited_ticks for m in metrics) / ticks if ticks else None


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _spread(samples: Sequence[Floats]) -> dict[str, float | None]:
    joined = np.concatenate([np.zeros(0), *samples])
    return {key: _round(value) for key, value in percentiles(joined).items()}


def _mean(samples: Sequence[Floats]) -> float | None:
    """Return the mean over all samples and joints of all episodes."""
    joined = np.concatenate([np.zeros(0), *(each.ravel() for each in samples)])
    return _round(joined.mean()) if joined.size else None


def _round(value: Any) -> float | None:
    return None if value is None else round(float(value), 4)
