# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`CarSim`: a small car on a closed road, driven by a Twist."""

from __future__ import annotations

import math
from typing import Final

from bc_runtime.sim.car_track import LANE_HALF_M, Track, sample_track
from bc_runtime.sim.errors import SimError

#: Axes of the Twist that the car obeys, in the order of commands.
AXES: Final = ('linear.x', 'angular.z')

_DRIVE_LAG_S: Final = 0.12
_STEP_S: Final = 0.005
_LARGEST: Final = (1.5, 4.0)  # m/s, rad/s
_START_OFFSET_M: Final = 0.06
_START_TURN_RAD: Final = 0.15


class CarSim:
    """A car with two driven wheels: it turns about the middle of its axle.

    Speed and turn rate follow the command with a first-order lag. The world's frame is x to the
    right, y up, angles anticlockwise (REP 103).

    Attributes:
        track: The road.
        pose: Position of the axle's middle and heading, (x m, y m, rad).
        velocity: Of the body, (m/s, rad/s).
        time_s: Since the reset.
    """

    def __init__(self) -> None:
        self.reset(0)

    def reset(self, seed: int, *, spread: float = 1.0) -> None:
        """Put the car on the road of a seed, at rest, somewhere near the middle of the lane.

        Args:
            seed: Zero or positive.
            spread: Of the start's offset and turn; 1 is how trials begin.
        """
        self.track: Track = sample_track(seed)
        # Fractions of the seed, spread well, place the start; no second generator is needed.
        share = [(seed * factor) % 1.0 for factor in (0.6180339887, 0.7548776662, 0.5698402910)]
        x, y, heading = self.track.at(share[0] * self.track.length)
        aside = spread * _START_OFFSET_M * (2.0 * share[1] - 1.0)
        turn = spread * _START_TURN_RAD * (2.0 * share[2] - 1.0)
        self.pose = (
            x - aside * math.sin(heading),
            y + aside * math.cos(heading),
            heading + turn,
        )
        self.velocity = (0.0, 0.0)
        self.time_s = 0.0
        self._command = (0.0, 0.0)
        self._way = self.track.locate(x, y)[0]
        self._progress = 0.0
        self._left_lane = False
        self._due_s = 0.0

    def command(self, linear_m_s: float, angular_rad_s: float) -> None:
        """Set the wanted velocity of the body; cut to what the car can do.

        Raises:
            SimError: A number is NaN or infinite; the last command stands.
        """
        wanted = (linear_m_s, angular_rad_s)
        if not all(math.isfinite(value) for value in wanted):
            raise SimError(f'expected finite velocities, got {wanted}; the last command stands')
        linear, angular = (
            min(max(value, -most), most) for value, most in zip(wanted, _LARGEST, strict=True)
        )
        self._command = (linear, angular)

    def step(self, duration_s: float) -> None:
        """Advance time; what is left of a duration is carried to the next call."""
        if not duration_s >= 0.0:
            raise SimError(f'expected a duration of zero or more, got {duration_s!r} s')
        self._due_s += duration_s
        follow = 1.0 - math.exp(-_STEP_S / _DRIVE_LAG_S)
        while self._due_s >= _STEP_S - 1e-9:
            self._due_s -= _STEP_S
            self.time_s += _STEP_S
            linear, angular = (
                now + follow * (wanted - now)
                for now, wanted in zip(self.velocity, self._command, strict=True)
            )
            x, y, heading = self.pose
            middle = heading + 0.5 * angular * _STEP_S
            self.pose = (
                x + linear * math.cos(middle) * _STEP_S,
                y + linear * math.sin(middle) * _STEP_S,
                heading + angular * _STEP_S,
            )
            self.velocity = (linear, angular)
        self._note_progress()

    @property
    def offset(self) -> float:
        """Distance to the left of the lane's middle, m."""
        return self.track.locate(*self.pose[:2])[1]

    @property
    def laps(self) -> float:
        """Rounds driven since the reset; negative against the direction."""
        return self._progress / self.track.length

    @property
    def left_lane(self) -> bool:
        """Whether the axle's middle crossed an edge of the lane at any time since the reset."""
        return self._left_lane

    def success(self) -> bool:
        """Tell whether a whole round was driven inside the lane."""
        return self.laps >= 1.0 and not self._left_lane

    def _note_progress(self) -> None:
        way, offset, _ = self.track.locate(*self.pose[:2])
        change = way - self._way
        change -= self.track.length * round(change / self.track.length)
        self._progress += change
        self._way = way
        self._left_lane = self._left_lane or abs(offset) > LANE_HALF_M
