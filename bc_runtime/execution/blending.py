# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One action out of many, by kind.

A weighted mean is right for positions and wrong for almost everything else: the mean of +3.1 and
-3.1 rad is the other side of the circle, the mean of two quaternions with opposite signs is zero,
the mean of open and closed is a gripper that holds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import rotation
from bc_runtime.execution.interpolation import Pieces
from bc_runtime.execution.layout import ActionLayout
from bc_runtime.spec.errors import ExecutionError

Array = NDArray[np.float64]

# Weights that differ by less are equal but for rounding.
_TIE = 1e-9


class GripperRule(StrEnum):
    """How several chunks agree on a gripper.

    MEDIAN: the weighted median, what most of the weight says. AVERAGE: blended like a position, as
    ACT does. NEWEST: the newest chunk decides, whatever the joints do.

    Median and average keep the gripper in step with joints that are blended. A newest chunk that
    says "still closed" while the blended joints already rise, as older chunks foresaw, never lets
    go.
    """

    MEDIAN = 'median'
    AVERAGE = 'average'
    NEWEST = 'newest'


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendOptions:
    """How grippers and binary actions are decided.

    Hysteresis of the rule `newest` works along the chunks that cover a time, oldest to newest, not
    along time: the decision stays a pure function of the known chunks. A newer chunk changes the
    decision of the older ones only if it differs enough, which is what stops chatter between
    chunks that nearly agree.

    Binary actions are decided by the weight of the chunks that say on against those that say off.

    Attributes:
        gripper: Rule for dimensions of kind gripper.
        gripper_threshold: Under the rule `newest`, a newer chunk must differ by more than this
            from the decision of the older ones [unit of the dimension]. 0: the newest always wins.
        binary_on: Value from which on a chunk says on.
        binary_off: Value down to which a chunk says off; between the two it has no vote.
    """

    gripper: GripperRule = GripperRule.MEDIAN
    gripper_threshold: float = 0.0
    binary_on: float = 0.6
    binary_off: float = 0.4

    def __post_init__(self) -> None:
        """Refuse thresholds that cross."""
        object.__setattr__(self, 'gripper', GripperRule(self.gripper))
        if not self.gripper_threshold >= 0.0:
            raise ExecutionError(
                f'expected a gripper_threshold of at least 0, got {self.gripper_threshold}'
            )
        if not self.binary_off <= self.binary_on:
            raise ExecutionError(
                f'expected binary_off <= binary_on, got {self.binary_off} and {self.binary_on}'
            )


def blend(
    pieces: Pieces, weights: Array, layout: ActionLayout, options: BlendOptions
) -> tuple[Array, Array]:
    """Return the (inner_dim,) value and rate [1/s] of n chunks at one time.

    Args:
        pieces: The present step of each chunk, oldest observation first.
        weights: (n,), sum 1. Chunks of weight 0 have no say in anything.
        layout: Columns by kind.
        options: Rules for grippers and binary actions.
    """
    value, rate = pieces.blended(weights)
    if layout.all_linear:
        return value, rate
    said = np.flatnonzero(weights > 0.0)
    for c in layout.continuous:
        value[c] = _shortest_arc(pieces.of_column(c)[0], weights)
    if options.gripper is not GripperRule.AVERAGE:
        for g in layout.gripper:
            values, rates = pieces.of_column(g)
            if options.gripper is GripperRule.MEDIAN:
                row = said[_median(values[said], weights[said])]
            else:
                row = said[_decided(values[said], options.gripper_threshold)]
            value[g], rate[g] = values[row], rates[row]
    for b in layout.binary:
        value[b], rate[b] = _on_or_off(pieces.terms[0][said, b], weights[said], options), 0.0
    for group in layout.rotations:
        part = slice(group.inner, group.inner + 4)
        q, q_rate = pieces.rotations(group.inner)
        if said.size > 1:
            q_mean, eigenvalues, vectors = rotation.mean(q, weights)
            rate[part] = rotation.mean_rate(q_mean, q, q_rate, weights, eigenvalues, vectors)
            value[part] = q_mean
        else:
            row = said[0]
            value[part] = rotation.canonical(q[row])
            rate[part] = q_rate[row] * (1.0 if value[part] @ q[row] > 0.0 else -1.0)
    if layout.rates.size:
        rate[layout.rates] = value[layout.rates]
    return value, rate


def _shortest_arc(angles: Array, weights: Array) -> float:
    """Return the weighted mean of (n,) angles, each taken on the short way from the newest."""
    turn = angles - angles[-1]
    turn -= 2.0 * np.pi * np.round(turn / (2.0 * np.pi))
    return float(angles[-1] + weights @ turn)


def _decided(values: Array, threshold: float) -> int:
    """Return the row whose value stands: the newest that differs enough from those before."""
    if threshold == 0.0:
        return len(values) - 1
    listed = values.tolist()
    row = 0
    for i, value in enumerate(listed):
        if abs(value - listed[row]) > threshold:
            row = i
    return row


def _median(values: Array, weights: Array) -> int:
    """Return the row of the weighted median of (n,) values.

    Where two values are in the middle, it is the one on the side of the newest row, the last.
    """
    order = np.argsort(values, kind='stable')
    below = np.cumsum(weights[order])
    half = 0.5 * below[-1]
    middle = int(np.searchsorted(below, half - _TIE))
    if abs(below[middle] - half) <= _TIE and middle + 1 < len(order):
        newest_is_above = len(order) - 1 in order[middle + 1 :]
        return int(order[middle + newest_is_above])
    return int(order[middle])


def _on_or_off(values: Array, weights: Array, options: BlendOptions) -> float:
    """Return 1 or 0: what most of the decided weight says; undecided, the oldest, rounded.

    Where both sides weigh the same, the newest decided chunk says.
    """
    on, off = values >= options.binary_on, values <= options.binary_off
    decided = np.flatnonzero(on | off)
    if not decided.size:
        return 1.0 if values[0] >= 0.5 * (options.binary_on + options.binary_off) else 0.0
    lead = float(weights[on].sum() - weights[off].sum())
    if abs(lead) <= _TIE:
        return 1.0 if on[decided[-1]] else 0.0
    return 1.0 if lead > 0.0 else 0.0
