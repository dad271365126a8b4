# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The least that a real sensor does: no two pictures are the same.

A drawn scene at rest is byte for byte the same picture again and again, which is what a hung
camera looks like (CAMERA_FROZEN). A real sensor has noise; here the last bit of a few values
flips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Values whose last bit flips in each picture: enough to differ, too few to matter.
COUNT = 64


class Flicker:
    """Flips last bits of pictures, reproducibly from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change a picture (H, W, 3) in place and return it."""
        values = picture.reshape(-1)
        values[self._random.integers(0, values.size, COUNT)] ^= 1
        return picture
