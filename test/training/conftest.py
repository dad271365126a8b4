# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import IMAGE_HEIGHT, IMAGE_WIDTH
from bc_runtime.training.demonstration_set import DemonstrationSet


@pytest.fixture
def data() -> DemonstrationSet:
    """Three episodes of 15, 20 and 25 steps of made-up motion; one push in the second."""
    lengths = np.array([15, 20, 25])
    count = int(lengths.sum())
    rng = np.random.default_rng(7)
    action = np.cumsum(rng.normal(0.0, 0.02, (count, 7)), axis=0).astype(np.float32)
    action[:, 6] = np.clip(0.05 + action[:, 6], 0.0, task.GRIPPER_MAX_M)
    kick = np.zeros(count, dtype=np.bool_)
    kick[15 + 4] = True
    size = (count, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
    return DemonstrationSet(
        images={c: rng.integers(0, 256, size, dtype=np.uint8) for c in task.CAMERAS},
        state=(action + rng.normal(0.0, 0.01, action.shape)).astype(np.float32),
        action=action,
        kick=kick,
        lengths=lengths,
        seeds=np.array([3, 4, 6]),
        colours=np.array([0, 2, 1]),
    )
