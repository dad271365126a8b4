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
from bc_runtime.execution.action_store import Array
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
    def actions(self) -> int:
        """Number of actions that a cell of the store holds: the present one, or the next too."""
        return 2 if self is Interpolation.LINEAR else 1

    @property
    def terms(self) -> int:
        """Number of coefficients m that are kept of an action."""
        return 4 if self is Interpolation.CUBIC else 1


def write_pieces(
    out: Array, actions: NDArray[np.float32] | Array, mode: Interpolation, layout: ActionLayout
) -> None:
    """Write what is kept of each action of a chunk.

    Args:
        out: (m, 1 + K + `mode.actions`, inner_dim): for each term (1, u, u^2, u^3) the
            coefficients of a copy of the first action, of K actions, and of copies of the last.
        actions: (K, inner_dim) absolute actions.
        mode: Kind of interpolation.
        layout: Columns by kind.
    """
    held, behind = out[0], len(actions) + 1
    held[1:behind] = actions
    held[0], held[behind:] = actions[0], actions[-1]
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
        cells: (n, T * inner_dim), T terms side by side: the action (HOLD), the action and the next
            one (LINEAR, where the last action is its own next one), or the coefficients of 1, u,
            u^2, u^3 (CUBIC).
        dim: inner_dim.
        u: Part of the step that has passed, [0, 1); one number if the chunks share a grid, else
            (n,).
        per_s: Steps per second, () if the chunks share a step, else (n,).
    """

    cells: Array
    dim: int
    u: float | Array
    per_s: Array

    @property
    def terms(self) -> list[Array]:
        """T arrays of (n, inner_dim)."""
        return _parts(self.cells, self.dim)

    def blended(self, weights: Array) -> tuple[Array, Array]:
        """Return the (inner_dim,) weighted mean of values and of rates [1/s]."""
        u, per_s = self.u, self.per_s
        if isinstance(u, float):
            return mean_on_grid(self.cells, self.dim, u, per_s, weights)
        terms = self.terms
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
        per_s = self.per_s[:, None] if self.per_s.ndim else self.per_s
        if len(terms) == 2:
            q, q_rate = rotation.slerp(terms[0], terms[1], u)
            return q, q_rate * per_s
        q, q_rate = _evaluate(terms, u, per_s)
        length = np.linalg.norm(q, axis=1, keepdims=True)
        q = q / length
        radial = np.sum(q * q_rate, axis=1, keepdims=True)
        return q, (q_rate - radial * q) / length


def mean_on_grid(
    cells: Array, dim: int, u: float, per_s: Array, weights: Array
) -> tuple[Array, Array]:
    """Return `Pieces.blended` of chunks that share a grid, which is all there is to most ticks."""
    mean = weights.dot(cells)  # not `@`, which takes twice the time for one block of memory
    if len(mean) != 2 * dim:
        return _evaluate(_parts(mean, dim), u, per_s)
    value, rate = mean[:dim], mean[dim:]
    rate -= value  # the difference, for now
    if u:
        value = value + u * rate
    rate *= per_s
    return value, rate


def _evaluate(terms: list[Array], u: float | Array, per_s: Array) -> tuple[Array, Array]:
    """Return value and rate [1/s] from terms as in `Pieces`."""
    if len(terms) == 1:
        return terms[0], np.zeros_like(terms[0])
    if len(terms) == 2:
        difference = terms[1] - terms[0]
        return terms[0] + u * difference, difference * per_s
    c0, c1, c2, c3 = terms
    return c0 + u * (c1 + u * (c2 + u * c3)), (c1 + u * (2.0 * c2 + u * (3.0 * c3))) * per_s


def _parts(cells: Array, dim: int) -> list[Array]:
    """Return the terms that lie side by side in the last axis."""
    return [cells[..., at : at + dim] for at in range(0, cells.shape[-1], dim)]
