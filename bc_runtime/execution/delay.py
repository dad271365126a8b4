# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How long it takes from an observation's stamp until its chunk can be executed."""

from __future__ import annotations

from collections import deque
import math

from bc_runtime.execution.chunk import SNAP_NS
from bc_runtime.spec.errors import ExecutionError


class DelayTracker:
    """A high percentile of the newest measured delays.

    It forgets: a maximum over everything that ever happened lets one slow inference spoil the rest
    of a run (lerobot #4223). The first inference of a policy pays for allocation and compilation
    and is left out.
    """

    def __init__(self, *, window: int = 20, percentile: float = 0.95, warm_up: int = 1) -> None:
        """Start without measurements.

        Args:
            window: Newest measurements that count.
            percentile: Share of them that the estimate is not below, (0, 1]; 1 is the maximum, as
                in the paper on real-time chunking (there over 10).
            warm_up: First measurements after a reset that do not count.
        """
        if window < 1 or warm_up < 0 or not 0.0 < percentile <= 1.0:
            raise ExecutionError(
                'expected window >= 1, warm_up >= 0 and a percentile in (0, 1]; '
                f'got {window}, {warm_up} and {percentile}'
            )
        self._delays: deque[int] = deque(maxlen=window)
        self._percentile = percentile
        self._warm_up = warm_up
        self._skip = warm_up

    def reset(self) -> None:
        """Forget everything, for another policy; its first inference is a warm-up again."""
        self._delays.clear()
        self._skip = self._warm_up

    def add(self, delay_ns: int) -> bool:
        """Take a measurement [ns]; return whether it counts (not if negative or warm-up)."""
        if self._skip > 0:
            self._skip -= 1
            return False
        if delay_ns < 0:
            return False
        self._delays.append(delay_ns)
        return True

    @property
    def estimate_ns(self) -> int | None:
        """Nearest-rank percentile of the window [ns]; None without a measurement."""
        if not self._delays:
            return None
        ranked = sorted(self._delays)
        return ranked[math.ceil(self._percentile * len(ranked)) - 1]

    def steps(self, dt_ns: int) -> int:
        """Return the estimate in whole control steps, rounded up; 0 without a measurement."""
        estimate = self.estimate_ns or 0
        return -((SNAP_NS - estimate) // dt_ns) if estimate > SNAP_NS else 0
