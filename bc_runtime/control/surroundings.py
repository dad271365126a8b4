# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Surroundings: what the robot, the sensors and their clocks say besides where the joints are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
import math
from types import MappingProxyType

from bc_runtime.control.grippers import grippers_of
from bc_runtime.control.latch import Latch
from bc_runtime.safety import ClockSkew, Flag, JointLimits, TrainingRangeMonitor, outside_limits
from bc_runtime.spec import ActionKind, PolicySpec, RobotConfig

#: A camera must look into darkness or glare for this long before it counts [ns]: at 15 Hz the
#: fourth observation, which comes 0.3 s after the light went out at the latest.
_DARK_NS = 150_000_000
#: A frame is late after so many periods of its camera.
_LATE_PERIODS = 2.0
#: A joint at its end may be measured a little beyond it [rad or m].
SLACK = 0.01
#: A robot that scales its speed to less than this share stands still.
_STANDSTILL = 0.001


class Surroundings:
    """Turns messages into flags; nothing here moves the robot or reads a clock.

    Args:
        limits: Joints in command order; empty for a robot that is commanded without joints.
        grippers: Joints that may be pressed past their end: a gripper that closes on nothing is.
        recover: Let a robot start outside its limits; it then moves inwards only.
        late_s: Stream -> age of its newest sample from which on it is late [s].
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        *,
        grippers: Collection[str] = (),
        recover: bool = False,
        late_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._limits = {
            one.name: replace(one, lower=one.lower - SLACK, upper=one.upper + SLACK)
            for one in limits
        }
        self._declared = self._grippers = frozenset(grippers)
        self._recover = recover
        self._skew = ClockSkew()
        self._skew_text = ''
        self._outside = ''
        self._training: TrainingRangeMonitor | None = None
        self._ranged: frozenset[str] = frozenset()
        self._untrained = ''
        self._dark_since_ns: dict[str, int] = {}
        self._dark = ''
        self._late_s = late_s
        self._late = ''
        self._stopped = Latch()
        self._scale = 1.0

    @classmethod
    def of(
        cls, robot: RobotConfig, limits: Sequence[JointLimits], *, recover: bool
    ) -> Surroundings:
        """Return the surroundings of a robot; the YAML says which joints are grippers."""
        grippers = grippers_of(robot)
        late_s = {f'cameras/{n}': _LATE_PERIODS / c.rate_hz for n, c in robot.cameras.items()}
        return cls(limits, grippers=grippers, recover=recover, late_s=late_s)

    def on_policy(self, spec: PolicySpec) -> None:
        """Take what a policy was trained on.

        Grippers are left out: where they stop is up to what they hold, also when it is nothing.
        """
        self._grippers = self._declared | {
            name for one in spec.actions if one.kind is ActionKind.GRIPPER for name in one.names
        }
        ranges = {
            name.removeprefix('state.'): (known.minimum, known.maximum)
            for name, known in spec.training_ranges.items()
            if name.startswith('state.') and name.removeprefix('state.') not in self._grippers
        }
        self._training = TrainingRangeMonitor(ranges) if ranges else None
        self._ranged = frozenset(ranges)
        self._untrained = ''

    def on_joint_state(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        *,
        mono_ns: int,
        ros_ns: int,
        stamp_ns: int,
    ) -> None:
        """Take a joint state.

        Args:
            names: As in the message; likewise positions [rad or m].
            positions: See there.
            mono_ns: Its arrival, monotonic.
            ros_ns: Its arrival, ROS clock.
            stamp_ns: Of the sender; 0 if it gives none or is not believed.
        """
        at = dict(zip(names, positions, strict=False))
        known = [
            one for name, one in self._limits.items() if name in at and name not in self._grippers
        ]
        self._outside = outside_limits([at[one.name] for one in known], known)
        if self._training is not None and not self._ranged.isdisjoint(at):
            self._untrained = self._training.check(mono_ns, at)
        if stamp_ns:
            self._skew.push(stamp_ns, ros_ns)
            offset = self._skew.offset_s
            # A message that waits in a queue looks old; only the future is impossible by itself.
            wrong = self._skew.suspicious or self._skew.too_large
            self._skew_text = (
                f'joint states are stamped {-offset:+.3f} s from now' if wrong else ''
            )

    def on_observation(
        self,
        streams: Mapping[str, str],
        *,
        mono_ns: int,
        waits: bool = False,
        ages_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Take how each stream served an observation.

        Args:
            streams: Name -> code, empty where it was good.
            mono_ns: Its arrival, monotonic.
            waits: The observation could not be made (yet). A frame that no observation needed may
                be lost silently.
            ages_s: Name -> age of the newest sample [s].
        """
        late = [n for n, age in ages_s.items() if waits and age > self._late_s.get(n, math.inf)]
        self._late = ', '.join(f'{name}: {ages_s[name]:.2f} s' for name in late)
        for name, code in streams.items():
            if code == 'BLANK':
                self._dark_since_ns.setdefault(name, mono_ns)
            else:
                self._dark_since_ns.pop(name, None)
        lasting = [n for n, t in self._dark_since_ns.items() if mono_ns - t >= _DARK_NS]
        self._dark = ', '.join(f'{name} is black or white' for name in lasting)

    def on_robot_stopped(self, stopped: bool, source: str = '') -> None:
        """Take whether the robot has stopped itself (a protective stop, a program that ended).

        Args:
            stopped: A stop counts in one tick at least, however short it was.
            source: Who says so; each one is believed for itself.
        """
        self._stopped.set(stopped, source)

    def on_speed_scaling(self, share: float) -> None:
        """Take the share of the commanded speed that the robot allows."""
        self._scale = share

    def flags(self) -> Mapping[Flag, str]:
        """Return every flag that is watched here and its text, empty where all is well.

        Called once in each tick.
        """
        stopped = 'it says that it has stopped' if self._stopped.take() else ''
        if not stopped and not self._scale > _STANDSTILL:
            stopped = f'it scales its speed to {self._scale:g}'
        return {
            Flag.ROBOT_STOPPED: stopped,
            Flag.CAMERA_DARK: self._dark,
            Flag.CAMERA_LATE: self._late,
            Flag.CLOCK_SKEW: self._skew_text,
            Flag.OUT_OF_DISTRIBUTION: self._untrained,
        }

    def blockers(self) -> tuple[str, ...]:
        """Return why the robot must not start, each with what to do."""
        found = []
        if self._outside and not self._recover:
            found.append(
                f'outside its limits: {self._outside}; move it inwards by hand or by a takeover, '
                'or set the parameter recover to let the policy move it inwards, slowly'
            )
        if self._skew.too_large:
            found.append(
                f'the clock of the joint states is off by {-self._skew.offset_s:+.3f} s: '
                'synchronise it, or set joint_states.clock to arrival'
            )
        if self._stopped.on or not self._scale > _STANDSTILL:
            found.append('the robot has stopped itself: clear that on its side')
        return tuple(found)
