# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Robots for the sequence fuzz: a random YAML, a simple driver behind it, and policies for it.

The drivers are what a simple driver would be: they do what the last message says, and nothing
cleverer. All arithmetic here is the test's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import random

import yaml

from bc_runtime.spec import PolicySpec, RobotConfig

AXES = ('linear.x', 'angular.z', 'linear.y')


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What kind of robot: the rest is drawn from the seed."""

    kind: str
    """trajectory, set-point, velocity or twist."""
    joints: int
    rate: float
    jerk: bool = False
    simulated: bool = False
    """ROS time is simulated: it may stand still and go back, but is never stepped."""

    @property
    def name(self) -> str:
        words = [self.kind, f'{self.joints}', f'{self.rate:g}Hz']
        return '-'.join([*words, *(['jerk'] * self.jerk), *(['sim'] * self.simulated)])


@dataclass(frozen=True)
class Joint:
    """One joint as the test sees it."""

    name: str
    low: float
    high: float
    velocity: float
    acceleration: float
    deceleration: float
    continuous: bool
    gripper: bool


def draw_joints(setup: Setup, rng: random.Random) -> list[Joint]:
    joints = []
    for j in range(setup.joints):
        twist = setup.kind == 'twist'
        continuous = twist or (j % 5 == 1 and rng.random() < 0.5)
        gripper = not continuous and j > 0 and rng.random() < 0.2
        velocity = rng.choice([0.5, 1.0, 2.0])
        # A tail of half a second is the longest that a YAML may ask for.
        acceleration = velocity * rng.choice([2.0, 4.0, 10.0])
        joints.append(
            Joint(
                name=AXES[j] if twist else f'j{j}',
                low=-math.inf if continuous else -rng.choice([0.6, 1.5, 3.0]),
                high=math.inf if continuous else rng.choice([0.6, 1.5, 3.0]),
                velocity=velocity,
                acceleration=acceleration,
                deceleration=acceleration * rng.choice([1.0, 1.0, 2.0]),
                continuous=continuous,
                gripper=gripper,
            )
        )
    return joints


def robot_of(setup: Setup, joints: Sequence[Joint]) -> RobotConfig:
    """Return the robot as its YAML is read."""
    kind = {'trajectory': 'joint_trajectory', 'twist': 'twist'}.get(
        setup.kind, 'float64_multi_array'
    )
    command: dict[str, object] = {'type': kind, 'topic': 'cmd', 'rate_hz': setup.rate}
    human = {'takeover_topic': 'takeover', 'teleop_topic': 'teleop', 'heartbeat_s': 0.3}
    data: dict[str, object] = {'schema_version': 1, 'name': 'fuzzed', 'human': human}
    if setup.kind == 'twist':
        command['axes'] = {
            one.name: {
                'velocity': one.velocity,
                'acceleration': one.acceleration,
                'deceleration': one.deceleration,
            }
            for one in joints
        }
    else:
        command['joints'] = [one.name for one in joints]
        if setup.kind == 'velocity':
            command['interface'] = 'velocity'
        data['joint_states'] = {'topic': 'joint_states', 'max_age_s': MAX_AGE_S}
        data['joints'] = [_joint_yaml(one, jerk=setup.jerk) for one in joints]
        data['tolerances'] = {'tracking': 0.4, 'tracking_s': 0.3, 'stall': 0.25}
    return RobotConfig.from_yaml(yaml.safe_dump(data | {'command': command}, sort_keys=False))


#: Older joint states stop the robot [s].
MAX_AGE_S = 0.1


def _joint_yaml(one: Joint, *, jerk: bool) -> dict[str, object]:
    entry: dict[str, object] = {
        'name': one.name,
        'unit': 'rad',
        'velocity': one.velocity,
        'acceleration': one.acceleration,
        'deceleration': one.deceleration,
    }
    if one.continuous:
        entry['continuous'] = True
    else:
        entry['position'] = [one.low, one.high]
    if one.gripper:
        entry['gripper'] = True
    if jerk:
        entry['jerk'] = one.acceleration * 20.0
    return entry


# Policies ----------------------------------------------------------------------------------------


def specs_of(setup: Setup, joints: Sequence[Joint]) -> list[PolicySpec]:
    """Return policies that can be swapped for each other: other rates, kinds and ranges."""
    velocities = setup.kind in ('velocity', 'twist')
    first = _spec('first', joints, hz=10.0, velocities=velocities)
    found = [first, _spec('quick', joints, hz=30.0, velocities=velocities)]
    found.append(_spec('slow', joints, hz=3.0, velocities=velocities, chunk_size=6))
    found.append(_spec('narrow', joints, hz=15.0, velocities=velocities, reach=0.4))
    if setup.kind in ('trajectory', 'set-point') and not setup.jerk:
        found.append(_spec('rates', joints, hz=15.0, velocities=True))
    return found


def _spec(
    name: str,
    joints: Sequence[Joint],
    *,
    hz: float,
    velocities: bool,
    chunk_size: int = 8,
    reach: float = 0.0,
) -> PolicySpec:
    groups = [_group(one, velocities=velocities) for one in joints]
    data: dict[str, object] = {
        'schema_version': 1,
        'name': name,
        'family': 'mlp',
        'control_hz': hz,
        'chunk_size': chunk_size,
        'inputs': [
            {'kind': 'noise', 'name': 'noise', 'shape': [1, 2], 'distribution': 'normal'},
        ],
        'output': {'name': 'action', 'groups': groups},
    }
    if reach:
        data['training_ranges'] = {
            f'action.{one.name}': {'min': -reach, 'max': reach, 'mean': 0.0, 'std': 0.2}
            for one in joints
        }
    return PolicySpec.from_dict(data)


def _group(one: Joint, *, velocities: bool) -> dict[str, object]:
    if one.name.startswith('linear'):
        kind, unit = 'linear_velocity', 'm/s'
    elif one.name.startswith('angular'):
        kind, unit = 'angular_velocity', 'rad/s'
    elif velocities:
        kind, unit = 'joint_velocity', 'rad/s'
    else:
        kind = 'continuous_joint' if one.continuous else 'joint_position'
        kind, unit = ('gripper' if one.gripper else kind), 'rad'
    return {'kind': kind, 'names': [one.name], 'units': [unit]}


# Drivers -----------------------------------------------------------------------------------------


class PositionDriver:
    """Goes where the last message says, in one period; and then along its tail, if it has one.

    `place` is where the driver is, and `speed` how fast it came there, per joint. A driver of
    set-points stays on the last one. `told_speed` is what it was asked for last.
    """

    def __init__(self, joints: Sequence[Joint], start: Sequence[float], dt_s: float, tail: bool):
        self.place = list(start)
        self.speed = [0.0] * len(joints)
        self.told_speed = [0.0] * len(joints)
        self.alone = 0
        """Periods since the last message was used."""
        self._dt = dt_s
        self._loss = [one.deceleration * dt_s for one in joints]
        self._tail = tail
        self._message: tuple[Sequence[float], Sequence[float]] | None = None

    def advance(self) -> None:
        """One period passes."""
        if self._message is not None:
            self.place, self.speed = list(self._message[0]), list(self._message[1])
            self.told_speed, self.alone, self._message = list(self.speed), 0, None
            return
        self.alone += 1
        for j, v in enumerate(self.speed):
            if not v:
                continue
            left = abs(v) - self._loss[j] if self._tail else 0.0
            left = left if left > 1e-9 * self._loss[j] else 0.0
            self.speed[j] = left = math.copysign(left, v)
            self.place[j] += left * self._dt

    @property
    def rests(self) -> bool:
        return self._message is None and not any(self.speed)

    def take(self, position: Sequence[float], velocity: Sequence[float]) -> None:
        """Take a message: where to be in one period, and with which speed."""
        self._message = (position, velocity)


class VelocityDriver:
    """Goes on with the last velocity for ever."""

    def __init__(self, joints: Sequence[Joint]) -> None:
        self.speed = [0.0] * len(joints)

    def advance(self) -> None:
        """One period passes."""

    @property
    def rests(self) -> bool:
        return not any(self.speed)

    def take(self, _position: Sequence[float], velocity: Sequence[float]) -> None:
        """Take a message."""
        self.speed = list(velocity)
