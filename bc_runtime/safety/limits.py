# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""JointLimits: what a joint may do, in its unit (rad or m) and seconds.

The limiter and the checker share these numbers and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math
import struct
from typing import Literal, Protocol

from bc_runtime.spec.errors import SafetyError

OutputType = Literal['float32', 'float64']

#: ALIGN moves at this share of the velocity and acceleration limits.
ALIGN_VELOCITY_FACTOR = 0.25
ALIGN_ACCELERATION_FACTOR = 0.5


class JointLike(Protocol):
    """The part of `spec.JointConfig` that limits are made of."""

    @property
    def name(self) -> str:
        """Joint name."""

    @property
    def lower(self) -> float:
        """Hard lower limit [rad or m]; -inf for continuous joints."""

    @property
    def upper(self) -> float:
        """Hard upper limit [rad or m]; inf for continuous joints."""

    @property
    def velocity(self) -> float:
        """Largest speed."""

    @property
    def acceleration(self) -> float:
        """Largest rate of speeding up."""

    @property
    def deceleration(self) -> float:
        """Largest rate of slowing down."""

    @property
    def jerk(self) -> float | None:
        """Largest jerk, or None."""

    @property
    def margin(self) -> float:
        """Kept free inside [lower, upper]."""

    @property
    def continuous(self) -> bool:
        """No position limit; angles wrap."""

    @property
    def gripper(self) -> bool:
        """Opens and closes a gripper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLimits:
    """Limits of one joint (or of one component of a twist).

    Attributes:
        name: Joint name.
        lower: Hard lower position limit [rad or m]; -inf if continuous.
        upper: Hard upper position limit [rad or m]; inf if continuous.
        velocity: Largest speed [rad/s or m/s].
        acceleration: Largest rate of speeding up [rad/s² or m/s²].
        deceleration: Largest rate of slowing down; every guarantee of being able to stop rests on
            it, so give what the joint can really do under load.
        jerk: Largest jerk [rad/s³ or m/s³]; None switches the jerk stage off for this joint.
        margin: Kept free inside [lower, upper].
        continuous: No position limit; position targets are taken on the shortest arc.
        gripper: It stops at what it holds, so that it need not reach its command.
    """

    name: str
    lower: float = -math.inf
    upper: float = math.inf
    velocity: float
    acceleration: float
    deceleration: float
    jerk: float | None = None
    margin: float = 0.0
    continuous: bool = False
    gripper: bool = False

    def __post_init__(self) -> None:
        for key in ('velocity', 'acceleration', 'deceleration'):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0.0):
                raise SafetyError(
                    f'joint {self.name!r}: {key} must be finite and positive, got {value!r}; '
                    f'correct it in the robot YAML'
                )
        if self.jerk is not None and not (math.isfinite(self.jerk) and self.jerk > 0.0):
            raise SafetyError(
                f'joint {self.name!r}: jerk must be finite and positive, or left out, '
                f'got {self.jerk!r}'
            )
        if not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise SafetyError(f'joint {self.name!r}: margin must be >= 0, got {self.margin!r}')
        if self.continuous:
            return
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise SafetyError(
                f'joint {self.name!r}: a joint that is not continuous needs finite position '
                f'limits, got [{self.lower!r}, {self.upper!r}]'
            )
        if self.low >= self.high:
            raise SafetyError(
                f'joint {self.name!r}: nothing is left of [{self.lower!r}, {self.upper!r}] after '
                f'a margin of {self.margin!r} on both sides'
            )

    @property
    def low(self) -> float:
        """Lower limit of a command: `lower` plus the margin."""
        return -math.inf if self.continuous else self.lower + self.margin

    @property
    def high(self) -> float:
        """Upper limit of a command: `upper` minus the margin."""
        return math.inf if self.continuous else self.upper - self.margin

    def scaled(self, velocity_factor: float, acceleration_factor: float) -> JointLimits:
        """Return slower limits, for ALIGN.

        The deceleration stays: a slow phase must never weaken the brake.

        Args:
            velocity_factor: Share of the velocity, in (0, 1].
            acceleration_factor: Share of the acceleration, in (0, 1].
        """
        for key, factor in (('velocity', velocity_factor), ('acceleration', acceleration_factor)):
            if not 0.0 < factor <= 1.0:
                raise SafetyError(f'{key} factor must lie in (0, 1], got {factor!r}')
        return replace(
            self,
            velocity=self.velocity * velocity_factor,
            acceleration=self.acceleration * acceleration_factor,
        )

    def rounded_inward(self, dtype: OutputType) -> JointLimits:
        """Return limits whose ends are exact in `dtype` and never outside the given ones.

        float32(2.8973) is 5e-9 above the float64 number of that name. When the limiter's ends are
        exact in the output type, rounding any allowed command to that type keeps it allowed,
        because rounding is monotonic.
        """
        if dtype == 'float64' or self.continuous:
            return self
        return replace(
            self, lower=_float32_up(self.low), upper=-_float32_up(-self.high), margin=0.0
        )

    @classmethod
    def from_joint(cls, joint: JointLike) -> JointLimits:
        """Take the limits of one joint of a `RobotConfig`."""
        return cls(
            name=joint.name,
            lower=-math.inf if joint.continuous else joint.lower,
            upper=math.inf if joint.continuous else joint.upper,
            velocity=joint.velocity,
            acceleration=joint.acceleration,
            deceleration=joint.deceleration,
            jerk=joint.jerk,
            margin=0.0 if joint.continuous else joint.margin,
            continuous=joint.continuous,
            gripper=joint.gripper,
        )


def limits_of(joints: Sequence[JointLike]) -> tuple[JointLimits, ...]:
    """Return the limits of `RobotConfig.joints` in their order."""
    return tuple(JointLimits.from_joint(joint) for joint in joints)


def align_limits(limits: Sequence[JointLimits]) -> tuple[JointLimits, ...]:
    """Return the limits of ALIGN: 25 % velocity, 50 % acceleration, full deceleration."""
    return tuple(one.scaled(ALIGN_VELOCITY_FACTOR, ALIGN_ACCELERATION_FACTOR) for one in limits)


def to_output(values: Sequence[float], dtype: OutputType) -> tuple[float, ...]:
    """Return finite values rounded to what the command message can hold.

    Args:
        values: Joint values, shape (n,).
        dtype: `float32` or `float64`.

    Raises:
        SafetyError: a value is too large for float32.
    """
    if dtype == 'float64':
        return tuple(values)
    layout = f'<{len(values)}f'  # only with a byte order does an overflow raise
    try:
        return struct.unpack(layout, struct.pack(layout, *values))
    except OverflowError:
        raise SafetyError(f'a value of {list(values)!r} does not fit into float32') from None


def _float32_up(value: float) -> float:
    """Return the smallest float32 that is not below `value`."""
    bits: int
    rounded: float
    (rounded,) = struct.unpack('f', struct.pack('f', value))
    if rounded >= value:
        return rounded
    (bits,) = struct.unpack('I', struct.pack('f', rounded))
    if rounded == 0.0:
        bits = 1  # the smallest positive float32
    else:
        bits += 1 if rounded > 0.0 else -1
    (rounded,) = struct.unpack('f', struct.pack('I', bits))
    return rounded
