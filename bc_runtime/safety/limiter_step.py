# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the limiter gives each tick: the command, and why it differs from its reference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag


class LimitFlag(IntFlag):
    """What made the command of a joint differ from its reference; 0 means passed unchanged.

    The first five bits are those of `bc_msgs/ControllerStatus.limiter_flags`.
    """

    POSITION = 1
    VELOCITY = 2
    ACCELERATION = 4
    BAD_INPUT = 8
    OUTSIDE = 16
    STOPPING_DISTANCE = 32
    APPROACH = 64
    SCALED = 128
    BRAKE = 256
    JERK = 512


@dataclass(frozen=True, slots=True)
class LimiterStep:
    """One tick's command.

    Attributes:
        position: Next position per joint [rad or m], shape (n,).
        velocity: Velocity of this step [rad/s or m/s], shape (n,).
        flags: `LimitFlag` bits per joint, shape (n,).
        scale: Common velocity scale of the coordinated mode; 1 otherwise.
    """

    position: tuple[float, ...]
    velocity: tuple[float, ...]
    flags: tuple[int, ...]
    scale: float

    @property
    def active(self) -> int:
        """All joints' flags or-ed together."""
        bits = 0
        for flag in self.flags:
            bits |= flag
        return bits
