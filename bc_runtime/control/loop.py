# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ControlLoop: everything that the controller decides in a tick, without ROS and without a clock.

The order of a tick: look at the plan, collect the facts, let the supervisor decide, do what its
transitions ask, make the command, limit it, check it. The node around it only moves messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from types import MappingProxyType

from bc_runtime.control.grippers import grippers_of
from bc_runtime.control.human_port import HumanPort
from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.latch import Latch
from bc_runtime.control.limiter_share import LimiterShare
from bc_runtime.control.motion import make_motion
from bc_runtime.control.no_joints import NoJoints
from bc_runtime.control.observation_monitor import ObservationMonitor
from bc_runtime.control.options import ControlOptions
from bc_runtime.control.plan import Plan, PlanPoint
from bc_runtime.control.plan_clock import PlanClock
from bc_runtime.control.requests import Reply, Requests
from bc_runtime.control.silence import Silence
from bc_runtime.control.surroundings import Surroundings
from bc_runtime.control.tick import TickResult
from bc_runtime.control.tick_results import TickResults
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import (
    Action,
    Conditions,
    Event,
    Flag,
    LimiterStep,
    MissedTicks,
    Source,
    State,
    Supervisor,
    SupervisorConfig,
    SupervisorStep,
    TickWatchdog,
)
from bc_runtime.safety.states import DRIVEN_STATES, POLICY_STATES
from bc_runtime.spec import PolicySpec, RobotConfig

_EXECUTING = frozenset({State.AUTO, State.SLOW})
#: A zero velocity is sent so many times before silence: one alone may get lost on the way.
_ZEROS = 10


class ControlLoop:
    """One robot's control loop. Not thread-safe: the node calls it under one lock."""

    def __init__(self, robot: RobotConfig, options: ControlOptions | None = None) -> None:
        self.options = options or ControlOptions()
        self.robot = robot
        self.joints = robot.command.joints
        self.dt_ns = round(1e9 / robot.command.rate_hz)
        dt_s = 1.0 / robot.command.rate_hz
        self._ahead_ns = round(robot.command.acts_after_s * 1e9)
        self._motion = make_motion(robot, self.options)
        self.limits = self._motion.limits
        self.plan = Plan(self.joints, self.limits, self.options)
        self._robot_says: JointMonitor | NoJoints = (
            NoJoints() if robot.command.is_twist else JointMonitor(robot, self.limits)
        )
        self.surroundings = Surroundings.of(robot, self.limits, recover=self.options.recover)
        self._observations = ObservationMonitor(
            max_age_s=self.options.max_plan_age_s,
            patience_s=self.options.observation_patience_s,
        )
        self._human = HumanPort(robot, self.options.human_mode)
        self._silence = Silence(
            self._motion,
            self._robot_says,
            dt_ns=self.dt_ns,
            reseed_distance=self.options.reseed_distance,
            settles=not robot.command.takes_velocities,
        )
        self.passed_over: Mapping[str, int] = self._robot_says.passed_over
        """How many joint states did not count, by the reason."""
        self.watchdog = TickWatchdog()
        """Whether the loop turns; may be asked from another thread."""
        self._missed = MissedTicks(dt_s)
        self._clock = PlanClock()
        self._supervisor = Supervisor(SupervisorConfig(auto_resume=self.options.auto_resume))
        self._requests = Requests()
        self._estop = Latch()
        self._facts: dict[Flag, str] = {}
        self._faults: dict[Flag, str] = {}
        self._limiter_share = LimiterShare(dt_s)
        self._results = TickResults(self._motion, self.plan, self._robot_says)
        self._sent: tuple[float, ...] | None = None
        self._zeros_left = 0
        self.conditions: Conditions | None = None
        """Facts of the last tick."""
        self.rehearsing = False
        """Chunks are wanted although nothing moves, to see what the policy would do."""

    # What comes in ----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Present state."""
        return self._supervisor.state

    @property
    def epoch(self) -> int:
        """Present epoch."""
        return self._supervisor.epoch

    @property
    def measured(self) -> tuple[float, ...] | None:
        """Newest measured positions."""
        return self._robot_says.measured

    def set_policy(self, policy_id: str, spec: PolicySpec) -> None:
        """Take chunks of this policy from now on; what is planned already goes on.

        Raises:
            BindingError: the options of the loop cannot execute such actions.
        """
        self._motion.check(spec)
        self.plan.set_policy(policy_id, spec)
        self._observations.expect_every(spec.dt_ns * 1e-9)
        self.surroundings.on_policy(spec)
        grippers = grippers_of(self.robot, spec)
        self._robot_says.set_grippers(grippers)
        self._motion.set_grippers(grippers)

    def post(self, event: Event, reply: Reply = lambda _ok, _text: None) -> None:
        """Ask for something; the next tick decides and calls `reply(accepted, text)`."""
        self._requests.post(event, reply)

    def take_back(self, reply: Reply) -> None:
        """Drop a request that nobody waits for any more, unless it is one to stop."""
        self._requests.take_back(reply)

    def inherit(self, before: ControlLoop) -> None:
        """Keep what only a person may end: latched faults, and an emergency stop that is held."""
        self._supervisor.inherit(before._supervisor)
        self._estop.set(before._estop.on)

    def on_joint_state(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float] = (),
        *,
        arrival_ns: int,
        ros_ns: int | None = None,
        stamp_ns: int = 0,
    ) -> bool:
        """Take measured positions, which arrived at `arrival_ns` (monotonic) and `ros_ns`.

        Without `ros_ns` both clocks are one. Returns whether the positions count.
        """
        counts = self._robot_says.update(
            names,
            positions,
            velocities,
            arrival_ns=arrival_ns,
            command=None if self.robot.command.takes_velocities else self._sent,
            stamp_ns=stamp_ns,
            may_jump=self.state not in DRIVEN_STATES,
        )
        if counts:
            ros_ns = arrival_ns if ros_ns is None else ros_ns
            self.surroundings.on_joint_state(
                names, positions, mono_ns=arrival_ns, ros_ns=ros_ns, stamp_ns=stamp_ns
            )
        return counts

    def on_observation(
        self,
        *,
        valid: bool,
        reasons: Sequence[str],
        arrival_ns: int,
        streams: Mapping[str, str] = MappingProxyType({}),
        ages_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Take the status of an observation and of its streams (`Surroundings.on_observation`)."""
        self._observations.update(valid=valid, reasons=reasons, arrival_ns=arrival_ns)
        self.surroundings.on_observation(
            streams, mono_ns=arrival_ns, waits=not valid, ages_s=ages_s
        )

    def on_chunk(self, chunk: ActionChunk) -> str:
        """Take a chunk; return why it does not count, empty if it does."""
        command = None
        if self._motion.seeded:
            command = dict(zip(self.joints, self._motion.position, strict=True))
        return self.plan.add(
            chunk,
            command=command,
            executing=self.state in _EXECUTING,
            ahead_ns=self._ahead_ns,
        )

    def on_estop(self, pressed: bool) -> None:
        """Take the state of the emergency stop; a press is latched until reset, however short."""
        self._estop.set(pressed)

    def on_takeover(
        self, pressed: bool, *, arrival_ns: int, reply: Reply = lambda _ok, _text: None
    ) -> bool:
        """Take the human's hold-to-run signal, which must be repeated while held.

        Returns:
            Whether it asks for something; then the next tick decides and calls `reply`.
        """
        policy_moves = self.state in POLICY_STATES
        event = self._human.on_takeover(pressed, arrival_ns=arrival_ns, policy_moves=policy_moves)
        if event is not None:
            self.post(event, reply)
        return event is not None

    def on_teleop(self, names: Sequence[str], values: Sequence[float], *, arrival_ns: int) -> None:
        """Take what the human wants: positions, or velocities where the robot takes these."""
        self._human.on_teleop(names, values, arrival_ns=arrival_ns)

    def set_fact(self, flag: Flag, text: str) -> None:
        """Raise a flag that the node watches over; an empty text takes it down."""
        self._facts[flag] = text

    def fail(self, flag: Flag, text: str) -> None:
        """Report a fault of the process around the loop; the next tick brakes."""
        self._faults[flag] = text

    # One tick ---------------------------------------------------------------------------------

    def tick(
        self, *, mono_ns: int, ros_ns: int, missed: int = 0, wall_ns: int | None = None
    ) -> TickResult:
        """Decide and return one tick.

        Args:
            mono_ns: Monotonic time of the tick; ages and timeouts are judged by it.
            ros_ns: ROS time of the tick; the plan lies on it.
            missed: Deadlines that passed without a tick since the last one.
            wall_ns: ROS time read together with `mono_ns`, to see steps; None: `ros_ns` was.
        """
        wall_ns = ros_ns if wall_ns is None else wall_ns
        if self._clock.check(ros_ns=ros_ns, wall_ns=wall_ns, mono_ns=mono_ns):
            # Whatever was planned lies elsewhere now, also where nobody follows it at present.
            self.plan.clear(self.epoch, now_ns=ros_ns)
        gap_s = self.watchdog.beat(mono_ns)
        stalled = f'{gap_s:.2f} s' if self.watchdog.stood_still(gap_s) else ''
        wrong = self._silence.pass_time(mono_ns, missed, stalled=bool(stalled))
        if wrong:
            self.fail(Flag.CHECKER_VIOLATION, wrong)
        # A stall stops the robot by itself and says nothing about the loop's usual pace.
        self._missed.note(mono_ns, 0 if stalled else missed)
        point = self.plan.at(ros_ns, ahead_ns=self._ahead_ns)
        if point is not None:
            point = self._motion.resolve(point, stands=self._clock.stands)
        if Event.RESET in self._requests and self._motion.rests:
            self._robot_says.reset()
            self.plan.forgive()
        conditions = self.conditions = Conditions(
            flags=self._flags(point, mono_ns, ros_ns, stalled),
            at_rest=self._motion.rests,
            plan_ready=point is not None,
            aligned=self._motion.aligned_to(point),
            human_aligned=self._silence.certain and self._human.aligned(self._motion.position),
            activate_blockers=self._robot_says.blockers(),
            start_blockers=self._start_blockers(),
        )
        events = self._requests.take()
        step = self._supervisor.step(conditions, [event for event, _ in events], now_ns=mono_ns)
        # Only now: a tick that fails before has not heard them.
        self._estop.take()
        self._faults.clear()
        self._act(step, ros_ns)
        for (_, reply), answer in zip(events, step.replies, strict=True):
            reply(answer.accepted, answer.text)
        self._silence.seed_if_settled()
        command = self._command(step, point, mono_ns)
        self._note(command, mono_ns)
        self.plan.advance(step.speed_scale, self.dt_ns)
        result = self._results.make(
            step,
            point,
            command,
            epoch=self.epoch,
            rehearsing=self.rehearsing,
            finished=step.memory.finished and not self._rolls(step, mono_ns),
            mono_ns=mono_ns,
            ros_ns=ros_ns,
        )
        self._facts[Flag.LIMITER_ACTIVE] = self._limiter_share.note(result, mono_ns)
        self._silence.decided(speaks=command is not None, mono_ns=mono_ns)
        return result

    def in_time(self, now_ns: int) -> bool:
        """Return whether the last command may still be sent; if not, it never was."""
        return self._silence.in_time(now_ns)

    def sent(self, begin_ns: int, end_ns: int) -> None:
        """Note when the last command was handed to the driver: it left in between (monotonic)."""
        self._silence.sent(begin_ns, end_ns)

    def _flags(
        self, point: PlanPoint | None, mono_ns: int, ros_ns: int, stalled: str
    ) -> dict[Flag, str]:
        # The first of equal flags names the stop; a stall makes everything else old.
        flags = {Flag.TICK_STALLED: stalled} if stalled else {}
        flags.update(self._clock.flags(mono_ns))
        flags.update(self._robot_says.flags(mono_ns))
        # A plan that nobody follows any more may grow old.
        followed = point is not None and self.state in POLICY_STATES
        age_s = point.age_s if followed and point is not None else math.nan
        flags.update(self._observations.flags(mono_ns, age_s))
        flags.update(self.plan.flags(ros_ns))
        flags.update(self._human.flags(mono_ns))
        if self._estop.pending:
            flags[Flag.ESTOP] = 'pressed'
        # Where time itself went back, that is the reason to stop.
        if point is None and Event.TIME_JUMP not in self._requests:
            flags[Flag.COVERAGE_HOLE] = 'no chunk covers this tick'
        if self._missed.too_many:
            flags[Flag.TICKS_MISSED] = f'{self._missed.share:.0%} of the last ticks'
        flags |= {flag: text for flag, text in self.surroundings.flags().items() if text}
        flags |= {flag: text for flag, text in self._facts.items() if text} | self._faults
        return flags

    def _start_blockers(self) -> tuple[str, ...]:
        blockers = list(self._robot_says.start_blockers())
        if not self.plan.policy_id:
            blockers.append('no policy is loaded; see the inference node')
        if self._observations.reasons:
            blockers.append('no valid observation: ' + '; '.join(self._observations.reasons))
        return (*blockers, *self.surroundings.blockers())

    # Command ----------------------------------------------------------------------------------

    def _act(self, step: SupervisorStep, ros_ns: int) -> None:
        for transition in step.transitions:
            if transition.state is State.ALIGN and transition.previous is State.READY:
                self._silence.ask_for_seed(always=False)
            for action in transition.actions:
                if action is Action.NEW_EPOCH:
                    self.plan.clear(transition.epoch, now_ns=ros_ns)
                    self._results.begin_epoch()
                elif action is Action.SEED_MEASURED:
                    # While commands are being sent a seed is a jump: not for a hair's breadth.
                    self._silence.ask_for_seed(always=self._sent is None)
            if transition.previous is transition.state:
                continue
            self._motion.enter(aligning=transition.state is State.ALIGN)
            if transition.state is State.HUMAN:
                self._human.engage(self._motion.position)
            elif transition.previous is State.HUMAN:
                self._human.release()

    def _command(
        self, step: SupervisorStep, point: PlanPoint | None, mono_ns: int
    ) -> LimiterStep | None:
        silent = self._silent(step, mono_ns) or not self._motion.seeded
        if silent or not self._silence.may_speak():
            return None
        human = self._human.target() if step.source is Source.HUMAN else None
        says = self._robot_says
        here = self._motion.here(says.measured, says.arrival_ns, mono_ns)
        command = self._motion.command(step.source, point, human, here)
        if self._motion.violation:
            self.fail(Flag.CHECKER_VIOLATION, self._motion.violation)
        if self._motion.too_far:
            self.fail(Flag.ALIGN_TOO_FAR, self._motion.too_far)
        return command

    def _silent(self, step: SupervisorStep, mono_ns: int) -> bool:
        """Return whether nothing is sent.

        READY sends nothing: the driver keeps the last command, and a person may move the robot.
        A velocity, however, goes on in the driver when its sender falls silent, so that it is
        brought to zero first, whatever the state.

        Nothing is held while the driver does not answer: it may come back elsewhere, and a held
        command would pull it to where the robot was. What is held then is where it came back.
        """
        if self.rolls or self._zeros_left:
            return False
        if step.source is Source.NONE or step.state is State.READY:
            return True
        if step.source is Source.HOLD:
            return self._robot_says.age_s(mono_ns) > self.robot.joint_states.max_age_s
        return False

    def _note(self, command: LimiterStep | None, mono_ns: int) -> None:
        """Remember what was sent, for the monitors."""
        fresh = not self._robot_says.age_s(mono_ns) > self.robot.joint_states.max_age_s
        self._silence.note(speaks=command is not None, mono_ns=mono_ns, fresh=fresh)
        if command is None or self.options.dry_run:
            if self._sent is not None:
                self._robot_says.reset()
            self._sent = None
        if command is None:
            return
        if self.robot.command.takes_velocities:
            self._zeros_left = _ZEROS if any(command.velocity) else max(0, self._zeros_left - 1)
        if not self.options.dry_run:
            self._sent = command.position
            if not self.robot.command.takes_velocities:
                self._robot_says.commanded(command.position, command.velocity, mono_ns)
        self._motion.sent(command, mono_ns)

    @property
    def rolls(self) -> bool:
        """Whether a driver of velocities would move on if nothing more were sent."""
        return self.robot.command.takes_velocities and not self._motion.rests

    def abandon(self) -> LimiterStep | None:
        """Take back the tick that has just failed, so far as the driver does not know of it.

        The next tick must count it as missed.

        Returns:
            A braking command where the driver would otherwise move on; if that cannot be sent
            either, call `withdraw`.
        """
        self._silence.abandon()
        self._zeros_left += self.robot.command.takes_velocities  # that one may not have gone out
        return self.brake()

    def withdraw(self) -> None:
        """Take back the braking command of `abandon`: it was not sent."""
        self._motion.withdraw()

    def brake(self) -> LimiterStep | None:
        """Return the braking command of a tick that could not be decided, where it is needed."""
        if not (self.rolls and self._motion.seeded):
            return None
        return self._motion.command(Source.BRAKE, None, None, self._robot_says.measured)

    def _rolls(self, step: SupervisorStep, mono_ns: int) -> bool:
        """Return whether the end has to wait until a velocity has been brought to zero."""
        waited_s = (mono_ns - step.memory.since_ns) * 1e-9
        return self.rolls and waited_s < self._supervisor.config.brake_timeout_s
