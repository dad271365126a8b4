# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `observation`: sensor topics in, one aligned `bc_msgs/Observation` out.

The policy in charge (latched topic `policy_info`) decides which streams are needed and how they
are shaped; the robot's YAML says where they come from. An observation is made when every stream
covers a new reference time, at most at the policy's rate. When that does not happen, an invalid
observation tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
import os
import sys
import time
from typing import Any, NamedTuple

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from bc_msgs import msg as bc_msg
from bc_runtime.observation import (
    Defect,
    FieldPath,
    FieldPathError,
    Observation,
    ObservationAssembler,
    Reason,
    ReasonCode,
    StreamKind,
    StreamRequest,
)
from bc_runtime.observation.pace import Pace
from bc_runtime.observation.serialized import read_compressed_image, read_image
from bc_runtime.observation.stamp_clock import foreign_clock
from bc_runtime.resources import robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.latched_input import listen_latched
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.message_types import message_class
from bc_runtime.ros.parameters import Parameter
from bc_runtime.ros.runtime import run_node
from bc_runtime.ros.scheduling import step_forward
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.ros.unheard import clock_problem, unheard
from bc_runtime.spec import BcError, PolicySpec, RobotConfig, StreamConfig

PARAMETERS = (
    Parameter(
        name='robot',
        default='sim_arm',
        description='Robot YAML, or a shipped robot',
        read_only=True,
    ),
    Parameter(
        name='rate_hz',
        default=0.0,
        description='Highest rate of observations [Hz]; 0: the rate of the policy',
        minimum=0.0,
        maximum=500.0,
    ),
    Parameter(
        name='startup_timeout_s',
        default=20.0,
        description='End with exit code 1 when the sensors allow no valid observation for this '
        'long after a policy is known [s]; 0: wait for ever',
        minimum=0.0,
        maximum=86400.0,
    ),
)

#: How often to look for a reason when no valid observation can be made [s].
LOOK_PERIOD_S = 0.01
#: When to look beyond the stream itself for why it does not serve [s].
EXPLAIN_AFTER_S = 2.0
#: How often to repeat a reason that has been told [s].
COMPLAINT_PERIOD_S = 0.1
#: What a person has yet to say is waited for as long as it takes.
_HUMAN_REASONS = (ReasonCode.NO_INSTRUCTION, ReasonCode.UNKNOWN_INSTRUCTION)


class _Listener(NamedTuple):
    """What a subscription is made of."""

    request: StreamRequest
    message: type[Any]
    callback: Callable[[Any], None]
    profile: QoSProfile
    raw: bool


class _Served(NamedTuple):
    """The policy that observations are made for."""

    policy_id: str
    assembler: ObservationAssembler


class ObservationNode(DeploymentNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('observation', PARAMETERS)
        self._policy: _Served | None = None
        self._sensors: dict[str, tuple[StreamRequest, Subscription]] = {}
        self._working = False
        self._epoch = 0
        self._sequence = 0
        self._instruction: str | None = None
        self._pace = Pace()
        self._last_valid_mono = time.monotonic()
        self._last_told_mono = 0.0
        self._told: frozenset[tuple[ReasonCode, str]] = frozenset()
        self._waiting_since: float | None = None
        self._served = False
        self._began = 0.0
        self._problem = ''
        #: Topic -> newest stamp of its messages.
        self._stamps: dict[str, int] = {}

    def configure(self) -> None:
        """Read the robot and wait for a policy."""
        self._robot = RobotConfig.from_file(robot_file(self.get_parameter('robot').value))
        self._publisher = self.create_publisher(bc_msg.Observation, 'observation', qos.DATA)
        self._status_publisher = self.create_publisher(
            bc_msg.ObservationStatus, 'observation_status', qos.DATA
        )
        self.create_subscription(
            bc_msg.PolicyInfo, 'policy_info', self._on_policy_info, qos.LATCHED
        )
        self.create_subscription(
            bc_msg.ExecutionState, 'execution_state', self._on_execution_state, qos.COMMAND
        )
        listen_latched(self, String, self._robot.instruction_topic, self._on_instruction)
        self._complaints = steady_timer(self, LOOK_PERIOD_S, self._complain)
        self._diagnostics = Diagnostics(self, self._diagnose)

    def activate(self) -> None:
        """Begin to publish."""
        self._working = True
        if self._waiting_since is not None:
            self._waiting_since = time.monotonic()

    def deactivate(self) -> None:
        """Stop publishing; sensors stay subscribed."""
        self._working = False

    def cleanup(self) -> None:
        """Drop every interface; the policy is told anew by its latched topic."""
        self.destroy_interfaces()
        self._sensors.clear()
        self._policy = None

    # Policy and instruction -------------------------------------------------------------------

    def _on_policy_info(self, msg: bc_msg.PolicyInfo) -> None:
        before = self._policy
        if not msg.policy_id or (before is not None and msg.policy_id == before.policy_id):
            return
        try:
            spec = PolicySpec.from_json(msg.spec_json, source='policy_info')
            assembler = ObservationAssembler(spec=spec, robot=self._robot)
            listeners = self._listeners(assembler)
        except BcError as error:
            self._problem = str(error)
            self.get_logger().error(f'cannot serve policy {msg.name!r}: {error}')
            return
        self._problem = ''
        if before is not None:
            assembler.adopt(before.assembler)
        self._policy = _Served(msg.policy_id, assembler)
        if not self._served:
            self._waiting_since = time.monotonic()
        self._subscribe(listeners)
        if self._instruction is not None:
            self._set_instruction(assembler, self._instruction)

    def _listeners(self, assembler: ObservationAssembler) -> list[_Listener]:
        """Return how to listen to each stream that the policy needs.

        Raises:
            BcError: a field path or a message type is not one.
        """
        found = []
        for request in assembler.streams.values():
            callback: Callable[[Any], None]
            profile, raw = qos.SENSOR, False
            if request.kind is StreamKind.JOINT_STATES:
                callback, profile = self._on_joint_state, _profile(self._robot.joint_states)
            elif request.kind is StreamKind.CAMERA:
                # Undecoded bytes: most pictures are never looked at.
                callback, raw = partial(self._on_image, request.key), True
            elif request.kind is StreamKind.VECTOR:
                paths = [FieldPath(path) for path in request.fields.values()]
                callback = partial(self._on_vector, request.key, paths)
                profile = _profile(self._robot.streams[request.key])
            else:
                continue
            found.append(_Listener(request, message_class(request.type), callback, profile, raw))
        return found

    def _subscribe(self, listeners: Sequence[_Listener]) -> None:
        """Listen to these streams; what is heard already is not interrupted."""
        wanted = {one.request.name: one for one in listeners}
        for name, (request, subscription) in list(self._sensors.items()):
            if name not in wanted or wanted[name].request != request:
                self.destroy_subscription(subscription)
                del self._sensors[name]
        for name, one in wanted.items():
            if name not in self._sensors:
                subscription = self.create_subscription(
                    one.message, one.request.topic, one.callback, one.profile, raw=one.raw
                )
                self._sensors[name] = (one.request, subscription)

    def _on_instruction(self, msg: String) -> None:
        self._instruction = msg.data
        if self._policy is not None:
            self._set_instruction(self._policy.assembler, msg.data)

    def _set_instruction(self, assembler: ObservationAssembler, text: str) -> None:
        try:
            assembler.set_instruction(text)
            self._problem = ''
        except BcError as error:
            self._problem = str(error)
            self.get_logger().error(str(error))

    def _on_execution_state(self, msg: bc_msg.ExecutionState) -> None:
        self._epoch = msg.epoch

    # Sensors -----------------------------------------------------------------------------------

    def _stamp(self, config: StreamConfig, msg: object) -> int:
        """Return the time of a sample on the ROS clock, as the stream's clock says."""
        if config.clock == 'header' and hasattr(msg, 'header'):
            stamp_ns = convert.to_ns(msg.header.stamp)
            self._stamps[config.topic] = stamp_ns
            return stamp_ns
        return self._now_ns()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_joint_state(self, msg: JointState) -> None:
        policy = self._policy
        if policy is not None:
            policy.assembler.push_joint_state(
                stamp_ns=self._stamp(self._robot.joint_states, msg),
                arrival_ns=time.monotonic_ns(),
                names=msg.name,
                position=msg.position,
                velocity=msg.velocity,
                effort=msg.effort,
            )
            self._publish_if_due(policy)

    def _on_image(self, camera: str, data: bytes) -> None:
        policy = self._policy
        if policy is None:
            return
        config = self._robot.cameras[camera]
        read = read_compressed_image if config.transport == 'compressed' else read_image
        try:
            stamp_ns, image = read(data)
        except BcError as error:
            self.get_logger().error(f'camera {camera}: {error}', throttle_duration_sec=1.0)
            return
        if config.clock == 'arrival':
            stamp_ns = self._now_ns()
        else:
            self._stamps[config.topic] = stamp_ns
        policy.assembler.push_image(
            camera, stamp_ns=stamp_ns, arrival_ns=time.monotonic_ns(), image=image
        )
        due = self._publish_if_due(policy)
        if not due and self._working and self._served and not self._told:
            policy.assembler.prepare(self._pace.ready_ns(self._period_ns(policy)))

    def _on_vector(self, stream: str, paths: list[FieldPath], msg: object) -> None:
        policy = self._policy
        if policy is not None:
            values: list[float] | Defect
            try:
                values = [path.read(msg) for path in paths]
            except FieldPathError as error:
                values = Defect(code=ReasonCode.MISSING_FIELD, text=str(error))
            policy.assembler.push_vector(
                stream,
                stamp_ns=self._stamp(self._robot.streams[stream], msg),
                arrival_ns=time.monotonic_ns(),
                values=values,
            )
            self._publish_if_due(policy)

    # Observations ------------------------------------------------------------------------------

    def _period_ns(self, policy: _Served) -> int:
        rate = float(self.get_parameter('rate_hz').value)
        return round(1e9 / rate) if rate > 0.0 else policy.assembler.spec.dt_ns

    def _publish_if_due(self, policy: _Served) -> bool:
        if not self._working:
            return False
        stamp_ns = policy.assembler.reference_time()
        if stamp_ns is None:
            return False
        if not self._pace.take(stamp_ns, period_ns=self._period_ns(policy), now_ns=self._now_ns()):
            return False
        self._publish(policy, self._assemble(policy, stamp_ns))
        return True

    def _assemble(self, policy: _Served, stamp_ns: int) -> Observation:
        self._began = time.monotonic()
        return policy.assembler.assemble(
            stamp_ns,
            now_ns=self._now_ns(),
            now_mono_ns=time.monotonic_ns(),
        )

    def _publish(self, policy: _Served, observation: Observation) -> None:
        if observation.valid:
            self._last_valid_mono = self._began
            self._waiting_since, self._served = None, True
        self._last_told_mono = self._began
        self._told = _what(observation)
        self._sequence += 1
        msg = convert.observation_to_msg(
            observation,
            sequence=self._sequence,
            epoch=self._epoch,
            policy_id=policy.policy_id,
            anchor=observation.anchor,
            assembly_s=time.monotonic() - self._began,
        )
        self._publisher.publish(msg)
        self._status_publisher.publish(convert.observation_status(msg))
        self._problem = '; '.join(str(reason) for reason in observation.reasons)

    def _complain(self) -> None:
        """Tell why no valid observation is possible: at once what is new, then now and then."""
        policy = self._policy
        if not self._working or policy is None:
            return
        now = time.monotonic()
        if now - self._last_valid_mono <= max(
            2.5e-9 * self._period_ns(policy), COMPLAINT_PERIOD_S
        ):
            return
        observation = self._assemble(policy, self._now_ns())
        if now - self._last_valid_mono > EXPLAIN_AFTER_S:
            reasons = tuple(self._explained(policy, each) for each in observation.reasons)
            observation = replace(observation, reasons=reasons)
        waiting = all(reason.code is ReasonCode.NOT_YET for reason in observation.reasons)
        known = waiting or _what(observation) <= self._told
        if not known or now - self._last_told_mono >= COMPLAINT_PERIOD_S:
            self._publish(policy, observation)
        self._end_if_hopeless(policy, observation)

    def _explained(self, policy: _Served, reason: Reason) -> Reason:
        """Say why a stream that somebody publishes does not serve, where its driver is not it."""
        request = policy.assembler.streams.get(reason.stream)
        if request is None or reason.code in _HUMAN_REASONS:
            return reason
        if reason.code is ReasonCode.MISSING:
            # Nothing is known of the time of samples before the clock has begun.
            why = clock_problem(self) or unheard(self, request.topic)
            return replace(reason, text=f'nothing has arrived; {why}') if why else reason
        stamp_ns = self._stamps.get(request.topic)
        if stamp_ns is None:
            return reason
        why = clock_problem(self) or foreign_clock(stamp_ns, self._now_ns(), time.monotonic_ns())
        return replace(reason, text=why) if why else reason

    def _end_if_hopeless(self, policy: _Served, observation: Observation) -> None:
        """End the process if the sensors have not allowed one observation since the start."""
        timeout_s = self.get_parameter('startup_timeout_s').value
        if self._waiting_since is None or timeout_s <= 0.0:
            return
        reasons = [each for each in observation.reasons if each.code not in _HUMAN_REASONS]
        if not reasons or time.monotonic() - self._waiting_since <= timeout_s:
            return
        self._waiting_since = None
        what = '; '.join(self._with_topic(policy, each) for each in reasons)
        self.get_logger().fatal(
            f'no valid observation within {timeout_s:g} s after the policy was known, so nothing '
            f'can start: {what}. Correct this and start '
            'again, or set the parameter startup_timeout_s to 0 to wait for ever'
        )
        self._fail()

    def _with_topic(self, policy: _Served, reason: Reason) -> str:
        request = policy.assembler.streams.get(reason.stream)
        if request is None or not request.topic:
            return str(reason)
        return f'{reason} (topic {self.resolve_topic_name(request.topic)})'

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        policy = self._policy
        if policy is None:
            problem = self._problem or 'waiting for a policy on policy_info'
            return DiagnosticStatus.WARN, problem, {}
        level = DiagnosticStatus.ERROR if self._problem else DiagnosticStatus.OK
        facts = {'observations': self._sequence, 'policy': policy.policy_id[:12]}
        return level, self._problem or 'observing', facts


def _what(observation: Observation) -> frozenset[tuple[ReasonCode, str]]:
    return frozenset((reason.code, reason.stream) for reason in observation.reasons)


def _profile(config: StreamConfig) -> QoSProfile:
    """Keep what waits, unless samples that waited would all be stamped with the same time."""
    return qos.STREAM if config.clock == 'header' else qos.SENSOR


def main() -> int:
    """Run the node."""
    step_forward()
    # A picture that is shared among threads waits for the last of them to get a core.
    cv2.setNumThreads(max(1, len(os.sched_getaffinity(0)) // 4))
    return run_node(ObservationNode, args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
