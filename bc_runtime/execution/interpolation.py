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

from bc_runtime.execution import rotation
from bc_runtime.execution.chunk import SNAP_NS
from bc_runtime.execution.chunk_table import Array, ChunkTable, Ints, Rows


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
        per_s: Steps per second, one number or (n,).
    """

    index: Ints
    value: Array
    rate: Array
    now: int
    u: Array
    per_s: float | Array


def taps(table: ChunkTable, rows: Rows, t_ns: int, mode: Interpolation) -> Taps:
    """Return the taps of the chunks in the given rows, which must cover the time."""
    # Whole numbers until the division: no rounding can move a time to another action.
    k, past = np.divmod((t_ns + SNAP_NS) - table.zero[rows], table.common_dt or table.dt[rows])
    first, last = table.first[rows], table.last[rows]
    n = k.size
    if mode is Interpolation.HOLD:
        one = np.ones((1, n))
        return Taps((first + k)[None], one, np.zeros((1, n)), 0, np.zeros(n), 0.0)
    dt = table.common_dt or table.dt[rows]
    u = (past - SNAP_NS) / dt
    u[past <= 2 * SNAP_NS] = 0.0  # the grid point itself
    per_s = 1e9 / dt
    if mode is Interpolation.LINEAR:
        index = np.empty((2, n), dtype=np.int64)
        np.add(first, k, out=index[0])
        moving = k < last  # the last action is held
        np.add(index[0], moving, out=index[1])
        value, rate = np.empty((2, n)), np.empty((2, n))
        value[1] = u
        np.subtract(1.0, u, out=value[0])
        rate[1] = per_s
        np.negative(rate[1], out=rate[0])
        return Taps(index, value, rate, 0, u, per_s)
    return _cubic_taps(first, k, last, u, per_s)


def _cubic_taps(first: Ints, k: Ints, last: Ints, u: Array, per_s: float | Array) -> Taps:
    """Cubic Hermite; the tangent is half the way between the neighbours, one-sided at the ends."""
    index = np.empty((4, k.size), dtype=np.int64)
    at_start, moving = k == 0, k < last
    index[1] = first + k
    index[0] = index[1] - ~at_start
    index[2] = index[1] + moving
    index[3] = index[2] + (k < last - 1)
    # Reciprocal distance of the neighbours; 0 where the last action is held, without a bulge.
    inverse0 = moving * (0.5 + 0.5 * at_start)
    inverse1 = moving * (1.0 - 0.5 * (index[3] > index[2]))
    u2 = u * u
    value, rate = np.empty((4, k.size)), np.empty((4, k.size))
    for out, h00, h10, h11 in (
        (value, 1.0 - u2 * (3.0 - 2.0 * u), u - u2 * (2.0 - u), u2 * (u - 1.0)),
        (rate, 6.0 * (u2 - u), 1.0 - 4.0 * u + 3.0 * u2, 3.0 * u2 - 2.0 * u),
    ):
        h01 = (1.0 if out is value else 0.0) - h00
        m0, m1 = h10 * inverse0, h11 * inverse1
        out[0] = -m0
        out[1] = h00 - m1
        out[2] = h01 + m0
        out[3] = m1
    rate *= per_s
    return Taps(index, value, rate, 1, u, per_s)


def rotations(around: Array, at: Taps) -> tuple[Array, Array]:
    """Return (n, 4) quaternions and their rates [1/s] of n chunks.

    Args:
        around: (m, n, 4) quaternions at the taps.
        at: The taps.
    """
    u = at.u[:, None]
    per_s = np.broadcast_to(np.asarray(at.per_s), at.u.shape)[:, None]
    if len(around) == 1:
        return around[0], np.zeros_like(around[0])
    if len(around) == 2:
        q, rate = _geodesic(around[0], around[1], u)
    else:
        moved = (at.index[1:] != at.index[:-1]).astype(np.float64)[:, :, None]
        q, rate = _smooth(around, moved, u)
    return q, rate * per_s


def _between(a: Array, b: Array) -> Array:
    """Return the rotation vectors [rad] from a to b, in the frame of a."""
    return rotation.log(rotation.multiply(rotation.conjugate(a), b))


def _geodesic(q0: Array, q1: Array, u: Array) -> tuple[Array, Array]:
    turn = _between(q0, q1)
    q = np.where(u == 0.0, q0, rotation.multiply(q0, rotation.exp(u * turn)))
    pure = np.concatenate((turn, np.zeros_like(turn[:, :1])), axis=1)
    return q, 0.5 * rotation.multiply(q, pure)


def _smooth(around: Array, moved: Array, u: Array) -> tuple[Array, Array]:
    """Cubic Hermite on rotations with Catmull-Rom velocities at the actions.

    Source: Kim, Kim and Shin 1995, "A general construction scheme for unit quaternion curves with
    simple high order derivatives": cumulative Bernstein form.

    Args:
        around: (4, n, 4) quaternions before, at, after and after next.
        moved: (3, n, 1) 1 where a tap is another action than the one before it.
        u: (n, 1) part of the step.
    """
    before, q0, q1, after = around
    start = moved[1] * _between(before, q1) / (3.0 * np.maximum(moved[0] + moved[1], 1.0))
    end = moved[1] * _between(q0, after) / (3.0 * np.maximum(moved[1] + moved[2], 1.0))
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
    return np.where(u == 0.0, q0, curve(u)), rate
