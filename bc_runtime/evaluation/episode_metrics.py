# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of one episode: was control on time, was the policy, how much did the limiter do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bc_runtime.evaluation.episode_record import SOURCE_POLICY, EpisodeRecord, Floats, Ticks
from bc_runtime.evaluation.smoothness import policy_jerk


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeMetrics:
    """Figures of one episode; None where the bag does not tell.

    Attributes:
        ticks: Control ticks from the first to the last one recorded.
        span_s: Time between them [s].
        missed_ticks: Deadlines in between that passed without a tick.
        jitter_ms: Lateness of each tick against its deadline [ms].
        latency_ms: For each chunk, first command that uses it minus stamp of its observation [ms]:
            sensor to command.
        inference_ms: Duration of the policy call of each chunk [ms].
        overhead_ms: Latency minus inference of the same chunk [ms]: what the stack itself takes.
        policy_ticks: Ticks in which the policy acted.
        limited_ticks: Those of them in which the limiter changed the set-point.
        starved_ticks: Ticks in AUTO for which no chunk was there.
        largest_tracking_error: Largest |command - measured| of any joint [rad or m].
        command_jerk: Squared jerk of the commanded joints while the policy acts, (samples, joints)
            [rad^2/s^6]; see `smoothness`.
        measured_jerk: The same of the measured joints.
    """

    ticks: int
    span_s: float
    missed_ticks: int | None
    jitter_ms: Floats
    latency_ms: Floats
    inference_ms: Floats
    overhead_ms: Floats
    policy_ticks: int
    limited_ticks: int
    starved_ticks: int | None
    chunks_accepted: int | None
    chunks_rejected: int | None
    largest_tracking_error: float | None
    command_jerk: Floats
    measured_jerk: Floats

    @property
    def control_rate_hz(self) -> float | None:
        """Ticks per second."""
        return (self.ticks - 1) / self.span_s if self.ticks > 1 and self.span_s > 0.0 else None

    @property
    def limiter_active_fraction(self) -> float | None:
        """Share of the policy's ticks that the limiter changed."""
        return self.limited_ticks / self.policy_ticks if self.policy_ticks else None


def episode_metrics(record: EpisodeRecord) -> EpisodeMetrics:
    """Compute the figures of an episode."""
    inference_ms = np.array([chunk.inference_s for chunk in record.chunks]) * 1e3
    ticks = record.ticks
    if ticks is None:
        empty = np.zeros(0)
        return EpisodeMetrics(
            ticks=0,
            span_s=0.0,
            missed_ticks=None,
            jitter_ms=empty,
            latency_ms=empty,
            inference_ms=inference_ms,
            overhead_ms=empty,
            policy_ticks=0,
            limited_ticks=0,
            starved_ticks=None,
            chunks_accepted=None,
            chunks_rejected=None,
            largest_tracking_error=None,
            command_jerk=empty,
            measured_jerk=empty,
        )
    by_policy = ticks.source == SOURCE_POLICY
    latency_ms, overhead_ms = _latencies(record, ticks)
    joints = _turning_joints(record)
    errors = ticks.tracking_error[np.isfinite(ticks.tracking_error)]
    return EpisodeMetrics(
        ticks=gained(ticks.number) + 1,
        span_s=float(ticks.t_s[-1] - ticks.t_s[0]),
        missed_ticks=gained(ticks.missed),
        jitter_ms=np.abs(ticks.lateness_s) * 1e3,
        latency_ms=latency_ms,
        inference_ms=inference_ms,
        overhead_ms=overhead_ms,
        policy_ticks=int(by_policy.sum()),
        limited_ticks=int((by_policy & (ticks.limiter_flags != 0)).sum()),
        starved_ticks=gained(ticks.starved),
        chunks_accepted=gained(ticks.chunks_accepted),
        chunks_rejected=gained(ticks.chunks_rejected),
        largest_tracking_error=float(errors.max()) if errors.size else None,
        command_jerk=policy_jerk(ticks, record.commanded, joints),
        measured_jerk=policy_jerk(ticks, record.measured, joints),
    )


def gained(counter: np.ndarray) -> int:
    """Return by how much a counter has grown; where it falls, it began anew from zero."""
    steps = np.diff(counter)
    return int(np.where(steps < 0, counter[1:], steps).sum())


def _turning_joints(record: EpisodeRecord) -> tuple[str, ...]:
    """Return the joints that the policy moves by an angle: jerks in one unit can be averaged."""
    chunk = next(iter(record.chunks), None)
    if chunk is None:
        return ()
    return tuple(n for n, unit in zip(chunk.names, chunk.units, strict=True) if unit == 'rad')


def _latencies(record: EpisodeRecord, ticks: Ticks) -> tuple[Floats, Floats]:
    inference_s = {chunk.sequence: chunk.inference_s for chunk in record.chunks}
    new = np.flatnonzero(np.isfinite(ticks.latency_s))
    overhead: Sequence[float] = [
        ticks.latency_s[index] - inference_s[int(ticks.chunk_sequence[index])]
        for index in new
        if int(ticks.chunk_sequence[index]) in inference_s
    ]
    return ticks.latency_s[new] * 1e3, np.array(overhead, dtype=np.float64) * 1e3
