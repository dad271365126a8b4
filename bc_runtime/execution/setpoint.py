# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the timeline answers: a setpoint, or a hole with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setpoint:
    """What the known chunks want at one time, before any safety.

    Attributes:
        t_ns: Time that was asked for [ns, ROS clock].
        names: D action names.
        values: (D,) in the units of the chunks. A continuous joint is given modulo a full turn; a
            quaternion has canonical sign (w >= 0).
        velocities: (D,) change of `values` per second along the chunks, for fixed weights. For
            dimensions that are velocities themselves: the value. Binary actions: 0.
        chunk_sequences: (n,) chunks that were used, oldest observation first.
        weights: (n,) their weights for blended kinds; sum 1.
    """

    t_ns: int
    names: tuple[str, ...]
    values: NDArray[np.float64]
    velocities: NDArray[np.float64]
    chunk_sequences: NDArray[np.int64]
    weights: NDArray[np.float64]


class _Open:
    """The slots of a `Setpoint`, not frozen."""

    __slots__ = ('chunk_sequences', 'names', 't_ns', 'values', 'velocities', 'weights')


def make_setpoint(
    t_ns: int,
    names: tuple[str, ...],
    values: NDArray[np.float64],
    velocities: NDArray[np.float64],
    chunk_sequences: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> Setpoint:
    """Return what `Setpoint(...)` returns, in a quarter of its time, for every tick.

    To fill a frozen class costs a detour per field. This one is filled while it is open.
    """
    made: Any = _Open()
    made.t_ns = t_ns
    made.names = names
    made.values = values
    made.velocities = velocities
    made.chunk_sequences = chunk_sequences
    made.weights = weights
    made.__class__ = Setpoint
    setpoint: Setpoint = made
    return setpoint


class HoleReason(StrEnum):
    """Why no chunk covers a time."""

    NO_CHUNK = 'no_chunk'  # nothing usable has come since the last clear
    BEFORE_FIRST = 'before_first'  # every chunk starts later
    EXHAUSTED = 'exhausted'  # every chunk has ended: the policy is late
    GAP = 'gap'  # some have ended, the others start later


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """No chunk covers the time: brake. Nothing is padded and nothing is extrapolated.

    Attributes:
        t_ns: Time that was asked for [ns, ROS clock].
        covered_until_ns: End of the latest chunk before the time, if there is one.
        covered_from_ns: Start of the earliest chunk after the time, if there is one.
    """

    t_ns: int
    reason: HoleReason
    covered_until_ns: int | None = None
    covered_from_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommittedPrefix:
    """Actions that will be executed whatever comes, for a policy that continues from them.

    Attributes:
        stamp_ns: Time of the first action [ns, ROS clock].
        dt_ns: Time between two actions [ns].
        values: (P, D) float32; P is what is covered, possibly 0, never padded.
    """

    stamp_ns: int
    dt_ns: int
    names: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChunk:
    """One chunk that the timeline holds, for status and plots. Times in ns on the ROS clock.

    Attributes:
        shift_ns: How far the chunk was moved later because the robot stood still until the first
            chunk of its epoch came.
        from_ns: First time that the chunk may be executed at.
        until_ns: End of the step of the last action that may be executed.
    """

    sequence: int
    policy_id: str
    stamp_ns: int
    received_ns: int
    shift_ns: int
    from_ns: int
    until_ns: int
