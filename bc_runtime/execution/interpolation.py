# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Values between the actions of a chunk, for many chunks at once.

Each chunk is interpolated for itself, before chunks are blended: chunks come from observations at
any time, so that their grids need not agree. On a grid point every mode gives the action itself,
bit for bit. The last action is held for its own step and not an instant longer: a chunk is never
extrapolated.

Between two actions, a value is a sum of neighbouring actions (taps) times coefficients: one tap
to hold, two for linear, four for cubic. Blending multiplies the coefficients by the chunks'
weights, so that all chunks and taps together are one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import rotation
from bc_runtime.execution.chunk import SNAP_NS
from bc_runtime.execution.chunk_table import Array, ChunkTable, Ints, Rows
from bc_runtime.execution.layout import ActionLayout


class Interpolation(StrEnum):
    """What happens between two actions of a chunk.

    HOLD keeps the earlier action (what the demonstrations did at the policy's rate). LINEAR is
    continuous. CUBIC is continuous in value and rate (Catmull-Rom tangents, cubic Hermite; for
    rotations the curve of Kim, Kim and Shin 1995).
    """

    HOLD = 'hold'
    LINEAR = 'linear'
    CUBIC = 'cubic'


@dataclass(frozen=True, slots=True)
class Taps:
    """How n chunks at one time are made of their actions; m taps each, in order of time.

    Attributes:
        index: (m, n) rows of `ChunkTable.actions`.
        value: (m, n) coefficients of the value; each column sums to 1.
        rate: (m, n) coefficients of the change per second; each column sums to 0.
        now: Which tap is the action at or before the time.
        u: (n,) part of the step that has passed since that action, [0, 1).
        per_s: (n,) steps per second; 0 where the last action is held.
    """

    index: Ints
    value: Array
    rate: Array
    now: int
    u: Array
    per_s: Array


def ends(
    actions: NDArray[np.float32] | Array, mode: Interpolation, layout: ActionLayout
) -> tuple[Array, Array] | None:
    """Return what to put before the first and after the last of (K, inner_dim) actions.

    The mirror image of the neighbour: the tangent at the end, half the way between the neighbours,
    is then the way to the one neighbour that there is. Only CUBIC needs it.
    """
    if mode is not Interpolation.CUBIC:
        return None
    beside = min(1, len(actions) - 1)
    outer: Array = actions[[0, -1]].astype(np.float64)
    inner: Array = actions[[beside, -1 - beside]].astype(np.float64)
    result = 2.0 * outer - inner
    for group in layout.rotations:
        part = slice(group.inner, group.inner + 4)
        turn = rotation.multiply(outer[:, part], rotation.conjugate(inner[:, part]))
        result[:, part] = rotation.multiply(turn, outer[:, part])
    return result[0], result[1]


def taps(table: ChunkTable, rows: Rows, t_ns: int, mode: Interpolation) -> Taps:
    """Return the taps of the chunks in the given rows, which must cover the time."""
    dt = table.common_dt or table.dt[rows]
    # Whole numbers until the division: no rounding can move a time to another action.
    k, past = np.divmod((t_ns + SNAP_NS) - table.zero[rows], dt)
    here = table.first[rows] + k
    n = k.size
    if mode is Interpolation.HOLD:
        zero = np.zeros((1, n))
        return Taps(here[None], zero + 1.0, zero, 0, zero[0], zero[0])
    moving = k < table.last[rows]  # the last action is held
    u = (past - SNAP_NS) / dt
    u[past <= 2 * SNAP_NS] = 0.0  # the grid point itself
    u *= moving
    per_s = np.multiply(moving, 1e9 / dt, dtype=np.float64)
    if mode is Interpolation.LINEAR:
        value, rate = np.empty((2, n)), np.empty((2, n))
        value[1] = u
        np.subtract(1.0, u, out=value[0])
        rate[1] = per_s
        np.negative(per_s, out=rate[0])
        return Taps(here + _TWO, value, rate, 0, u, per_s)
    powers = np.empty((4, n))
    powers[0] = 1.0
    powers[1] = u
    np.multiply(u, u, out=powers[2])
    np.multiply(powers[2], u, out=powers[3])
    rate = _CUBIC_RATE @ powers
    rate *= per_s
    return Taps(here + _FOUR, _CUBIC @ powers, rate, 1, u, per_s)


_TWO = np.array([[0], [1]])
_FOUR = np.array([[-1], [0], [1], [2]])
# Catmull-Rom: cubic Hermite with tangents half the way between the neighbours. Rows: coefficients
# of the action before, at, after and after next, by power of u.
_CUBIC = 0.5 * np.array([[0, -1, 2, -1], [2, 0, -5, 3], [0, 1, 4, -3], [0, 0, -1, 1]])
_CUBIC_RATE = 0.5 * np.array([[-1, 4, -3, 0], [0, -10, 9, 0], [1, 8, -9, 0], [0, -2, 3, 0]])


def rotations(around: Array, at: Taps) -> tuple[Array, Array]:
    """Return (n, 4) quaternions and their rates [1/s] of n chunks.

    Args:
        around: (m, n, 4) quaternions at the taps.
        at: The taps.
    """
    u, per_s = at.u[:, None], at.per_s[:, None]
    if len(around) == 1:
        return around[0], np.zeros_like(around[0])
    q, rate = _geodesic(around[0], around[1], u) if len(around) == 2 else _smooth(around, u)
    return np.where(u == 0.0, around[at.now], q), np.where(per_s > 0.0, rate * per_s, 0.0)


def _between(a: Array, b: Array) -> Array:
    """Return the rotation vectors [rad] from a to b, in the frame of a."""
    return rotation.log(rotation.multiply(rotation.conjugate(a), b))


def _geodesic(q0: Array, q1: Array, u: Array) -> tuple[Array, Array]:
    turn = _between(q0, q1)
    q = rotation.multiply(q0, rotation.exp(u * turn))
    pure = np.concatenate((turn, np.zeros_like(turn[:, :1])), axis=1)
    return q, 0.5 * rotation.multiply(q, pure)


def _smooth(around: Array, u: Array) -> tuple[Array, Array]:
    """Cubic Hermite on rotations with Catmull-Rom velocities at the actions.

    Source: Kim, Kim and Shin 1995, "A general construction scheme for unit quaternion curves with
    simple high order derivatives": cumulative Bernstein form.
    """
    before, q0, q1, after = around
    start, end = _between(before, q1) / 6.0, _between(q0, after) / 6.0
    whole = rotation.multiply(rotation.conjugate(q0), q1)
    rest = rotation.multiply(rotation.multiply(rotation.exp(-start), whole), rotation.exp(-end))
    middle = rotation.log(rest)

    def curve(x: Array) -> Array:
        b1, b2, b3 = 1.0 - (1.0 - x) ** 3, x * x * (3.0 - 2.0 * x), x**3
        q = rotation.multiply(q0, rotation.exp(b1 * start))
        q = rotation.multiply(q, rotation.exp(b2 * middle))
        return rotation.multiply(q, rotation.exp(b3 * end))

    # The derivative of the product is long; a central difference is exact to about 1e-9 here.
    h = 1e-5
    rate = (curve(u + h) - curve(u - h)) / (2.0 * h)
    return curve(u), rate
