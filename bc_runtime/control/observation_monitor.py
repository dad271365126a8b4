# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the observations say: are they valid, and is the plan made from fresh ones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

from bc_runtime.safety import Flag

#: Reason codes of the observation node -> flag, for reasons that concern a camera.
_CAMERA_FLAGS = {
    'FROZEN': Flag.CAMERA_FROZEN,
    'STALE': Flag.CAMERA_STALE,
    'MISSING': Flag.CAMERA_STALE,
    'STAMPS': Flag.CAMERA_STAMPS,
}


#: Patience where none is given: so long [s], and so many periods of the policy, which is given one
#: observation per period at most.
_PATIENCE_S = 0.3
_PATIENCE_PERIODS = 2.5


class ObservationMonitor:
    """Keeps the newest observation status.

    Args:
        max_age_s: Oldest observation that a plan may rest on [s].
        patience_s: Invalid or absent observations are borne this long [s]; None: 0.3 s, or two and
            a half periods of a policy whose periods are long.
    """

    def __init__(self, *, max_age_s: float, patience_s: float | None = None) -> None:
        self._max_age_s = max_age_s
        self._given = patience_s is not None
        self._patience_s = _PATIENCE_S if patience_s is None else patience_s
        self._valid_ns: int | None = None
        self.reasons: tuple[str, ...] = ('no observation has come yet',)

    def expect_every(self, period_s: float) -> None:
        """Take the period of the policy: more observations than one per period it is not given."""
        if not self._given:
            self._patience_s = max(_PATIENCE_S, _PATIENCE_PERIODS * period_s)

    def update(self, *, valid: bool, reasons: Sequence[str], arrival_ns: int) -> None:
        """Take the status of one observation; its reasons read 'CODE stream: text'."""
        self.reasons = () if valid else tuple(reasons) or ('invalid, no reason given',)
        if valid:
            self._valid_ns = arrival_ns

    def silence_s(self, mono_ns: int) -> float:
        """Return the time since the last valid observation [s]."""
        return math.inf if self._valid_ns is None else (mono_ns - self._valid_ns) * 1e-9

    def flags(self, mono_ns: int, plan_age_s: float) -> Mapping[Flag, str]:
        """Return what is wrong now.

        Args:
            mono_ns: Now, monotonic.
            plan_age_s: Age of the newest observation that the plan rests on [s]; NaN without plan.
        """
        found: dict[Flag, str] = {}
        why = '; '.join(self.reasons)
        # The observation node has its own patience with cameras; what it calls stale is stale.
        for each in self.reasons:
            code, _, rest = each.partition(' ')
            if rest.startswith('cameras/') and code in _CAMERA_FLAGS:
                found[_CAMERA_FLAGS[code]] = rest
        silence = self.silence_s(mono_ns)
        if silence > self._patience_s:
            found[Flag.OBSERVATION_STALE] = why or f'none for {silence:.2f} s'
        elif plan_age_s > self._max_age_s:
            old = f'the plan rests on one that is {plan_age_s:.2f} s old'
            found[Flag.OBSERVATION_STALE] = f'{old}: {why}' if why else old
        return found
