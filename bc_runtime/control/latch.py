# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Latch: a condition that lasts for one tick at least, however short it was."""

from __future__ import annotations


class Latch:
    """What one or several sources report between two ticks; each is believed for itself."""

    def __init__(self) -> None:
        self._on: dict[str, bool] = {}
        self._was_on = False

    def set(self, on: bool, source: str = '') -> None:
        """Take what a source says."""
        self._on[source] = on
        self._was_on = self._was_on or on

    @property
    def on(self) -> bool:
        """Whether any source says so now."""
        return any(self._on.values())

    @property
    def pending(self) -> bool:
        """Whether any source says so, or has said so since `take`."""
        return self._was_on or self.on

    def take(self) -> bool:
        """Return whether any source says so, or has said so since this was asked last."""
        was_on, self._was_on = self._was_on, False
        return was_on or self.on
