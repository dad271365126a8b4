# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Actions relative to the observed state become absolute, at the chunk's own observation.

An anchor is the state that the policy saw, not the state when the chunk arrives: a late chunk
still means the same place. openpi adds the state at inference time instead, which moves the target
by the robot's motion during inference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import rotation
from bc_runtime.execution.chunk import ActionChunk
from bc_runtime.spec.actions import Reference

Array = NDArray[np.float64]


def absolute_actions(chunk: ActionChunk) -> NDArray[np.float32] | Array:
    """Return the chunk's (K, inner_dim) absolute actions, rotations as quaternions.

    Linear dimensions: anchor + value. Rotations: the value is in the frame of the observed
    orientation, anchor * value; the anchor has the form of the dimension. Continuous joints are
    unwrapped along the chunk, so that interpolation takes the short way.
    """
    layout = chunk.layout
    if not layout.rotations and not layout.relative and not layout.continuous.size:
        return chunk.values
    outer = chunk.values.astype(np.float64)
    anchor = chunk.anchor or {}
    inner = np.empty((chunk.chunk_size, layout.inner_dim))
    for d in layout.relative:
        if chunk.kinds[d] not in rotation.ROTATION_KINDS:
            outer[:, d] += anchor[chunk.names[d]]
    inner[:, layout.plain_inner] = outer[:, layout.plain_outer]
    for group in layout.rotations:
        columns = slice(group.outer, group.outer + group.size)
        q = rotation.to_quaternion(outer[:, columns], group.kind)
        if chunk.references[group.outer] is Reference.OBSERVATION_STATE:
            base = np.array([anchor[name] for name in chunk.names[columns]])
            q = rotation.multiply(rotation.to_quaternion(base, group.kind), q)
        inner[:, group.inner : group.inner + 4] = rotation.align_signs(q)
    for c in layout.continuous:
        inner[:, c] = np.unwrap(inner[:, c])
    return inner
