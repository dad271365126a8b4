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
    continuous. CUBIC is continuous in value and rate (cubic Hermite with Catmull-Rom tangents:
    half the way between the neighbours, one-sided at the ends).
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
            the first action, of K actions, and of a copy of the last. Quaternions under LINEAR
            have the arc to the next one instead of the difference.
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
    out[1:, -2:] = 0.0  # the last action is held; what is before the first is 0 from the start
    for b in layout.binary:
        steps[:, :, b] = 0.0
    if mode is Interpolation.LINEAR:
        for group in layout.rotations:
            columns = slice(group.inner, group.inner + 4)
            steps[0, :, columns] = rotation.arcs(held[1:-1, columns])


@dataclass(slots=True)
class Pieces:
    """The present step of n chunks.

    Attributes:
        terms: m arrays (n, inner_dim), see `write_pieces`.
        u: Part of the step that has passed, [0, 1); one number if the chunks share a grid, else
            (n,).
        per_s: Steps per second, one number or (n,).
    """

    terms: list[Array]
    u: float | Array
    per_s: float | Array

    def blended(self, weights: Array) -> tuple[Array, Array]:
        """Return the (inner_dim,) weighted mean of values and of rates [1/s]."""
        u, per_s, terms = self.u, self.per_s, self.terms
        if isinstance(u, float) and isinstance(per_s, float):
            if len(terms) == 2:
                value, rate = np.dot(weights, terms[0]), np.dot(weights, terms[1])
                if u:
                    value += u * rate
                rate *= per_s
                return value, rate
            return _polynomial([np.dot(weights, term) for term in terms], u, per_s)
        value = np.dot(weights, terms[0])
        if len(terms) == 1:
            return value, np.zeros_like(value)
        power = weights * u
        value += np.dot(power, terms[1])
        rate = np.dot(weights * per_s, terms[1])
        for order, term in enumerate(terms[2:], start=2):
            rate += np.dot(order * per_s * power, term)
            power *= u
            value += np.dot(power, term)
        return value, rate

    def of_column(self, column: int) -> tuple[Array, Array]:
        """Return the (n,) values and rates [1/s] of one column."""
        return _polynomial([term[:, column] for term in self.terms], self.u, self.per_s)

    def rotations(self, column: int) -> tuple[Array, Array]:
        """Return the (n, 4) quaternions from a column on and their rates [1/s].

        LINEAR: the geodesic. CUBIC: the polynomial through the quaternions, brought back to length
        1, which is as smooth and needs no case of its own.
        """
        terms = [term[:, column : column + 4] for term in self.terms]
        u = self.u if isinstance(self.u, float) else self.u[:, None]
        per_s = self.per_s if isinstance(self.per_s, float) else self.per_s[:, None]
        if len(terms) == 2:
            q, q_rate = rotation.along_arc(terms[0], terms[1], u)
            return q, q_rate * per_s
        q, q_rate = _polynomial(terms, u, per_s)
        length = np.linalg.norm(q, axis=1, keepdims=True)
        q = q / length
        radial = np.sum(q * q_rate, axis=1, keepdims=True)
        return q, (q_rate - radial * q) / length


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
    newest = rows.stop - 1 if isinstance(rows, slice) else int(rows[-1])
    at = table.on_one_grid(rows, newest)
    u: float | Array
    per_s: float | Array
    if at is not None:
        dt = int(table.dt[newest])
        k, past = divmod(t - int(table.zero[newest]), dt)
        at += k
        # The first 2 * SNAP_NS of a step are the grid point itself.
        u = (past - SNAP_NS) / dt if past > 2 * SNAP_NS else 0.0
        per_s = 1e9 / dt
    else:
        steps = table.common_dt or table.dt[rows]
        at, beyond = np.divmod(t - table.zero[rows], steps)
        at += table.first[rows]
        u = (beyond - SNAP_NS) / steps
        u[beyond <= 2 * SNAP_NS] = 0.0
        per_s = 1e9 / steps
    return Pieces([plane.take(at, 0) for plane in table.planes], u, per_s)
