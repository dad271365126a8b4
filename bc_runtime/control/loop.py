# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ControlLoop: everything that the controller decides in a tick, without ROS and without a clock.

The order of a tick: look at the plan, collect the facts, let the supervisor decide, do what its
transitions ask, make the command, limit it, check it. The node around it only moves messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math

from bc_runtime.control.chunk_gate import ChunkGate
from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.observation_monitor import ObservationMonitor
from bc_runtime.control.options import ControlOptions
from bc_runtime.control.tick import TickResult
from bc_runtime.execution import (
    ActionChunk,
    CommittedPrefix,
    Setpoint,
    Timeline,
    make_strategy,
)
from bc_runtime.safety import (
    Action,
    Checker,
    Conditions,
    Event,
    Flag,
    Limiter,
    LimiterStep,
    Source,
    State,
    Supervisor,
    SupervisorConfig,
    SupervisorStep,
    align_limits,
    limits_of,
)
from bc_runtime.safety.states import POLICY_STATES
from bc_runtime.spec import PolicySpec, RobotConfig

#: A tick that comes later than this after the one before means that the loop stood still [s].
STALL_S = 0.2
#: ALIGN has arrived when every joint is this near its target [rad or m] ...
ALIGN_TOLERANCE = 0.08
#: ... for this long [s].
ALIGN_SETTLE_S = 0.1

#: How long ended chunks stay known, for the prefix of real-time chunking [s].
RETAIN_S = 0.25
#: Steps before now that a committed plan begins: observations are older than now.
PREFIX_BACK_STEPS = 2

#: States in which chunks are wanted.
_ACCEPTING = frozenset({State.ALIGN, State.AUTO, State.SLOW, State.HANDBACK})


class ControlLoop:
    """One robot's control loop. Not thread-safe: the node calls it under one lock."""

    def __init__(self, robot: RobotConfig, options: ControlOptions | None = None) -> None:
        self.options = options or ControlOptions()
        self.robot = robot
        self.spec: PolicySpec | None = None
        self.joints = robot.command.joints
        self.dt_ns = round(1e9 / robot.command.rate_hz)
        self._limits = limits_of([robot.joint(name) for name in self.joints])
        self._align_limits = align_limits(self._limits)
        dt_s = 1.0 / robot.command.rate_hz
        self._limiter = Limiter(self._limits, dt_s, coordinated=self.options.coordinated)
        self._checker = Checker(self._limits, dt_s)
        self._timeline = Timeline(
            make_strategy(self.options.strategy, self.options.strategy_options),
            interpolation=self.options.interpolation,
            retain_s=RETAIN_S,
        )
        self.gate = ChunkGate(self._timeline, robot)
        self._joint_monitor = JointMonitor(robot)
        self._observation_monitor = ObservationMonitor(
            max_age_s=robot.tolerances.max_observation_age_s,
            patience_s=self.options.observation_patience_s,
        )
        self._supervisor = Supervisor(SupervisorConfig())
        self._events: list[tuple[Event, Callable[[bool, str], None]]] = []
        self._estop = False
        self._fault: tuple[Flag, str] | None = None
        self._last_tick_ns: int | None = None
        self._order: tuple[tuple[str, ...], tuple[int, ...]] = ((), ())
        self._newest_used = 0
        self._aligned_since_ns: int | None = None
        self._sending = False

    # What comes in ----------------------------------------------------------------------------

    @property
    def limits(self) -> Sequence[object]:
        """Limits per joint, in the order of the robot's command."""
        return self._limits

    @property
    def state(self) -> State:
        """Present state."""
        return self._supervisor.state

    @property
    def epoch(self) -> int:
        """Present epoch."""
        return self._supervisor.epoch

    def set_policy(self, policy_id: str, spec: PolicySpec | None) -> None:
        """Take chunks of this policy from now on; an empty id takes none."""
        self.gate.policy_id = policy_id
        self.spec = spec

    def post(
        self, event: Event, reply: Callable[[bool, str], None] = lambda _ok, _text: None
    ) -> None:
        """Ask for something; the next tick decides and calls `reply(accepted, text)`."""
        self._events.append((event, reply))

    def on_joint_state(
        self, names: Sequence[str], positions: Sequence[float], *, arrival_ns: int
    ) -> None:
        """Take measured positions; `arrival_ns` is monotonic."""
        self._joint_monitor.update(names, positions, arrival_ns=arrival_ns)

    def on_observation(self, *, valid: bool, reasons: Sequence[str], arrival_ns: int) -> None:
        """Take the status of an observation; `arrival_ns` is monotonic."""
        self._observation_monitor.update(valid=valid, reasons=reasons, arrival_ns=arrival_ns)

    def on_chunk(self, chunk: ActionChunk) -> str:
        """Take a chunk; return why it does not count, empty if it does."""
        return self.gate.add(chunk)

    def committed(self, ros_ns: int, *, dt_ns: int, steps: int) -> CommittedPrefix | None:
        """Return the plan around now for a policy that continues from it, None without plan.

        It begins a little in the past, where the next observation lies, if the plan reaches there.
        """
        for back in (PREFIX_BACK_STEPS, 0):
            start_ns = ros_ns - back * dt_ns
            plan = self._timeline.committed(start_ns, steps + back, dt_ns=dt_ns)
            if plan is not None and len(plan.values):
                return plan
        return None

    def on_estop(self, pressed: bool) -> None:
        """Take the state of the emergency stop; a press is latched until reset."""
        self._estop = pressed

    def fail(self, flag: Flag, text: str) -> None:
        """Report a fault of the process around the loop; the next tick brakes."""
        self._fault = (flag, text)

    # One tick ---------------------------------------------------------------------------------

    def tick(self, *, mono_ns: int, ros_ns: int) -> TickResult:
        """Decide and return one tick.

        Args:
            mono_ns: Monotonic time of the tick; ages and timeouts are judged by it.
            ros_ns: ROS time of the tick; the plan lies on it.
        """
        plan, setpoint = self._look_at_plan(ros_ns)
        plan_age_s = self._plan_age_s(setpoint, ros_ns)
        aligned = self._aligned(plan, mono_ns)
        conditions = Conditions(
            flags=self._flags(mono_ns, setpoint is not None, plan_age_s),
            at_rest=not self._limiter.seeded or self._limiter.at_rest,
            plan_ready=setpoint is not None,
            aligned=aligned,
            activate_blockers=self._activate_blockers(),
            start_blockers=self._start_blockers(),
        )
        events, self._events = self._events, []
        step = self._supervisor.step(conditions, [event for event, _ in events], now_ns=mono_ns)
        for (_, reply), answer in zip(events, step.replies, strict=True):
            reply(answer.accepted, answer.text)
        self._act(step, ros_ns)
        command = self._command(step, plan, setpoint)
        self._sending = command is not None
        return self._result(step, plan, setpoint, command, plan_age_s, mono_ns, ros_ns)

    def _look_at_plan(self, ros_ns: int) -> tuple[tuple[float, ...] | None, Setpoint | None]:
        """Return where the joints should be at the end of this tick, in command order."""
        answer = self._timeline.at(ros_ns + self.dt_ns)
        if not isinstance(answer, Setpoint):
            return None, None
        if self._order[0] != answer.names:
            self._order = (answer.names, tuple(answer.names.index(n) for n in self.joints))
        return tuple(float(answer.values[i]) for i in self._order[1]), answer

    def _plan_age_s(self, setpoint: Setpoint | None, ros_ns: int) -> float:
        if setpoint is None:
            return math.nan
        stamp = self.gate.stamp_of(int(setpoint.chunk_sequences[-1]))
        return math.nan if stamp is None else (ros_ns - stamp) * 1e-9

    def _flags(self, mono_ns: int, covered: bool, plan_age_s: float) -> dict[Flag, str]:
        sent = self._limiter.position if self._sending else None
        flags = dict(self._joint_monitor.flags(mono_ns, sent))
        # A plan that nobody follows any more may grow old.
        followed = self.state in POLICY_STATES
        flags.update(
            self._observation_monitor.flags(mono_ns, plan_age_s if followed else math.nan)
        )
        if self._estop:
            flags[Flag.ESTOP] = 'pressed'
        if not covered:
            flags[Flag.COVERAGE_HOLE] = 'no chunk covers this tick'
        if self.gate.rejected_in_a_row >= self.options.rejected_limit:
            flags[Flag.CHUNKS_REJECTED] = self.gate.last_reason
        if self._last_tick_ns is not None and mono_ns - self._last_tick_ns > STALL_S * 1e9:
            gap_s = (mono_ns - self._last_tick_ns) * 1e-9
            flags[Flag.TICK_STALLED] = f'{gap_s:.2f} s'
        self._last_tick_ns = mono_ns
        if self._fault is not None:
            flags[self._fault[0]] = self._fault[1]
            self._fault = None
        return flags

    def _aligned(self, plan: tuple[float, ...] | None, mono_ns: int) -> bool:
        """Return whether the command has been near the plan for long enough."""
        if plan is None or not self._limiter.seeded:
            self._aligned_since_ns = None
            return False
        near = all(
            abs(p - q) <= ALIGN_TOLERANCE
            for p, q in zip(plan, self._limiter.position, strict=True)
        )
        if not near:
            self._aligned_since_ns = None
            return False
        if self._aligned_since_ns is None:
            self._aligned_since_ns = mono_ns
        return (mono_ns - self._aligned_since_ns) * 1e-9 >= ALIGN_SETTLE_S

    def _activate_blockers(self) -> tuple[str, ...]:
        if self._joint_monitor.measured is None:
            return (
                f'no joint state with {", ".join(self.joints)} has come on '
                f'{self.robot.joint_states.topic!r}; is the driver running?',
            )
        return ()

    def _start_blockers(self) -> tuple[str, ...]:
        blockers = list(self._activate_blockers())
        if not self.gate.policy_id:
            blockers.append('no policy is loaded; see the inference node')
        if self._observation_monitor.reasons:
            blockers.append(
                'no valid observation: ' + '; '.join(self._observation_monitor.reasons)
            )
        return tuple(blockers)

    # Command ----------------------------------------------------------------------------------

    def _act(self, step: SupervisorStep, ros_ns: int) -> None:
        for transition in step.transitions:
            if transition.state is State.ALIGN and transition.previous is State.READY:
                self._reseed_if_moved()
            for action in transition.actions:
                if action is Action.NEW_EPOCH:
                    self._timeline.clear(transition.epoch, newer_than_ns=ros_ns)
                    self.gate.clear()
                    self._newest_used = 0
                elif action is Action.SEED_MEASURED and self._joint_monitor.measured is not None:
                    self._seed(self._joint_monitor.measured)
            if transition.previous is not transition.state:
                slow = transition.state is State.ALIGN
                self._limiter.set_limits(self._align_limits if slow else self._limits)

    def _reseed_if_moved(self) -> None:
        """Begin from the measurement if the robot is elsewhere than it was last told to be."""
        measured = self._joint_monitor.measured
        if measured is None:
            return
        distance, _ = self._joint_monitor.tracking_error(self._limiter.position)
        if distance > self.options.reseed_distance:
            self._seed(measured)

    def _seed(self, positions: tuple[float, ...]) -> None:
        self._limiter.seed(positions)
        self._checker.seed(positions)

    def _command(
        self,
        step: SupervisorStep,
        plan: tuple[float, ...] | None,
        setpoint: Setpoint | None,
    ) -> LimiterStep | None:
        source = step.source
        # READY sends nothing: the driver keeps the last command, and a person may move the robot.
        if source is Source.NONE or step.state is State.READY or not self._limiter.seeded:
            return None
        if source in (Source.POLICY, Source.ALIGN) and plan is not None and setpoint is not None:
            rates = tuple(float(setpoint.velocities[i]) for i in self._order[1])
            command = self._limiter.step(plan, rates)
        elif source is Source.HOLD:
            command = self._limiter.hold()
        else:
            command = self._limiter.brake()
        verdict = self._checker.check(command.position)
        if verdict.ok:
            return command
        self.fail(Flag.CHECKER_VIOLATION, verdict.text)
        self._limiter.rollback()
        command = self._limiter.brake()
        return command if self._checker.check(command.position).ok else None

    # What goes out ----------------------------------------------------------------------------

    def _result(
        self,
        step: SupervisorStep,
        plan: tuple[float, ...] | None,
        setpoint: Setpoint | None,
        command: LimiterStep | None,
        plan_age_s: float,
        mono_ns: int,
        ros_ns: int,
    ) -> TickResult:
        acting = step.source in (Source.POLICY, Source.ALIGN) and setpoint is not None
        sequence = int(setpoint.chunk_sequences[-1]) if acting and setpoint is not None else 0
        latency_s = math.nan
        if sequence > self._newest_used:
            self._newest_used = sequence
            latency_s = plan_age_s
        deviation = 0.0
        if acting and plan is not None and command is not None:
            deviation = max(abs(p - c) for p, c in zip(plan, command.position, strict=True))
        sent = command.position if command is not None else None
        return TickResult(
            state=step.state,
            source=step.source,
            reasons=step.reasons,
            stop_code=step.memory.reason,
            stop_text=step.memory.reason_text,
            transitions=step.transitions,
            epoch=self._supervisor.epoch,
            command=command,
            setpoint=plan,
            speed_scale=step.speed_scale,
            accepting=step.state in _ACCEPTING,
            finished=step.memory.finished,
            chunk_sequence=sequence,
            live_chunks=len(setpoint.chunk_sequences) if setpoint is not None else 0,
            remaining_s=self._timeline.remaining_s(ros_ns) if setpoint is not None else 0.0,
            latency_s=latency_s,
            observation_age_s=plan_age_s,
            joint_state_age_s=self._joint_monitor.age_s(mono_ns),
            tracking_error=self._joint_monitor.tracking_error(sent)[0],
            deviation=deviation,
        )
