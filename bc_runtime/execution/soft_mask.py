# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The soft mask of real-time chunking, and how a chain of masks becomes weights.

Source: Black et al. 2025, "Real-time execution of action chunking flow policies", equation 5.
"""

from __future__ import annotations

from enum import StrEnum
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class MaskSchedule(StrEnum):
    """How the weight of the running plan falls after the inference delay.

    With c falling evenly from 1 to 0: LINEAR is c, EXP is c * (e^c - 1) / (e - 1), ZEROS drops to
    0 at once, ONES keeps 1 until the end.
    """

    LINEAR = 'linear'
    EXP = 'exp'
    ZEROS = 'zeros'
    ONES = 'ones'


def mask(*, step: Array, delay: Array, end: Array, schedule: MaskSchedule) -> Array:
    """Return the weight in [0, 1] of the running plan against a new chunk.

    Args:
        step: Steps since the start of the new chunk; any real number.
        delay: Steps that passed before the new chunk was usable.
        end: Step from which on the new chunk is alone; a longer delay is cut to it.
        schedule: Shape of the fall.
    """
    start = np.clip(delay, 0.0, np.maximum(end, 0.0))
    inside = step < end - 1e-9
    if schedule is MaskSchedule.ONES:
        return np.where(inside, 1.0, 0.0)
    if schedule is MaskSchedule.ZEROS:
        return np.where(inside & (step < start - 1e-9), 1.0, 0.0)
    c = np.clip((end - step) / np.maximum(end - start + 1.0, 1.0), 0.0, 1.0)
    if schedule is MaskSchedule.EXP:
        c = np.minimum(c * np.expm1(c) / (math.e - 1.0), 1.0)  # rounding can pass 1
    return np.where(inside, c, 0.0)


def fold_weights(old_shares: Array) -> Array:
    """Return the weights of plan_i = s_i * plan_{i-1} + (1 - s_i) * chunk_i, plan_0 = chunk_0.

    Args:
        old_shares: (n,) s_i in [0, 1]; the first is ignored.

    Returns:
        (n,) weights of the chunks in plan_{n-1}; sum 1.
    """
    shares = old_shares.copy()
    shares[0] = 0.0
    passed_on = np.append(np.cumprod(shares[:0:-1])[::-1], 1.0)
    result: Array = (1.0 - shares) * passed_on
    return result
