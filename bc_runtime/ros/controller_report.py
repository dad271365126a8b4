# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller says about itself: status, state, events, plots, execution state."""

from __future__ import annotations

from array import array
import math
import threading

from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import JointState

from bc_msgs import msg as bc_msg
from bc_runtime.control import ControlLoop, TickResult
from bc_runtime.ros import convert, qos
from bc_runtime.ros.tick_thread import Tick
from bc_runtime.safety import Source, State, Transition
from bc_runtime.spec import RobotConfig

#: The execution state is sent at changes and at this rate [Hz].
_EXECUTION_STATE_HZ = 20.0
#: Bits of LimitFlag that ControllerStatus carries.
_LIMIT_BITS = 0x1F


class ControllerReport:
    """Publishes one tick."""

    def __init__(self, node: Node, robot: RobotConfig, lock: threading.Lock) -> None:
        self._lock = lock  # of the loop: chunks join its plan from another thread
        self._names = list(robot.command.joints)
        self._velocities = robot.command.takes_velocities
        self._status = bc_msg.ControllerStatus(period=1.0 / robot.command.rate_hz)
        self._every = max(1, round(robot.command.rate_hz / _EXECUTION_STATE_HZ))
        self._told: tuple[int, State, bool] | None = None
        self._starved = 0
        self._ticks = 0
        self._missed_before = 0
        self._status_publisher = node.create_publisher(
            bc_msg.ControllerStatus, '~/status', qos.DATA
        )
        self._setpoint_publisher = node.create_publisher(JointState, '~/setpoint', qos.DATA)
        self._command_publisher = node.create_publisher(JointState, '~/command', qos.DATA)
        self._state_publisher = node.create_publisher(bc_msg.StateEvent, '~/state', qos.LATCHED)
        self._event_publisher = node.create_publisher(bc_msg.StateEvent, '~/events', qos.EVENTS)
        self._execution_publisher = node.create_publisher(
            bc_msg.ExecutionState, 'execution_state', qos.COMMAND
        )

    def publish(
        self, result: TickResult, loop: ControlLoop, tick: Tick, *, ros_ns: int, duration_ns: int
    ) -> None:
        """Publish what is new in this tick."""
        stamp = convert.to_time(ros_ns)
        for transition in result.transitions:
            event = _event(transition, ros_ns)
            self._event_publisher.publish(event)
            self._state_publisher.publish(event)
        told = (result.epoch, result.state, result.accepting)
        if told != self._told or tick.index % self._every == 0:
            self._told = told
            self._publish_execution_state(result, loop, stamp)
        if result.command is not None:
            # Where velocities are sent, positions are only a reckoning.
            position = () if self._velocities else result.command.position
            self._command_publisher.publish(self._joints(stamp, position, result.command.velocity))
        if result.setpoint is not None:
            wanted = ((), result.setpoint) if self._velocities else (result.setpoint, ())
            self._setpoint_publisher.publish(self._joints(stamp, *wanted))
        self._publish_status(result, loop, tick, stamp, duration_ns)

    def _publish_status(
        self,
        result: TickResult,
        loop: ControlLoop,
        tick: Tick,
        stamp: Time,
        duration_ns: int,
    ) -> None:
        if any(t.previous is State.INACTIVE for t in result.transitions):
            self._ticks, self._starved, self._missed_before = 0, 0, tick.missed
        self._ticks += 1
        if result.state is State.AUTO and result.setpoint is None:
            self._starved += 1
        msg = self._status
        msg.header.stamp = stamp
        msg.state = result.state.value
        codes = [result.stop_code] if result.stop_code else []
        msg.reason = '; '.join([*codes, *(reason.flag.value for reason in result.reasons)])
        msg.control_source = int(result.source) if result.command is not None else Source.NONE
        msg.epoch = result.epoch
        msg.tick = self._ticks
        msg.missed_ticks = tick.missed - self._missed_before
        msg.lateness = tick.late_ns * 1e-9
        msg.tick_duration = duration_ns * 1e-9
        msg.chunk_sequence = result.chunk_sequence
        msg.live_chunks = result.live_chunks
        msg.remaining_horizon = result.remaining_s
        msg.observation_age = result.observation_age_s
        msg.latency = result.latency_s
        msg.joint_state_age = result.joint_state_age_s
        msg.tracking_error = result.tracking_error
        msg.limiter_flags = result.command.active & _LIMIT_BITS if result.command else 0
        msg.limiter_deviation = result.deviation
        msg.chunks_accepted = loop.plan.accepted
        msg.chunks_rejected = loop.plan.rejected
        msg.starved_ticks = self._starved
        msg.speed_scale = result.speed_scale
        self._status_publisher.publish(msg)

    def _publish_execution_state(self, result: TickResult, loop: ControlLoop, stamp: Time) -> None:
        msg = bc_msg.ExecutionState(
            epoch=result.epoch,
            state=result.state.value,
            accepting=result.accepting,
            policy_id=loop.plan.policy_id,
            chunk_sequence=result.chunk_sequence,
            remaining_horizon=result.remaining_s,
            inference_delay=result.latency_s if not math.isnan(result.latency_s) else 0.0,
        )
        msg.header.stamp = stamp
        if result.accepting:
            with self._lock:
                prefix = loop.plan.prefix(convert.to_ns(stamp))
            convert.fill_prefix(msg, prefix)
        self._execution_publisher.publish(msg)

    def _joints(
        self, stamp: Time, positions: tuple[float, ...], velocities: tuple[float, ...]
    ) -> JointState:
        msg = JointState(
            name=self._names, position=array('d', positions), velocity=array('d', velocities)
        )
        msg.header.stamp = stamp
        return msg


def _event(transition: Transition, ros_ns: int) -> bc_msg.StateEvent:
    return bc_msg.StateEvent(
        stamp=convert.to_time(ros_ns),
        monotonic_ns=transition.at_ns,
        previous_state=transition.previous.value,
        state=transition.state.value,
        code=transition.code,
        severity=int(transition.severity),
        text=transition.text,
        epoch=transition.epoch,
    )
