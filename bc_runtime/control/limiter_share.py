# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LimiterShare: how often the limiter changes what the policy wants. Often is worth a warning."""

from __future__ import annotations

from bc_runtime.control.tick import TickResult
from bc_runtime.safety import LimitFlag, MissedTicks, Source

#: The limiter acts on most commands when it does on more than this share of so many seconds.
SHARE = 0.5
WINDOW_S = 2.0
#: What a plan can be too fast or too rough for; braking in time before a limit is normal.
_LIMITS = LimitFlag.POSITION | LimitFlag.VELOCITY | LimitFlag.ACCELERATION


class LimiterShare:
    """Counts the ticks of a policy that were limited.

    Args:
        dt_s: Control period [s].
    """

    def __init__(self, dt_s: float) -> None:
        # Ticks that were limited are counted like ticks that were missed.
        self._limited = MissedTicks(dt_s, window_s=WINDOW_S, share=SHARE)

    def note(self, result: TickResult, mono_ns: int) -> str:
        """Take a tick; return what there is to warn of, empty if nothing.

        An approach is limited on purpose, and a human's leader is nobody's plan.
        """
        command = result.command if result.source is Source.POLICY else None
        limited = command is not None and bool(command.active & _LIMITS)
        self._limited.note(mono_ns, int(limited))
        if not self._limited.too_many:
            return ''
        return f'{self._limited.share:.0%} of the commands of the last {WINDOW_S:g} s'
