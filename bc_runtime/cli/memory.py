# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Measure the memory of a group of processes (Linux)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import time

_PERIOD_S = 1.0


class MemoryWatch:
    """Keeps the peak of the proportional set size (PSS) of several processes together.

    PSS counts shared pages once, so that the sum is what the machine really spends.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._last = 0.0

    def sample(self, pids: Mapping[str, int]) -> None:
        """Read the processes, at most once a second."""
        now = time.monotonic()
        if now - self._last < _PERIOD_S:
            return
        self._last = now
        self.peak_bytes = max(self.peak_bytes, sum(_pss_bytes(pid) for pid in pids.values()))


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='ascii')
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    return 0
