# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Values between the actions of a chunk, for many chunks at once.

Each chunk is interpolated for itself, before chunks are blended: chunks come from observations at
any time, so that their grids need not agree. On a grid point every mode gives the action itself,
bit for bit. The last action is held for its own step and not an instant longer: a chunk is never
extrapolated.

When a chunk comes, each of its steps becomes a polynomial in u, the part of the step that has
passed. At a time, all chunks are then one gather and one product, whatever the mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import rotation
from bc_runtime.execution.chunk import SNAP_NS
from bc_runtime.execution.chunk_table import Array, ChunkTable, Rows
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

    @property
    def terms(self) -> int:
        """Number of coefficients m of a step."""
        return {'hold': 1, 'linear': 2, 'cubic': 4}[self.value]


def write_pieces(
    out: Array, actions: NDArray[np.float32] | Array, mode: Interpolation, layout: ActionLayout
) -> None:
    """Write what each action of a chunk becomes until the next one.

    Args:
        out: (m, K + 2, inner_dim): for each term (1, u, u^2, u^3) the coefficients of a copy of
            the first action, of K actions, and of a copy of the last. For rotations: the
            quaternion, then rotation vectors, see `Pieces.rotations`.
        actions: (K, inner_dim) absolute actions.
        mode: Kind of interpolation.
        layout: Columns by kind.
    """
    held = out[0]
    held[1:-1] = actions
    held[0], held[-1] = actions[0], actions[-1]
    if mode is Interpolation.HOLD:
        return
    steps = out[1:, 1:-2]
    if mode is Interpolation.LINEAR:
        np.subtract(held[2:-1], held[1:-2], out=steps[0])
    elif len(actions) > 1:
        tangent, curve, bend = out[1, 1:-1], steps[1], steps[2]
        np.subtract(held[2:-1], held[1:-2], out=curve)  # the difference, for now
        np.add(curve[1:], curve[:-1], out=tangent[1:-1])
        tangent[1:-1] *= 0.5  # half the way between the neighbours
        tangent[0], tangent[-1] = curve[0], curve[-1]
        np.add(tangent[:-1], tangent[1:], out=bend)
        bend -= curve
        bend -= curve
        curve -= tangent[:-1]
        curve -= bend
    out[1:, 0] = 0.0
    out[1:, -2:] = 0.0  # the last action is held
    for b in layout.binary:
        steps[:, :, b] = 0.0
    for group in layout.rotations:
        columns = slice(group.inner, group.inner + 4)
        for term, vectors in zip(steps, _turns(held[1:-1, columns], mode), strict=True):
            term[:, columns] = vectors


def _turns(q: Array, mode: Interpolation) -> tuple[Array, ...]:
    """Return (K - 1, 4) rotation vectors [rad] with a zero behind, for each term but the first."""
    turn = rotation.log(rotation.multiply(rotation.conjugate(q[:-1]), q[1:]))
    vectors: tuple[Array, ...] = (turn,)
    if mode is Interpolation.CUBIC and len(turn):
        # Velocities at the actions [rad per step], from the way between the neighbours.
        wide = rotation.log(rotation.multiply(rotation.conjugate(q[:-2]), q[2:]))
        velocity = np.concatenate((turn[:1], 0.5 * wide, turn[-1:]))
        start, end = velocity[:-1] / 3.0, velocity[1:] / 3.0
        inner = rotation.multiply(rotation.exp(-start), rotation.exp(turn))
        vectors = start, rotation.log(rotation.multiply(inner, rotation.exp(-end))), end
    elif mode is Interpolation.CUBIC:
        vectors = turn, turn, turn
    return tuple(np.concatenate((v, np.zeros((len(v), 1))), axis=1) for v in vectors)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The present step of n chunks.

    Attributes:
        terms: m arrays (n, inner_dim), see `write_pieces`.
        u: Part of the step that has passed, [0, 1); one number if the chunks share a grid, else
            (n,).
        per_s: Steps per second, one number or (n,).
    """

    terms: tuple[Array, ...]
    u: float | Array
    per_s: float | Array

    def blended(self, weights: Array) -> tuple[Array, Array]:
        """Return the (inner_dim,) weighted mean of values and of rates [1/s]."""
        u, per_s = self.u, self.per_s
        if isinstance(u, float) and isinstance(per_s, float):
            return _polynomial([weights @ term for term in self.terms], u, per_s)
        value = weights @ self.terms[0]
        rate = np.zeros_like(value)
        power = weights
        for order, term in enumerate(self.terms[1:], start=1):
            rate += (order * per_s * power) @ term
            power = power * u
            value += power @ term
        return value, rate

    def of_column(self, column: int) -> tuple[Array, Array]:
        """Return the (n,) values and rates [1/s] of one column."""
        return _polynomial([term[:, column] for term in self.terms], self.u, self.per_s)

    def rotations(self, column: int) -> tuple[Array, Array]:
        """Return the (n, 4) quaternions from a column on and their rates [1/s].

        Linear: the geodesic, q exp(u turn). Cubic: q exp(b1 start) exp(b2 middle) exp(b3 end) with
        cumulative Bernstein polynomials. Source: Kim, Kim and Shin 1995, "A general construction
        scheme for unit quaternion curves with simple high order derivatives".
        """
        q0, *vectors = (term[:, column : column + 4] for term in self.terms)
        if not vectors:
            return q0, np.zeros_like(q0)
        shape = (len(q0), 1)
        u = np.broadcast_to(np.asarray(self.u).reshape(-1, 1), shape)
        per_s = np.broadcast_to(np.asarray(self.per_s).reshape(-1, 1), shape)
        turns = [v[:, :3] for v in vectors]
        if len(turns) == 1:
            q = rotation.multiply(q0, rotation.exp(u * turns[0]))
            return q, 0.5 * per_s * rotation.multiply(q, vectors[0])

        def curve(x: Array) -> Array:
            q = q0
            bases = (1.0 - (1.0 - x) ** 3, x * x * (3.0 - 2.0 * x), x**3)
            for b, turn in zip(bases, turns, strict=True):
                q = rotation.multiply(q, rotation.exp(b * turn))
            return q

        # The derivative of the product is long; a central difference is exact to about 1e-9 here.
        h = 1e-5
        return curve(u), per_s * (curve(u + h) - curve(u - h)) / (2.0 * h)


def _polynomial(c: list[Array], u: float | Array, per_s: float | Array) -> tuple[Array, Array]:
    """Return value and rate [1/s] of the polynomial with the coefficients c."""
    if len(c) == 1:
        return c[0], np.zeros_like(c[0])
    if len(c) == 2:
        return c[0] + u * c[1], c[1] * per_s
    value = c[0] + u * (c[1] + u * (c[2] + u * c[3]))
    return value, (c[1] + u * (2.0 * c[2] + u * (3.0 * c[3]))) * per_s


def pieces_at(table: ChunkTable, rows: Rows, t_ns: int) -> Pieces:
    """Return the present step of the chunks in the given rows, which must cover the time."""
    # Whole numbers until the last division: no rounding can move a time to another action.
    t = t_ns + SNAP_NS
    u: float | Array
    at = table.on_one_grid(rows)
    if at is not None:
        newest = rows.stop - 1 if isinstance(rows, slice) else int(rows[-1])
        dt = int(table.dt[newest])
        k, past = divmod(t - int(table.zero[newest]), dt)
        at = at + k
        # The first 2 * SNAP_NS of a step are the grid point itself.
        u = (past - SNAP_NS) / dt if past > 2 * SNAP_NS else 0.0
        per_s: float | Array = 1e9 / dt
    else:
        steps = table.common_dt or table.dt[rows]
        index, beyond = np.divmod(t - table.zero[rows], steps)
        at = table.first[rows] + index
        u = (beyond - SNAP_NS) / steps
        u[beyond <= 2 * SNAP_NS] = 0.0
        per_s = 1e9 / steps
    return Pieces(tuple(term.take(at, axis=0) for term in table.pieces), u, per_s)
