# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pace: when the next observation is due, whatever a stamp says."""

from __future__ import annotations

_SECOND_NS = 1_000_000_000
#: Part of the period that an observation may come early; on average the rate is kept.
_EARLY = 0.05


class Pace:
    """Decides for each reference time whether an observation is made of it."""

    def __init__(self) -> None:
        self._due_ns = 0

    def ready_ns(self, period_ns: int) -> int:
        """Return the earliest reference time of the next observation [ns].

        A frame that is due now and was stamped a little early must not be left for the next one.
        """
        return self._due_ns - round(_EARLY * period_ns)

    def take(self, stamp_ns: int, *, period_ns: int, now_ns: int) -> bool:
        """Return whether to make an observation of this reference time; if so, it is counted.

        Args:
            stamp_ns: Reference time [ns].
            period_ns: Time between two observations [ns].
            now_ns: Present time on the same clock [ns].
        """
        early_ns = self.ready_ns(period_ns) - stamp_ns
        if 0 < early_ns < _SECOND_NS:
            return False
        if early_ns >= _SECOND_NS:  # the clock was set back
            self._due_ns = stamp_ns
        # On average at the rate, although cameras and policy are not in step.
        due_ns = max(self._due_ns + period_ns, stamp_ns + period_ns // 2)
        # One stamp of the future must not make all that follow wait for it.
        self._due_ns = min(due_ns, now_ns + period_ns)
        return True
