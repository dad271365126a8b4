# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Motion: what each source wants becomes a command that the limiter and the checker let through.

Two forms of one thing. Where the driver takes positions, a command is a position, and the limiter
goes on from the last one. Where it takes velocities (of joints or of a base), a command is a
velocity; how far a joint may still go is reckoned from where it is measured to be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
import math

from bc_runtime.control.dead_reckoning import DeadReckoning
from bc_runtime.control.grippers import grippers_of
from bc_runtime.control.options import ControlOptions
from bc_runtime.control.plan import PlanPoint
from bc_runtime.execution.layout import RATE_KINDS
from bc_runtime.safety import (
    Approach,
    Checker,
    CheckResult,
    JerkLimiter,
    JointLimits,
    Limiter,
    LimiterStep,
    Source,
    align_limits,
    follow_tail,
    limits_of,
    not_farther_than,
)
from bc_runtime.spec import BindingError, PolicySpec, RobotConfig, SafetyError

Values = tuple[float, ...]

#: A command may be ahead of the robot by so many tolerances for tracking: more than one, or an
#: error would never be found.
_LEASH = 1.5


class Motion(ABC):
    """Limiter, checker and approach of one robot; see the module's docstring."""

    def __init__(self, robot: RobotConfig, options: ControlOptions) -> None:
        self.limits: tuple[JointLimits, ...] = limits_of(robot.commanded)
        self._align_limits = align_limits(self.limits)
        self._dt_s = 1.0 / robot.command.rate_hz
        self._limiter = self._make_limiter(robot, options)
        self._checker = Checker(self.limits, self._dt_s)
        self.too_far = ''
        """Why the last approach could not begin, empty if it could."""
        self.violation = ''
        """What the checker refused in the last command, empty if nothing."""

    # What it knows ----------------------------------------------------------------------------

    @property
    def seeded(self) -> bool:
        """Whether there is a command to go on from."""
        return self._limiter.seeded

    @property
    def position(self) -> Values:
        """Position of the last command; only a reckoning where velocities are commanded."""
        return self._limiter.position

    @property
    def rests(self) -> bool:
        """Whether the last command does not move."""
        return not self._limiter.seeded or self._limiter.at_rest

    @abstractmethod
    def aligned_to(self, point: PlanPoint | None) -> bool:
        """Return whether the approach has arrived, and the plan is still there."""

    def check(self, spec: PolicySpec) -> None:  # noqa: B027 - most take every policy
        """Refuse a policy that this form of command cannot execute.

        Raises:
            BindingError: says why, and what to do.
        """

    # What it is told --------------------------------------------------------------------------

    def seed(self, positions: Values | None) -> None:
        """Begin at rest from these positions; None where nothing is measured."""
        start = (0.0,) * len(self.limits) if positions is None else positions
        self._limiter.seed(start)
        self._checker.seed(start)

    def enter(self, *, aligning: bool) -> None:
        """Another state begins; ALIGN has slower limits."""
        limits = self._align_limits if aligning else self.limits
        self._limiter.set_limits(limits)
        self._checker.set_limits(limits)

    def wanted(self, point: PlanPoint) -> Values:
        """Return what a resolved point asks for, in the unit that is commanded."""
        return point.position

    @property
    def has_tail(self) -> bool:
        """Whether each message ends at rest, and a driver that is left alone goes there."""
        return False

    def catch_up(self, steps: int) -> str:
        """Go where the driver went that was left alone; return what went wrong."""
        return ''

    def withdraw(self) -> None:
        """Take back the last command: it was not sent."""
        self._limiter.rollback()
        self._checker.seed(self._limiter.position, self._limiter.velocity)

    def place(self) -> tuple[Values, Values] | None:
        """Return position and velocity of the last command, None before the first."""
        if not self.seeded:
            return None
        return self._limiter.position, self._limiter.velocity

    def put_back(self, place: tuple[Values, Values] | None) -> None:
        """Go on from an earlier command: what came after it was not sent."""
        if place is None:
            self._limiter.reset()
        elif place != self.place():
            self._limiter.seed(*place)
            self._checker.seed(*place)

    def resolve(self, point: PlanPoint, *, stands: bool = False) -> PlanPoint:
        """Return a point in terms of what is commanded; `stands`: the plan's clock does."""
        return point

    def set_grippers(self, names: frozenset[str]) -> None:  # noqa: B027 - not all care
        """Say which joints are grippers."""

    def here(self, measured: Values | None, arrival_ns: int, now_ns: int) -> Values | None:
        """Return where the robot is taken to be now; `measured` arrived at `arrival_ns`."""
        return measured

    def sent(self, command: LimiterStep, mono_ns: int) -> None:  # noqa: B027 - not all care
        """Note a command that goes out."""

    # A tick -----------------------------------------------------------------------------------

    def command(
        self,
        source: Source,
        point: PlanPoint | None,
        human: Values | None,
        measured: Values | None,
    ) -> LimiterStep | None:
        """Return the command of this tick, None if none may be sent; see `violation`, `too_far`.

        Args:
            source: Who makes it.
            point: What the plan wants, already resolved.
            human: What the human wants.
            measured: Measured positions, None without.
        """
        self.too_far = self.violation = ''
        command = self._limited(source, point, human, measured)
        verdict = self._judge(command)
        if verdict.ok:
            return command
        self.violation = verdict.text
        self._limiter.rollback()
        command = self._limiter.brake()
        if self._judge(command).ok:
            return command
        # What is not sent does not slow the robot down either.
        self._limiter.rollback()
        return None

    def _limited(
        self,
        source: Source,
        point: PlanPoint | None,
        human: Values | None,
        measured: Values | None,
    ) -> LimiterStep:
        if source is Source.POLICY and point is not None:
            return self._follow(point, measured)
        if source is Source.ALIGN and point is not None:
            return self._approach(point)
        if source is Source.HUMAN and human is not None:
            return self._obey(human, measured)
        if source is Source.HOLD:
            return self._limiter.hold()
        return self._limiter.brake()

    @abstractmethod
    def _make_limiter(self, robot: RobotConfig, options: ControlOptions) -> Limiter:
        """Return the limiter of this form of command."""

    @abstractmethod
    def _follow(self, point: PlanPoint, measured: Values | None) -> LimiterStep:
        """Follow the plan."""

    @abstractmethod
    def _approach(self, point: PlanPoint) -> LimiterStep:
        """Go slowly to where the plan begins."""

    @abstractmethod
    def _obey(self, human: Values, measured: Values | None) -> LimiterStep:
        """Follow the human."""

    @abstractmethod
    def _judge(self, command: LimiterStep) -> CheckResult:
        """Let the checker look at what would be sent."""

    @abstractmethod
    def deviation(self, point: PlanPoint, command: LimiterStep) -> float:
        """Return the largest difference of wanted and sent, in the unit that is commanded."""


class PositionMotion(Motion):
    """Commands are positions."""

    def __init__(self, robot: RobotConfig, options: ControlOptions) -> None:
        super().__init__(robot, options)
        self._has_tail = robot.command.kind.ends_at_rest
        self._jerk = options.jerk
        # In a dry run the robot does not follow.
        self._reach = math.inf if options.dry_run else _LEASH * robot.tolerances.tracking
        self._turning = tuple(one.continuous for one in self.limits)
        self._way = Approach(
            self.limits, max_distance=dict.fromkeys(robot.command.joints, robot.tolerances.start)
        )
        self.set_grippers(grippers_of(robot))

    def _make_limiter(self, robot: RobotConfig, options: ControlOptions) -> Limiter:
        if options.jerk:
            if options.coordinated:
                raise SafetyError('coordinated and jerk exclude each other; choose one of them')
            return JerkLimiter(self.limits, self._dt_s)
        return Limiter(self.limits, self._dt_s, coordinated=options.coordinated)

    def aligned_to(self, point: PlanPoint | None) -> bool:
        """Return whether the command has been where the plan began for a while.

        Chunks that come during an approach are not held against the command. Where the plan has
        gone too far away meanwhile, the next command finds that out as it did at the first time.
        """
        if not self._way.aligned or point is None:
            return False
        if self._way.too_far(self._start(point), self.position):
            self._way.reset()
        return self._way.aligned

    def check(self, spec: PolicySpec) -> None:
        """Refuse actions by velocity under the jerk stage, which only knows places."""
        kinds = zip(spec.action_names, spec.action_kinds, strict=True)
        rates = [name for name, kind in kinds if kind in RATE_KINDS]
        if self._jerk and rates:
            raise BindingError(
                f'policy {spec.name!r} moves {rates[0]!r} by velocity, which the jerk stage '
                'cannot follow; set the parameter jerk to false'
            )

    def enter(self, *, aligning: bool) -> None:
        """Another state begins; an approach begins anew."""
        super().enter(aligning=aligning)
        self._way.reset()

    @property
    def has_tail(self) -> bool:
        """Whether commands are trajectories, which end at rest."""
        return self._has_tail

    def catch_up(self, steps: int) -> str:
        """Go where the driver went meanwhile: along the braking tail of the last message."""
        if self._has_tail:
            try:
                follow_tail(self._limiter, self._checker, steps)
            except SafetyError as error:
                return str(error)
        return ''

    def set_grippers(self, names: frozenset[str]) -> None:
        """Say which joints need not get to where they are told: they hold something."""
        self._leash = tuple(math.inf if one.name in names else self._reach for one in self.limits)
        self._way.exempt(names)

    def resolve(self, point: PlanPoint, *, stands: bool = False) -> PlanPoint:
        """Turn wanted velocities into the positions that they lead to in one tick.

        A place does not move while the plan's clock stands: the command stops there.
        """
        if stands:
            velocity = tuple(
                v if rate else 0.0 for v, rate in zip(point.velocity, point.rates, strict=True)
            )
            point = replace(point, velocity=velocity)
        if not any(point.rates) or not self.seeded:
            return point
        here, dt = self.position, self._dt_s
        return replace(
            point,
            position=tuple(
                q + v * dt if rate else wanted
                for q, wanted, v, rate in zip(
                    here, point.position, point.velocity, point.rates, strict=True
                )
            ),
        )

    def sent(self, command: LimiterStep, mono_ns: int) -> None:
        """Note a command that goes out, for the approach."""
        if self._way.target is not None:
            self._way.update(command.position, mono_ns)

    def _follow(self, point: PlanPoint, measured: Values | None) -> LimiterStep:
        wanted = self._near(point.position, measured)
        velocity = tuple(
            v if near == far else 0.0
            for v, near, far in zip(point.velocity, wanted, point.position, strict=True)
        )
        return self._limiter.step(wanted, velocity)

    def _approach(self, point: PlanPoint) -> LimiterStep:
        if self._way.target is None:
            self.too_far = self._way.begin(self._start(point), self.position)
        # It stays the target until the robot is there, whatever the plan says meanwhile.
        target = self._way.target
        return self._limiter.hold() if target is None else self._limiter.step(target)

    def _start(self, point: PlanPoint) -> Values:
        """Return where to go before a plan; what it moves by velocity begins wherever it is."""
        return tuple(
            q if rate else wanted
            for q, wanted, rate in zip(self.position, point.position, point.rates, strict=True)
        )

    def _obey(self, human: Values, measured: Values | None) -> LimiterStep:
        return self._limiter.step(self._near(human, measured))

    def _near(self, wanted: Values, measured: Values | None) -> Values:
        """Keep the command near the robot: a blocked joint must not snap when it comes free."""
        if measured is None:
            return wanted
        return not_farther_than(
            self._leash,
            reference=wanted,
            command=self.position,
            measured=measured,
            turning=self._turning,
        )

    def _judge(self, command: LimiterStep) -> CheckResult:
        return self._checker.check(command.position)

    def deviation(self, point: PlanPoint, command: LimiterStep) -> float:
        """Return the largest difference of positions [rad or m]."""
        return max(
            abs(math.remainder(w - s, 2.0 * math.pi) if turns else w - s)
            for w, s, turns in zip(point.position, command.position, self._turning, strict=True)
        )


class VelocityMotion(Motion):
    """Commands are velocities; a robot that begins to move needs no approach, only a ramp."""

    def __init__(self, robot: RobotConfig, options: ControlOptions) -> None:
        super().__init__(robot, options)
        self._limiter: Limiter
        self._measures = not robot.command.is_twist
        self._reckoning = DeadReckoning(robot.joint_states.latency_s)
        self._met = False

    def _make_limiter(self, robot: RobotConfig, options: ControlOptions) -> Limiter:
        if options.jerk:
            raise SafetyError(
                'the jerk stage works on positions only; set the parameter jerk to false for a '
                f'robot that takes velocities ({robot.command.type})'
            )
        # The age of the measurement is reckoned with in `here`; a command takes one period more.
        return Limiter(self.limits, self._dt_s, coordinated=options.coordinated, lag_s=self._dt_s)

    def seed(self, positions: Values | None) -> None:
        """Begin from these positions, with the velocity that the driver was told last.

        A measurement says where the robot is. It does not stop it: only a zero that is sent does.
        """
        start = (0.0,) * len(self.limits) if positions is None else positions
        speeds = self._limiter.velocity
        self._limiter.seed(start, speeds)
        self._checker.seed(start, speeds)

    def aligned_to(self, point: PlanPoint | None) -> bool:
        """Return whether the robot rests and there is a plan; then a ramp is approach enough."""
        return self._met and point is not None

    def enter(self, *, aligning: bool) -> None:
        """Another state begins."""
        super().enter(aligning=aligning)
        self._met = False

    def here(self, measured: Values | None, arrival_ns: int, now_ns: int) -> Values | None:
        """Return where the robot has got to since it was measured."""
        if measured is None or not self._measures:
            return measured
        return self._reckoning.position(measured, arrival_ns, now_ns)

    def sent(self, command: LimiterStep, mono_ns: int) -> None:
        """Note the velocity that the robot moves on with."""
        self._reckoning.sent(command.velocity, mono_ns)

    def wanted(self, point: PlanPoint) -> Values:
        """Return the velocities of a point."""
        return point.velocity

    def _follow(self, point: PlanPoint, measured: Values | None) -> LimiterStep:
        return self._steer(point.velocity, measured)

    def _approach(self, point: PlanPoint) -> LimiterStep:
        command = self._limiter.hold()
        self._met = self._limiter.at_rest
        return command

    def _obey(self, human: Values, measured: Values | None) -> LimiterStep:
        return self._steer(human, measured)

    def _steer(self, wanted: Sequence[float], measured: Values | None) -> LimiterStep:
        if not self._measures:
            return self._limiter.step_velocity(wanted)
        if measured is None:
            return self._limiter.brake()
        return self._limiter.step_velocity(wanted, measured)

    def _judge(self, command: LimiterStep) -> CheckResult:
        return self._checker.check_velocity(command.velocity)

    def deviation(self, point: PlanPoint, command: LimiterStep) -> float:
        """Return the largest difference of velocities [rad/s or m/s]."""
        gaps = zip(point.velocity, command.velocity, strict=True)
        return max(abs(wanted - sent) for wanted, sent in gaps)


def make_motion(robot: RobotConfig, options: ControlOptions) -> Motion:
    """Return the motion that fits what the robot's driver takes."""
    kind: Callable[[RobotConfig, ControlOptions], Motion] = (
        VelocityMotion if robot.command.takes_velocities else PositionMotion
    )
    return kind(robot, options)
