# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `controller`: action chunks and joint states in, safe commands out, at a fixed rate.

The tick runs in its own thread on absolute deadlines; the executor's thread only stores what
comes. All decisions are made by `bc_runtime.control.ControlLoop`.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from functools import partial
import gc
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from bc_msgs import msg as bc_msg
from bc_runtime.binding import check_actions
from bc_runtime.control import ControlLoop, TickResult
from bc_runtime.control.preflight import PolicyFacts
from bc_runtime.control.requests import Reply
from bc_runtime.deployment import BRAKE_MARGIN_S, longest_stop_s
from bc_runtime.resources import robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.asking import answer_of
from bc_runtime.ros.command_output import CommandOutput
from bc_runtime.ros.commander_watch import CommanderWatch
from bc_runtime.ros.controller_parameters import PARAMETERS, control_options
from bc_runtime.ros.controller_report import ControllerReport
from bc_runtime.ros.diagnostics import Diagnostics, counts
from bc_runtime.ros.driver_input import DriverInput
from bc_runtime.ros.human_input import HumanInput
from bc_runtime.ros.inference_watch import InferenceWatch
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.preflight import PreflightServer
from bc_runtime.ros.recorder_watch import RecorderWatch
from bc_runtime.ros.run_policy import RunPolicyServer
from bc_runtime.ros.runtime import STOP_TIMEOUT_S, run_node
from bc_runtime.ros.scheduling import prefer_this_thread, step_forward
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.ros.swap_guard import SwapGuard
from bc_runtime.ros.tick_clocks import TickClocks
from bc_runtime.ros.tick_thread import Tick, TickThread
from bc_runtime.safety import Event, Flag, LimiterStep, State
from bc_runtime.safety.states import HUMAN_STATES
from bc_runtime.spec import BcError, PolicySpec, RobotConfig

#: How often to try to become READY while something is missing [ticks].
ACTIVATE_EVERY = 20
#: How often to say what the tick had to say [s].
SAY_S = 0.5
#: Longest time for a deactivation to bring the robot to rest [s].
REST_TIMEOUT_S = 5.0


class ControllerNode(DeploymentNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('controller', PARAMETERS)
        self._lock = threading.Lock()
        self._loop: ControlLoop | None = None
        self._thread: TickThread | None = None
        self._result: TickResult | None = None
        self._wanted = False
        self._remarks: list[str] = []
        self._resting = threading.Event()
        self._deadline = -1
        self._unsaid = ''
        self._said = ''

    # Lifecycle --------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read the robot, make the loop and start to tick; nothing is sent yet."""
        robot = RobotConfig.from_file(robot_file(self.get_parameter('robot').value))
        self._robot = robot
        before, self._loop = self._loop, ControlLoop(robot, control_options(self))
        if before is not None:
            self._loop.inherit(before)
        self.stop_timeout_s = max(STOP_TIMEOUT_S, longest_stop_s(robot) + BRAKE_MARGIN_S)
        self._dry_run = self.get_parameter('dry_run').value
        self._output = CommandOutput(self, robot, self._loop.limits, dry_run=self._dry_run)
        self._clocks = TickClocks(
            self.get_clock(), simulated=self.get_parameter('use_sim_time').value
        )
        self._report = ControllerReport(self, robot, self._lock)
        if robot.joint_states.topic:
            self.create_subscription(
                JointState, robot.joint_states.topic, self._on_joint_state, qos.SENSOR
            )
        self.create_subscription(bc_msg.ActionChunk, 'action_chunk', self._on_chunk, qos.DATA)
        self.create_subscription(
            bc_msg.PolicyInfo, 'policy_info', self._on_policy_info, qos.LATCHED
        )
        self.create_subscription(
            bc_msg.ObservationStatus, 'observation_status', self._on_observation, qos.DATA
        )
        self._human = HumanInput(
            self,
            robot,
            on_takeover=self._on_takeover,
            on_teleop=self._on_teleop,
            on_estop=self._on_estop,
            ask_takeover=self._ask_takeover,
        )
        for name, event in (
            ('~/start', Event.START),
            ('~/stop', Event.STOP),
            ('~/resume', Event.RESUME),
            ('~/reset', Event.RESET),
            ('estop_reset', Event.RESET),
        ):
            self.create_service(Trigger, name, partial(self._on_request, event))
        self._swap = SwapGuard(self, self._loop, self._lock)
        RecorderWatch(self, self._loop, self._lock)
        self._inference = InferenceWatch(self, self._loop, self._lock)
        self._run_policy = RunPolicyServer(self, robot, self._ask, lambda: self._result)
        DriverInput(self, robot, self._loop.surroundings, self._lock)
        self._policy: PolicyFacts | None = None
        self._preflight = PreflightServer(
            self, robot, self._loop, self._lock, lambda: self._policy, dry_run=self._dry_run
        )
        self._diagnostics = Diagnostics(self, self._diagnose)
        if not self._dry_run:  # there the other one has the robot; this one only watches
            CommanderWatch(self, self._loop, self._lock, self._output.topic)
        steady_timer(self, SAY_S, self._say)
        self._loop.post(Event.CONFIGURED)
        priority, cpu = (self.get_parameter(name).value for name in ('realtime_priority', 'cpu'))
        self._thread = TickThread(
            self._tick, period_ns=self._loop.dt_ns, priority=priority, cpu=cpu
        )
        # What lives until the end need not be looked at by the garbage collector, and it must not
        # run within a tick: it runs when the robot stands still.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._remarks = self._thread.start()
        if priority > 1 and not self._remarks:
            # A callback that other programs keep from running, while it holds the interpreter's
            # lock, keeps the tick from running too. So callbacks come next after the tick.
            prefer_this_thread(priority - 1)
        for remark in self._remarks:
            self.get_logger().warning(remark)

    def activate(self) -> None:
        """Become READY as soon as the robot is there."""
        self._wanted = True

    def deactivate(self) -> None:
        """Bring the robot to rest and stop sending."""
        self._wanted = False
        if self._loop is None or self._resting.is_set():
            return
        self._ask(Event.DEACTIVATE)
        self._until_rest(inactive=True)

    def _until_rest(self, *, inactive: bool) -> None:
        """Let the tick bring the robot to rest, and say so if it does not."""
        deadline = time.monotonic() + REST_TIMEOUT_S
        while (inactive and self._loop.state is not State.INACTIVE) or self._loop.rolls:
            if self._resting.is_set():
                return
            if time.monotonic() > deadline:
                self.get_logger().error(
                    f'the robot did not come to rest within {REST_TIMEOUT_S:g} s '
                    f'({self._loop.state}); stop it at its driver'
                )
                return
            time.sleep(self._loop.dt_ns * 1e-9)

    def cleanup(self) -> None:
        """Stop ticking and drop every interface."""
        if self._thread is None:
            return
        self._until_rest(inactive=False)
        self._thread.stop()
        self._thread = None
        self._preflight.close()
        self._run_policy.close()
        self._output.flush()
        self.destroy_interfaces()
        self._result, self._deadline = None, -1
        gc.enable()

    def request_stop(self) -> None:
        """Brake; the process ends when the robot is at rest."""
        self._wanted = False
        if self._thread is None:
            self._resting.set()
            return
        with self._lock:
            self._loop.post(Event.SHUTDOWN)

    def at_rest(self) -> bool:
        """Return whether it has."""
        return self._resting.is_set()

    def make_way(self) -> None:
        """Let the tick come on time, however many messages come."""
        if self._thread is not None:
            self._thread.make_way()

    # Callbacks: store ---------------------------------------------------------------------------

    def _on_joint_state(self, msg: JointState) -> None:
        by_header = self._robot.joint_states.clock == 'header'
        stamp_ns = convert.to_ns(msg.header.stamp) if by_header else 0
        ros_ns, mono_ns = self.get_clock().now().nanoseconds, time.monotonic_ns()
        with self._lock:
            self._loop.on_joint_state(
                msg.name,
                msg.position,
                msg.velocity,
                arrival_ns=mono_ns,
                ros_ns=ros_ns,
                stamp_ns=stamp_ns,
            )

    def _on_chunk(self, msg: bc_msg.ActionChunk) -> None:
        try:
            chunk = convert.chunk_from_msg(msg, received_ns=self.get_clock().now().nanoseconds)
        except BcError as error:
            with self._lock:
                self._loop.plan.malformed(str(error), now_ns=self.get_clock().now().nanoseconds)
            self.get_logger().error(f'chunk refused: {error}', throttle_duration_sec=1.0)
            self._swap.attend()
            return
        with self._lock:
            refusal = self._loop.on_chunk(chunk)
        self.get_logger().debug(f'chunk {chunk.sequence}: {refusal or "taken"}')
        self._swap.attend()

    def _on_observation(self, msg: bc_msg.ObservationStatus) -> None:
        with self._lock:
            self._loop.on_observation(
                valid=msg.valid,
                reasons=msg.reasons,
                arrival_ns=time.monotonic_ns(),
                streams={stream.name: stream.reason for stream in msg.streams},
                ages_s={stream.name: stream.age for stream in msg.streams},
            )

    def _on_policy_info(self, msg: bc_msg.PolicyInfo) -> None:
        self._inference.on_policy_info(msg)
        if not msg.policy_id:
            return
        spec, refused = None, ''
        try:
            spec = PolicySpec.from_json(msg.spec_json, source='policy_info')
            check_actions(spec, self._robot)
            with self._lock:
                self._loop.set_policy(msg.policy_id, spec)
        except BcError as error:
            refused = str(error)
            self.get_logger().error(f'policy {msg.name!r} is not accepted: {error}')
        if spec is None:
            return
        self._policy = PolicyFacts(
            name=msg.name,
            policy_id=msg.policy_id,
            provider=msg.provider,
            self_test_error=msg.self_test_error,
            spec=spec,
            refused=refused,
        )

    def _on_estop(self, pressed: bool) -> None:
        with self._lock:
            self._loop.on_estop(pressed)

    def _on_takeover(self, pressed: bool) -> None:
        with self._lock:
            self._loop.on_takeover(
                pressed, arrival_ns=time.monotonic_ns(), reply=self._on_takeover_answer
            )

    def _on_takeover_answer(self, accepted: bool, text: str) -> None:
        if not accepted:
            self._unsaid = f'takeover refused: {text}'

    def _on_activation(self, accepted: bool, text: str) -> None:
        if not accepted:
            self._unsaid = f'not READY: {text}'

    def _say(self) -> None:
        """Say what the tick had to say; the tick itself writes no log."""
        text, self._unsaid = self._unsaid, ''
        if text and text != self._said:
            self.get_logger().warning(text)
        self._said = text or self._said

    def _on_teleop(self, names: Sequence[str], values: Sequence[float]) -> None:
        with self._lock:
            self._loop.on_teleop(names, values, arrival_ns=time.monotonic_ns())

    def _on_request(
        self, event: Event, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success, response.message = self._ask(event)
        return response

    def _ask(self, event: Event) -> tuple[bool, str]:
        """Let the next tick decide about an event and return its answer."""
        return answer_of(
            lambda reply: self._loop.post(event, reply),
            self._lock,
            take_back=self._loop.take_back,
        )

    def _ask_takeover(self, pressed: bool) -> tuple[bool, str]:
        """Give the takeover signal of the service; repeated calls are the heartbeat."""

        def signal(reply: Reply) -> None:
            if not self._loop.on_takeover(pressed, arrival_ns=time.monotonic_ns(), reply=reply):
                state = self._loop.state
                held = pressed and state not in HUMAN_STATES
                reply(not held, f'{state}: let go and press again' if held else state.value)

        return answer_of(signal, self._lock, take_back=self._loop.take_back)

    # Tick ----------------------------------------------------------------------------------------

    def _tick(self, tick: Tick) -> None:
        done = False
        try:
            start_ns, clock_ns, wall_ns = self._clocks.read()
            # The plan is looked up for the deadline, not for the moment that the thread woke up.
            # Simulated time goes on in leaps, and a lateness on another clock says nothing there.
            ros_ns = clock_ns if self._clocks.simulated else clock_ns - tick.late_ns
            with self._lock:
                waiting = self._wanted and self._loop.state is State.INACTIVE
                if waiting and tick.index % ACTIVATE_EVERY == 0:
                    self._loop.post(Event.ACTIVATE, self._on_activation)
                if self._clocks.went_back:
                    self._loop.post(Event.TIME_JUMP)
                # A tick that failed is a deadline without a command, like one that was missed.
                deadline = tick.index + tick.missed
                result = self._loop.tick(
                    mono_ns=start_ns,
                    ros_ns=ros_ns,
                    missed=deadline - self._deadline - 1,
                    wall_ns=wall_ns,
                )
                self._deadline = deadline
            if result.command is not None and not self._dry_run:
                self._send(result.command)
            done = True
            self._report.publish(
                result, self._loop, tick, ros_ns=ros_ns, duration_ns=time.monotonic_ns() - start_ns
            )
            if result.transitions:
                self._after_transitions(result)
            self._result = result
            if result.finished:
                self._resting.set()
        except Exception as error:  # noqa: BLE001 - whatever happened, the robot must brake
            self._fail_tick(error, done=done)

    def _fail_tick(self, error: Exception, *, done: bool) -> None:
        """Report an exception to the next tick; take back what the driver did not get.

        Args:
            error: The exception.
            done: The driver has all that it was to get in this tick.
        """
        text = f'{type(error).__name__}: {error}'
        command: LimiterStep | None = None
        try:
            with self._lock:
                self._loop.fail(Flag.INTERNAL_ERROR, text)
                if not done:
                    command = self._loop.abandon()
            if command is not None and not self._dry_run:
                self._output.send(self._output.make(command))
        except Exception as other:  # noqa: BLE001 - the thread must live to try it again
            text += f'; then, braking: {other!r}'
            if command is not None:
                with self._lock:
                    self._loop.withdraw()
        with contextlib.suppress(Exception):
            self.get_logger().error(f'control tick: {text}', throttle_duration_sec=1.0)

    def _send(self, command: LimiterStep) -> None:
        message = self._output.make(command)
        begin_ns = time.monotonic_ns()
        with self._lock:
            in_time = self._loop.in_time(begin_ns)
        if in_time:
            self._output.send(message)
            self._loop.sent(begin_ns, time.monotonic_ns())

    def _after_transitions(self, result: TickResult) -> None:
        for transition in result.transitions:
            self.get_logger().info(
                f'{transition.previous.value} -> {transition.state.value} '
                f'[{transition.code}] {transition.text}'
            )
        if result.state in (State.READY, State.HELD, State.INACTIVE) and result.command is None:
            gc.collect()

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        # Young garbage only: a full collection would stop the tick for milliseconds.
        gc.collect(0)
        result = self._result
        if result is None:
            return DiagnosticStatus.WARN, 'not configured', {}
        if self._loop.watchdog.stalled(time.monotonic_ns()):
            return DiagnosticStatus.ERROR, 'the control tick does not turn', {}
        plan = self._loop.plan
        facts = {
            'state': result.state.value,
            'chunks_accepted': plan.accepted,
            'chunks_rejected': plan.rejected,
            'last_rejection': plan.last_rejection,
            'chunks_dropped': counts(plan.dropped),
            'joint_states_passed_over': counts(self._loop.passed_over),
            'joint_state_age_ms': round(result.joint_state_age_s * 1e3, 1),
            'remarks': '; '.join(self._remarks),
        }
        level = DiagnosticStatus.OK
        if result.reasons or result.state is State.HELD:
            level = DiagnosticStatus.WARN
        if result.state in (State.FAULT, State.ESTOP):
            level = DiagnosticStatus.ERROR
        reasons = '; '.join(f'{reason.flag.value}: {reason.text}' for reason in result.reasons)
        return level, reasons or result.state.value, facts


def main() -> int:
    """Run the node."""
    step_forward()
    return run_node(ControllerNode, args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
