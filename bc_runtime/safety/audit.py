# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Audit a whole run of commands afterwards: what was really sent, held against the limits.

For tests on the wire, soak runs and recorded episodes. Velocity and acceleration are re-derived
from neighbouring messages with the nominal period, never from receive times: what counts is what
each message asks of the robot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.safety.limits import JointLimits, OutputType
from bc_runtime.spec.errors import SafetyError

Floats = NDArray[np.float64]
_GRAIN = {'float32': 2.0**-23, 'float64': 2.0**-52}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The worst of a run; at most 1 (0 for the excess) means inside the limits.

    Attributes:
        ticks: Commands judged.
        finite: No NaN, no infinity.
        position_excess: Farthest outside the position limits [rad or m]; 0 if inside.
        velocity_ratio: Largest |v| / limit.
        acceleration_ratio: Largest share of a period that a change of velocity needs.
        stop_excess: Farthest that full braking would lead outside [rad or m]; 0 if inside.
        violations: Commands beyond any limit by more than rounding.
        first: Index and joint of the first violation; empty if there is none.
    """

    ticks: int
    finite: bool
    position_excess: float
    velocity_ratio: float
    acceleration_ratio: float
    stop_excess: float
    violations: int
    first: str

    @property
    def ok(self) -> bool:
        """Whether every command was inside all limits."""
        return self.finite and self.violations == 0


def audit_commands(
    positions: ArrayLike,
    limits: Sequence[JointLimits],
    dt_s: float,
    *,
    dtype: OutputType = 'float64',
    before: ArrayLike | None = None,
) -> AuditReport:
    """Judge consecutive position commands.

    Args:
        positions: Commands in the order in which they were sent, shape (ticks, n). Cut the run
            where the robot was seeded anew or limits changed, and audit the parts.
        limits: Limits per joint, in the order of the columns.
        dt_s: Nominal control period [s].
        dtype: Type of the values in the message; it decides what is rounding.
        before: The two commands before the first, oldest first, shape (2, n); None means that
            the robot rested at the first command.

    Raises:
        SafetyError: the shape does not fit the limits.
    """
    q = np.asarray(positions, dtype=np.float64)
    if q.size == 0:
        q = q.reshape(0, len(limits))
    if q.ndim != 2 or q.shape[1] != len(limits):
        raise SafetyError(
            f'expected commands of shape (ticks, {len(limits)}), got {q.shape}; joints: '
            f'{[one.name for one in limits]}'
        )
    if not np.isfinite(q).all():
        bad = np.argwhere(~np.isfinite(q))
        return AuditReport(
            ticks=len(q), finite=False, position_excess=np.inf, velocity_ratio=np.inf,
            acceleration_ratio=np.inf, stop_excess=np.inf, violations=len(bad),
            first=f'command {bad[0][0]}, {limits[bad[0][1]].name}: not finite',
        )  # fmt: skip
    if len(q) == 0:
        return AuditReport(
            ticks=0, finite=True, position_excess=0.0, velocity_ratio=0.0,
            acceleration_ratio=0.0, stop_excess=0.0, violations=0, first='',
        )  # fmt: skip
    head = np.repeat(q[:1], 2, axis=0) if before is None else np.asarray(before, np.float64)
    whole = np.vstack([head, q])
    v = np.diff(whole, axis=0) / dt_s
    old, new = v[:-1], v[1:]
    low, high, vmax, accel, decel = (
        np.array([getattr(one, key) for one in limits])
        for key in ('low', 'high', 'velocity', 'acceleration', 'deceleration')
    )
    # A difference of two rounded numbers is off by up to half a grain at each end.
    size = np.maximum(np.maximum(np.abs(whole[2:]), np.abs(whole[1:-1])), np.abs(whole[:-2]))
    grain = 4.0 * _GRAIN[dtype] * size
    excess = np.maximum(np.maximum(q - high, low - q), 0.0)
    speed = np.maximum(np.abs(new) - grain / dt_s, 0.0) / vmax
    needed = _time_needed(old, new, accel, decel, 2.0 * grain / dt_s) / dt_s
    overrun = _overrun(q, new, low, high, decel, dt_s)
    wrong = (
        (excess > grain)
        | (speed > 1.0 + 1e-6)
        | (needed > 1.0 + 1e-6)
        | (overrun > 4.0 * grain + 1e-6 * vmax * dt_s)
    )
    first = ''
    if wrong.any():
        k, j = (int(index) for index in np.argwhere(wrong)[0])
        first = (
            f'command {k}, {limits[j].name}: q={q[k, j]:.9g}, v={new[k, j]:.6g}, before '
            f'v={old[k, j]:.6g}, needs {needed[k, j]:.3g} periods, overruns by {overrun[k, j]:.3g}'
        )
    return AuditReport(
        ticks=len(q),
        finite=True,
        position_excess=float(excess.max()),
        velocity_ratio=float(speed.max()),
        acceleration_ratio=float(needed.max()),
        stop_excess=float(overrun.max()),
        violations=int(wrong.any(axis=1).sum()),
        first=first,
    )


def _time_needed(old: Floats, new: Floats, accel: Floats, decel: Floats, blur: Floats) -> Floats:
    """Return the least time for each change of velocity [s], shape (ticks, n)."""
    turns = old * new < 0.0
    slower = np.abs(new) < np.abs(old)
    change = np.maximum(np.abs(new - old) - blur, 0.0)
    straight: Floats = change / np.where(slower, decel, accel)
    across: Floats = (
        np.maximum(np.abs(old) - blur, 0.0) / decel + np.maximum(np.abs(new) - blur, 0.0) / accel
    )
    return np.where(turns, across, straight)


def _overrun(
    q: Floats, v: Floats, low: Floats, high: Floats, decel: Floats, dt_s: float
) -> Floats:
    """Return how far full braking from each command leads outside [rad or m], at least 0."""
    lost = decel * dt_s
    steps = np.floor(np.abs(v) / lost)
    travel = dt_s * (steps * np.abs(v) - lost * steps * (steps + 1.0) / 2.0)
    rest = q + np.sign(v) * travel
    over: Floats = np.maximum(np.maximum(rest - high, low - rest), 0.0)
    return over
