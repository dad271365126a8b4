# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How smooth a motion is: its mean squared jerk."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from bc_runtime.evaluation.episode_record import SOURCE_POLICY, Floats, JointSeries, Ticks

#: A cubic is fitted to so much of the motion at a time. The third difference of neighbouring
#: samples is mostly what the clock and the encoders add; over 0.3 s it is the motion.
WINDOW_S = 0.3
_STEP_S = 0.01


def mean_squared_jerk(t_s: ArrayLike, position: ArrayLike) -> float | None:
    """Return the mean over time of the squared third derivative, averaged over joints.

    The positions are interpolated to 100 Hz, and the derivative is that of a cubic fitted to a
    sliding window (Savitzky and Golay, 'Smoothing and Differentiation of Data by Simplified Least
    Squares Procedures', Analytical Chemistry 36, 1964). It compares motions of one task that last
    about as long: slow motions have less of it.

    Args:
        t_s: Ascending times, (n,) s.
        position: (n, joints) rad.

    Returns:
        In rad^2/s^6; None if the motion is shorter than the window.
    """
    squared = _squared_jerk(np.asarray(t_s, dtype=float), np.asarray(position, dtype=float))
    return float(squared.mean()) if squared.size else None


def policy_jerk(ticks: Ticks, series: JointSeries | None, joints: tuple[str, ...]) -> Floats:
    """Return the squared jerk of a series while the policy acts, (samples, joints).

    Args:
        ticks: Tell when the policy acts; each stretch is taken by itself.
        series: Positions; None gives no samples.
        joints: Names of the joints to take; those that the series lacks are left out.
    """
    columns = (
        [] if series is None else [series.names.index(n) for n in joints if n in series.names]
    )
    found = [np.zeros((0, len(columns)))]
    if series is not None and columns:
        edges = np.flatnonzero(np.diff(np.r_[0, ticks.source == SOURCE_POLICY, 0]))
        for begin, end in edges.reshape(-1, 2):
            inside = (series.t_s >= ticks.t_s[begin]) & (series.t_s <= ticks.t_s[end - 1])
            found.append(_squared_jerk(series.t_s[inside], series.position[inside][:, columns]))
    return np.concatenate(found)


def _squared_jerk(t_s: Floats, position: Floats) -> Floats:
    kernel = _third_derivative()
    grid = np.arange(t_s[0], t_s[-1], _STEP_S) if len(t_s) else np.zeros(0)
    if len(grid) < len(kernel):
        return np.zeros((0, position.shape[1]))
    even = np.stack([np.interp(grid, t_s, column) for column in position.T], axis=1)
    jerk = sliding_window_view(even, len(kernel), axis=0) @ kernel
    return np.asarray(jerk**2)


@lru_cache(maxsize=1)
def _third_derivative() -> Floats:
    """Return what a window of samples is multiplied by to give the cubic's third derivative."""
    half = round(WINDOW_S / _STEP_S / 2)
    offsets = np.arange(-half, half + 1) * _STEP_S
    cubic = np.vander(offsets / WINDOW_S, 4, increasing=True)
    kernel: Floats = 6.0 * np.linalg.pinv(cubic)[3] / WINDOW_S**3
    kernel.setflags(write=False)
    return kernel
