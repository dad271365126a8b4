# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Values between the actions of a chunk, for many chunks at once.

Each chunk is interpolated for itself, before chunks are blended: chunks come from observations at
any time, so that their grids need not agree. On a grid point every mode gives the action itself,
bit for bit. The last action is held for its own step and not an instant longer: a chunk is never
extrapolated.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import rotation
from bc_runtime.execution.layout import ActionLayout

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Interpolation(StrEnum):
    """What happens between two actions of a chunk.

    HOLD keeps the earlier action (what the demonstrations did at the policy's rate). LINEAR is
    continuous. CUBIC is continuous in value and rate (Catmull-Rom tangents, cubic Hermite; for
    rotations the curve of Kim, Kim and Shin 1995).
    """

    HOLD = 'hold'
    LINEAR = 'linear'
    CUBIC = 'cubic'


def sample(
    values: Array,
    slots: Ints,
    k: Ints,
    fraction: Array,
    last: Ints,
    step_s: Array,
    mode: Interpolation,
    layout: ActionLayout,
) -> tuple[Array, Array]:
    """Return (n, inner_dim) values and rates of n chunks at one time.

    Args:
        values: (slots, K, inner_dim) actions of all chunks.
        slots: (n,) chunk of each row.
        k: (n,) index of the action at or before the time.
        fraction: (n,) part of the step that has passed since then, [0, 1).
        last: (n,) index of each chunk's last action.
        step_s: (n,) time between two actions [s].
        mode: Kind of interpolation.
        layout: Columns by kind.
    """
    v0 = values[slots, k]
    if mode is Interpolation.HOLD:
        return v0, np.zeros_like(v0)
    u = fraction[:, None]
    per_s = 1.0 / step_s[:, None]
    k1 = np.minimum(k + 1, last)
    v1 = values[slots, k1]
    difference = v1 - v0
    if mode is Interpolation.LINEAR:
        result = v0 + u * difference
        rates = difference * per_s
        neighbours = None
    else:
        k_before, k_after = np.maximum(k - 1, 0), np.minimum(k + 2, last)
        neighbours = values[slots, k_before], values[slots, k_after]
        moving = (k < last)[:, None]  # the last action is held, without a bulge
        m0 = moving * (v1 - neighbours[0]) / np.maximum(k1 - k_before, 1)[:, None]
        m1 = moving * (neighbours[1] - v0) / np.maximum(k_after - k, 1)[:, None]
        # Horner form of the cubic Hermite; at u = 0 it is v0 exactly.
        c2 = 3.0 * difference - 2.0 * m0 - m1
        c3 = m0 + m1 - 2.0 * difference
        result = v0 + u * (m0 + u * (c2 + u * c3))
        rates = (m0 + u * (2.0 * c2 + u * (3.0 * c3))) * per_s
    if layout.binary.size:
        result[:, layout.binary] = v0[:, layout.binary]
        rates[:, layout.binary] = 0.0
    for group in layout.rotations:
        part = slice(group.inner, group.inner + 4)
        if neighbours is None:
            q, q_rate = _geodesic(v0[:, part], v1[:, part], u)
        else:
            around = neighbours[0][:, part], v0[:, part], v1[:, part], neighbours[1][:, part]
            spans = np.maximum(k1 - k_before, 1)[:, None], np.maximum(k_after - k, 1)[:, None]
            q, q_rate = _smooth(*around, *spans, u, moving)
        result[:, part] = q
        rates[:, part] = q_rate * per_s
    return result, rates


def _rate(q: Array, turn: Array) -> Array:
    """Return dq/du of a rotation by `turn` [rad, body frame] per unit of u."""
    return 0.5 * rotation.multiply(q, np.concatenate((turn, np.zeros_like(turn[:, :1])), axis=1))


def _geodesic(q0: Array, q1: Array, u: Array) -> tuple[Array, Array]:
    turn = rotation.log(rotation.multiply(rotation.conjugate(q0), q1))
    moved = rotation.multiply(q0, rotation.exp(u * turn))
    q = np.where(u == 0.0, q0, moved)
    return q, _rate(q, turn)


def _smooth(
    before: Array,
    q0: Array,
    q1: Array,
    after: Array,
    span0: Array,
    span1: Array,
    u: Array,
    moving: NDArray[np.bool_],
) -> tuple[Array, Array]:
    """Cubic Hermite on rotations with Catmull-Rom velocities at the knots.

    Source: Kim, Kim and Shin 1995, "A general construction scheme for unit quaternion curves with
    simple high order derivatives": cumulative Bernstein form.
    """

    def between(a: Array, b: Array) -> Array:
        return rotation.log(rotation.multiply(rotation.conjugate(a), b))

    start = moving * between(before, q1) / span0 / 3.0
    end = moving * between(q0, after) / span1 / 3.0
    middle = rotation.log(
        rotation.multiply(
            rotation.multiply(rotation.exp(-start), rotation.multiply(rotation.conjugate(q0), q1)),
            rotation.exp(-end),
        )
    )

    def curve(x: Array) -> Array:
        b1, b2, b3 = 1.0 - (1.0 - x) ** 3, x * x * (3.0 - 2.0 * x), x**3
        q = rotation.multiply(q0, rotation.exp(b1 * start))
        q = rotation.multiply(q, rotation.exp(b2 * middle))
        return rotation.multiply(q, rotation.exp(b3 * end))

    # The derivative of the product is long; a central difference is exact to about 1e-9 here.
    h = 1e-5
    q_rate = (curve(u + h) - curve(u - h)) / (2.0 * h)
    return np.where(u == 0.0, q0, curve(u)), q_rate
