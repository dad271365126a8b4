# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The human's target: from the teleoperation stream to joint positions, without a jump.

Absolute: the leader's pose is the target. It may engage only where the leader's joints are at the
robot's command, otherwise the robot would run to wherever the leader happens to lie.

Relative (clutch): the leader's motion since engaging is added to the command of that moment, so it
may engage anywhere.

Velocity: the leader gives velocities (a joystick's Twist). There is no pose to be aligned with,
and the limiter makes a ramp of whatever comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi, remainder
from typing import Literal, get_args

from bc_runtime.spec.errors import SafetyError

HumanMode = Literal['absolute', 'relative', 'velocity']
_MODES = get_args(HumanMode)


class HumanTarget:
    """Maps the leader's joints to the robot's; see the module's docstring.

    Args:
        mode: `absolute`, `relative` or `velocity`.
        tolerance: Largest distance per joint at which an absolute leader engages [rad or m].
        turning: For each joint, whether it is continuous: then a full turn is no distance.
    """

    def __init__(
        self,
        mode: HumanMode = 'absolute',
        *,
        tolerance: float = 0.05,
        turning: Sequence[bool] = (),
    ) -> None:
        if mode not in _MODES:
            raise SafetyError(f'mode must be one of {", ".join(_MODES)}, got {mode!r}')
        if not tolerance > 0.0:
            raise SafetyError(f'tolerance must be positive, got {tolerance!r}')
        self.mode = mode
        self._tolerance = tolerance
        self._turning = tuple(turning)
        self._offset: tuple[float, ...] | None = None

    def aligned(self, leader: Sequence[float] | None, command: Sequence[float]) -> bool:
        """Whether the human may engage now.

        Args:
            leader: Newest joint positions of the leader, shape (n,); None without a stream.
            command: Last command, shape (n,).
        """
        if leader is None or len(leader) != len(command) or not all(map(isfinite, leader)):
            return False
        if self.mode != 'absolute':
            return True
        return all(abs(gap) <= self._tolerance for gap in self._gaps(leader, command))

    def farthest(self, leader: Sequence[float], command: Sequence[float]) -> tuple[int, float]:
        """Return the joint index and the signed distance that keep the human from engaging."""
        gaps = self._gaps(leader, command)
        worst = max(range(len(gaps)), key=lambda j: abs(gaps[j]))
        return worst, gaps[worst]

    def _gaps(self, leader: Sequence[float], command: Sequence[float]) -> list[float]:
        turning = self._turning or (False,) * len(command)
        return [
            remainder(h - c, 2.0 * pi) if turns else h - c
            for h, c, turns in zip(leader, command, turning, strict=True)
        ]

    def engage(self, leader: Sequence[float], command: Sequence[float]) -> None:
        """Take the present relation of leader and robot; call it when HUMAN is entered."""
        if not self.aligned(leader, command):
            raise SafetyError(
                f'the leader at {list(leader)!r} may not engage a robot at {list(command)!r}; '
                f'bring every joint within {self._tolerance:g} first'
            )
        if self.mode == 'relative':
            self._offset = tuple(c - h for h, c in zip(leader, command, strict=True))
        else:
            self._offset = (0.0,) * len(command)

    def release(self) -> None:
        """Forget the relation."""
        self._offset = None

    def target(self, leader: Sequence[float]) -> tuple[float, ...]:
        """Return the reference for `Limiter.step`, shape (n,)."""
        if self._offset is None:
            raise SafetyError('the human has not engaged; call engage() when HUMAN is entered')
        return tuple(h + o for h, o in zip(leader, self._offset, strict=True))
