# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Values between the actions of a chunk, for many chunks at once.

Each chunk is interpolated for itself, before chunks are blended: chunks come from observations at
any time, so that their grids need not agree. On a grid point every mode gives the action itself,
bit for bit. The last action is held for its own step and not an instant longer: a chunk is never
extrapolated.

At a time, all chunks are a gather or two and as many products. For cubic interpolation each step
becomes a polynomial in u, the part of the step that has passed, when its chunk comes.
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
        """Number of coefficients m that are kept of a step."""
        return 4 if self is Interpolation.CUBIC else 1


def write_pieces(
    out: Array, actions: NDArray[np.float32] | Array, mode: Interpolation, layout: ActionLayout
) -> None:
    """Write what is kept of each action of a chunk.

    Args:
        out: (m, K + 2, inner_dim): for each term (1, u, u^2, u^3) the coefficients of a copy of
            the first action, of K actions, and of a copy of the last.
        actions: (K, inner_dim) absolute actions.
        mode: Kind of interpolation.
        layout: Columns by kind.
    """
    held = out[0]
    held[1:-1] = actions
    held[0], held[-1] = actions[0], actions[-1]
    if mode is not Interpolation.CUBIC:
        return
    if len(actions) > 1:
        tangent, curve, bend = out[1, 1:-1], out[2, 1:-2], out[3, 1:-2]
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
        out[1:, 1:-2, b] = 0.0


@dataclass(slots=True)
class Pieces:
    """The present step of n chunks.

    Attributes:
        terms: (n, inner_dim) arrays: the action (HOLD), the action and the next one (LINEAR, where
            the last action is its own next one), or the coefficients of 1, u, u^2, u^3 (CUBIC).
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
            return _evaluate([np.dot(weights, term) for term in terms], u, per_s)
        value = np.dot(weights, terms[0])
        if len(terms) == 1:
            return value, np.zeros_like(value)
        power, pace = weights * u, weights * per_s
        if len(terms) == 2:
            value = np.dot(weights - power, terms[0]) + np.dot(power, terms[1])
            return value, np.dot(pace, terms[1]) - np.dot(pace, terms[0])
        value += np.dot(power, terms[1])
        rate = np.dot(pace, terms[1])
        for order, term in enumerate(terms[2:], start=2):
            rate += np.dot(order * per_s * power, term)
            power *= u
            value += np.dot(power, term)
        return value, rate

    def of_column(self, column: int) -> tuple[Array, Array]:
        """Return the (n,) values and rates [1/s] of one column."""
        return _evaluate([term[:, column] for term in self.terms], self.u, self.per_s)

    def rotations(self, column: int) -> tuple[Array, Array]:
        """Return the (n, 4) quaternions from a column on and their rates [1/s].

        LINEAR: the geodesic. CUBIC: the polynomial through the quaternions, brought back to length
        1, which is as smooth and needs no case of its own.
        """
        terms = [term[:, column : column + 4] for term in self.terms]
        u = self.u if isinstance(self.u, float) else self.u[:, None]
        per_s = self.per_s if isinstance(self.per_s, float) else self.per_s[:, None]
        if len(terms) == 2:
            q, q_rate = rotation.slerp(terms[0], terms[1], u)
            return q, q_rate * per_s
        q, q_rate = _evaluate(terms, u, per_s)
        length = np.linalg.norm(q, axis=1, keepdims=True)
        q = q / length
        radial = np.sum(q * q_rate, axis=1, keepdims=True)
        return q, (q_rate - radial * q) / length


def _evaluate(terms: list[Array], u: float | Array, per_s: float | Array) -> tuple[Array, Array]:
    """Return value and rate [1/s] from terms as in `Pieces`."""
    if len(terms) == 1:
        return terms[0], np.zeros_like(terms[0])
    if len(terms) == 2:
        difference = terms[1] - terms[0]
        return terms[0] + u * difference, difference * per_s
    c0, c1, c2, c3 = terms
    return c0 + u * (c1 + u * (c2 + u * c3)), (c1 + u * (2.0 * c2 + u * (3.0 * c3))) * per_s


def pieces_at(table: ChunkTable, rows: Rows, t_ns: int, mode: Interpolation) -> Pieces:
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
    terms = [plane.take(at, 0) for plane in table.planes]
    if mode is Interpolation.LINEAR:
        at += 1
        terms.append(table.planes[0].take(at, 0))
    return Pieces(terms, u, per_s)
