# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One velocity scale for all joints, so that limiting keeps the direction of motion.

In one dimension the problem has a closed form: each joint gives an interval of scales that it can
follow, and the largest member of their intersection is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from bc_runtime.safety.limiter_step import LimitFlag

SCALED = int(LimitFlag.SCALED)


def common_scale(
    desired: Sequence[float],
    boxes: Sequence[tuple[float, float]],
    clipped: list[float],
    marks: list[int],
) -> tuple[float, list[float], list[int]]:
    """Find the largest λ in [0, 1] with lower ≤ λ·v ≤ upper for every joint.

    Where there is none (a joint must brake while another may not), every joint is clipped on its
    own, as in the per-joint mode, and all are flagged SCALED with scale 0.
    """
    least, most = 0.0, 1.0
    for v, (lower, upper) in zip(desired, boxes, strict=True):
        if v > 0.0:
            least, most = max(least, lower / v), min(most, upper / v)
        elif v < 0.0:
            least, most = max(least, upper / v), min(most, lower / v)
        elif lower > 0.0 or upper < 0.0:
            least = 2.0
    if least > most:
        return 0.0, clipped, [mark | SCALED for mark in marks]
    if most >= 1.0:
        return 1.0, clipped, marks
    # The product may miss the box by its last bit.
    velocity = [
        min(max(most * v, lower), upper) for v, (lower, upper) in zip(desired, boxes, strict=True)
    ]
    return most, velocity, [mark | SCALED for mark in marks]
