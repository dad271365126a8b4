# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples of a stream stand for a time, and the value between two; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
import math
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.reasons import ReasonCode


class Stamped(Protocol):
    """Anything with a stamp [ns, ROS time]."""

    @property
    def stamp_ns(self) -> int:
        """Time of the physical event."""


S = TypeVar('S', bound=Stamped)


class AlignMode(StrEnum):
    """How a stream answers for a time t."""

    LAST_BEFORE = 'last_before'
    NEAREST = 'nearest'
    INTERPOLATE = 'interpolate'


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How one stream is read at a time.

    Attributes:
        max_skew_ns: Largest allowed distance between t and each sample that stands for it.
        max_age_ns: A stream whose newest sample is older than t by more than this is stale.
        grace_ns: A stream that has not reached t yet may answer with its newest sample if that is
            not older than t by more than this. 0 waits for a sample at or after t, so that the
            answer can never change with what arrives later. Not used by `interpolate`, which
            always needs both neighbours: nothing is extrapolated.
    """

    mode: AlignMode
    max_skew_ns: int
    max_age_ns: int
    grace_ns: int = 0

    @property
    def reach_ns(self) -> int:
        """How far past its newest sample a stream can still be served."""
        return 0 if self.mode is AlignMode.INTERPOLATE else self.grace_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Generic[S]):
    """The samples that stand for a time.

    Attributes:
        first: The sample; for `interpolate` the neighbour before t.
        second: The neighbour after t, or None when one sample stands for t alone.
        weight: Weight of `second`, in [0, 1].
        skew_ns: Largest distance between t and a sample used.
    """

    first: S
    second: S | None
    weight: float
    skew_ns: int

    @property
    def newest(self) -> S:
        """The newest sample used."""
        return self.first if self.second is None else self.second


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """Why a stream has no answer for a time."""

    code: ReasonCode
    text: str


def align(
    t_ns: int, before: S | None, after: S | None, alignment: Alignment
) -> Selection[S] | Unserved:
    """Choose between the neighbours of `t_ns`.

    Args:
        t_ns: The wanted time.
        before: The last sample with stamp <= t.
        after: The first sample with stamp >= t (the same object if one lies exactly at t).
        alignment: Mode and limits.

    The answer is final, i.e. it cannot change with samples that arrive later in order, whenever
    `after` exists. Without `after` only the grace of the stream allows an answer.
    """
    if after is None:
        if before is None:
            return Unserved(code=ReasonCode.MISSING, text='nothing has arrived')
        late_ns = t_ns - before.stamp_ns
        if late_ns > alignment.reach_ns:
            code = ReasonCode.STALE if late_ns > alignment.max_age_ns else ReasonCode.NOT_YET
            return Unserved(
                code=code,
                text=f'its newest sample is {late_ns / 1e6:.1f} ms older than the wanted time',
            )
        return _single(t_ns, before, alignment)
    if before is None:
        if alignment.mode is AlignMode.NEAREST:
            return _single(t_ns, after, alignment)
        early_ns = after.stamp_ns - t_ns
        return Unserved(
            code=ReasonCode.HISTORY,
            text=f'its oldest sample is {early_ns / 1e6:.1f} ms newer than the wanted time',
        )
    if before.stamp_ns == t_ns:
        return _single(t_ns, before, alignment)
    if after.stamp_ns == t_ns:
        return _single(t_ns, after, alignment)
    if alignment.mode is AlignMode.LAST_BEFORE:
        return _single(t_ns, before, alignment)
    to_before, to_after = t_ns - before.stamp_ns, after.stamp_ns - t_ns
    if alignment.mode is AlignMode.NEAREST:
        return _single(t_ns, before if to_before <= to_after else after, alignment)
    skew_ns = max(to_before, to_after)
    if skew_ns > alignment.max_skew_ns:
        return _too_far(skew_ns, alignment)
    weight = to_before / (to_before + to_after)
    return Selection(first=before, second=after, weight=weight, skew_ns=skew_ns)


def _single(t_ns: int, sample: S, alignment: Alignment) -> Selection[S] | Unserved:
    skew_ns = abs(t_ns - sample.stamp_ns)
    if skew_ns > alignment.max_skew_ns:
        return _too_far(skew_ns, alignment)
    return Selection(first=sample, second=None, weight=0.0, skew_ns=skew_ns)


def _too_far(skew_ns: int, alignment: Alignment) -> Unserved:
    return Unserved(
        code=ReasonCode.SKEW,
        text=(
            f'the sample for the wanted time is {skew_ns / 1e6:.1f} ms away from it, '
            f'allowed are {alignment.max_skew_ns / 1e6:.1f} ms'
        ),
    )


def history_times(t_ns: int, n_obs_steps: int, control_hz: float) -> tuple[int, ...]:
    """Return t - k/control_hz for k = n_obs_steps-1 ... 0, oldest first [ns].

    Each offset is rounded on its own, so that no truncated step accumulates.
    """
    return tuple(t_ns - round(k * 1e9 / control_hz) for k in range(n_obs_steps - 1, -1, -1))


def interpolate(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    weight: float,
    continuous: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return `(1 - weight) * first + weight * second`, angles along the shortest arc.

    Args:
        first: Values at the earlier sample, (n,).
        second: Values at the later sample, (n,).
        weight: Weight of `second` in [0, 1].
        continuous: Which of the n values are angles of continuous joints [rad]. Where both
            neighbours lie in [-pi, pi], as from a driver that wraps, the result does too.

    The result never leaves the interval between its neighbours, not even by rounding.
    """
    linear = first + (second - first) * weight
    linear = np.clip(linear, np.minimum(first, second), np.maximum(first, second))
    if continuous is None or not continuous.any():
        return linear
    arc = wrap_angle(second - first)
    angle = first + arc * weight
    wraps = (np.abs(first) <= math.pi) & (np.abs(second) <= math.pi)
    angle = np.where(wraps, wrap_angle(angle), angle)
    # Neighbours on the same turn need no arc; the linear value is exact there.
    crosses = continuous & (np.abs(second - first) > math.pi)
    return np.where(crosses, angle, linear)


def wrap_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same angle in [-pi, pi] [rad]."""
    turned = angle - 2.0 * math.pi * np.round(angle / (2.0 * math.pi))
    return np.clip(turned, -math.pi, math.pi)
