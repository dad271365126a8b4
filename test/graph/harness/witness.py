# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Witness: an independent node that sees what the deployment says and sends, and disturbs it."""

from __future__ import annotations

from collections.abc import Callable
import math
import time
from typing import Any

from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.ros import qos
from bc_runtime.spec import RobotConfig
from harness.velocity_wire import VelocityAuditor
from harness.wire import NS, WireAuditor

#: Longest time for anything to happen on a busy machine [s].
PATIENCE_S = 40.0
#: After so long without an answer a service is asked again [s].
ANSWER_S = 5.0
#: After so many looks without a message nothing is waiting.
IDLE_SPINS = 8
#: After so long in one state an event that has not come was lost [s].
_SETTLED_S = 0.5

#: Deep enough that nothing is lost while the test waits for a process.
_DEEP = QoSProfile(
    depth=3000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)
_DEEP_SENSOR = QoSProfile(
    depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE
)


def _request(values: dict[str, Any]) -> Any:
    return SetParameters.Request(
        parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
    )


def stamp_ns(time_msg: Any) -> int:
    """Return a `builtin_interfaces/Time` in nanoseconds."""
    return int(time_msg.sec) * NS + int(time_msg.nanosec)


class Witness:
    """Keeps what came, newest last; every wait is for an event and has a deadline.

    Args:
        alive: Raises when a process that must live has ended.
    """

    def __init__(
        self, robot: RobotConfig, *, domain: int, alive: Callable[[], None] = lambda: None
    ) -> None:
        self._alive = alive
        self._rate_hz = robot.command.rate_hz
        self._context = Context()
        rclpy.init(
            context=self._context,
            domain_id=domain,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.node = Node('witness', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        velocities = robot.command.takes_velocities
        self.wire = VelocityAuditor(robot) if velocities else WireAuditor(robot)
        self.statuses: list[Any] = []
        self.events: list[Any] = []
        self.chunks: list[Any] = []
        self.observations: list[Any] = []
        self.joint_states: list[tuple[int, Any]] = []
        self.episodes: list[Any] = []
        self.policy: Any = None
        listen = self.node.create_subscription
        kind = Float64MultiArray if velocities else JointTrajectory
        listen(kind, robot.command.topic, self._on_command, _DEEP)
        listen(bc_msg.ControllerStatus, 'controller/status', self.statuses.append, _DEEP)
        listen(bc_msg.StateEvent, 'controller/events', self.events.append, qos.EVENTS)
        listen(bc_msg.ActionChunk, 'action_chunk', self.chunks.append, _DEEP)
        listen(bc_msg.ObservationStatus, 'observation_status', self.observations.append, _DEEP)
        listen(JointState, robot.joint_states.topic, self._on_joint_state, _DEEP_SENSOR)
        listen(bc_msg.PolicyInfo, 'policy_info', self._on_policy, qos.LATCHED)
        listen(bc_msg.Episode, 'episode', self.episodes.append, qos.LATCHED)
        publish = self.node.create_publisher
        self.estop = publish(Bool, robot.human.estop_topic, qos.DATA)
        self.instruction = publish(String, robot.instruction_topic, qos.LATCHED)
        self.chunk_publisher = publish(bc_msg.ActionChunk, 'action_chunk', qos.DATA)
        self.joint_state_publisher = publish(JointState, robot.joint_states.topic, qos.SENSOR)
        self._services: dict[str, Any] = {}

    def close(self) -> None:
        """End the node."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def watch_alone(self) -> None:
        """From now on the processes may end."""
        self._alive = lambda: None

    # What comes in ----------------------------------------------------------------------------

    def _on_command(self, msg: Any, info: Any) -> None:
        self.wire.take(msg, info)

    def _on_joint_state(self, msg: Any, info: Any) -> None:
        at_ns = int(info['source_timestamp'])
        self.joint_states.append((at_ns, msg))
        self.wire.measure(at_ns, msg)

    def _on_policy(self, msg: Any) -> None:
        self.policy = msg

    @property
    def status(self) -> Any:
        """Return the newest controller status, or None."""
        return self.statuses[-1] if self.statuses else None

    @property
    def state(self) -> str:
        """Return the controller's state, empty while it is unknown."""
        return str(self.statuses[-1].state) if self.statuses else ''

    def transitions(self, start: int = 0) -> list[str]:
        """Return the events from an index on as `STATE [CODE]`."""
        return [f'{event.state} [{event.code}]' for event in self.events[start:]]

    # Waiting ----------------------------------------------------------------------------------

    def spin(self, timeout_s: float = 0.02) -> None:
        """Handle one message, or wait that long for one."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def until(
        self, condition: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S
    ) -> Any:
        """Spin until `condition()` is true, and return what it returned."""
        deadline = time.monotonic() + timeout_s
        while not (result := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f'waited {timeout_s:g} s in vain for {what}; {self.tell()}')
            self._alive()
            self.spin()
        return result

    def until_state(self, *states: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait until the controller is in one of the states, and the events say so too."""
        self.until(
            lambda: self.state in states and self._settled(),
            ' or '.join(states),
            timeout_s=timeout_s,
        )
        return self.state

    def _settled(self) -> bool:
        """Whether the events that led to the present state have come.

        Status and events are two topics: either may be the first to tell of a transition. The
        exception is a witness that missed an event while it was being connected.
        """
        if not self.events or self.events[-1].state == self.state:
            return True
        ticks = round(_SETTLED_S * self._rate_hz)
        newest = self.statuses[-ticks:]
        return len(newest) == ticks and all(s.state == self.state for s in newest)

    def mark(self) -> int:
        """Return the number of events that led to the present state: what comes is later."""
        self.drain()
        self.until(self._settled, 'the events of the present state')
        return len(self.events)

    def until_event(self, state: str, *, start: int, timeout_s: float = PATIENCE_S) -> Any:
        """Wait for a transition into a state, from an index of `events` on; return it."""

        def found() -> Any:
            return next(
                (e for e in self.events[start:] if e.state == state and e.previous_state != state),
                None,
            )

        return self.until(found, f'a transition to {state}', timeout_s=timeout_s)

    def ticks(self, count: int) -> None:
        """Watch for a number of control ticks."""
        seen = len(self.statuses)
        self.until(lambda: len(self.statuses) >= seen + count, f'{count} control ticks')

    def watch(self, seconds: float) -> None:
        """Watch for as many control ticks as come in a time, whatever the control rate."""
        self.ticks(max(1, round(seconds * self._rate_hz)))

    def drain(self) -> None:
        """Take everything that has come already."""
        deadline = time.monotonic() + 1.0
        idle = 0
        while idle < IDLE_SPINS and time.monotonic() < deadline:
            before = self._received()
            self.spin(0.0)
            idle = idle + 1 if self._received() == before else 0

    def _received(self) -> int:
        lists = (self.statuses, self.events, self.chunks, self.observations, self.joint_states)
        return len(self.wire.commands) + sum(map(len, lists))

    def tell(self) -> str:
        """Return what is known, for the message of a failed wait."""
        status = self.status
        words = [f'events: {", ".join(self.transitions()[-8:]) or "none"}']
        words += [f'last: {event.text}' for event in self.events[-1:]]
        if status is not None:
            words.append(f'controller {status.state} {status.reason}')
        if self.observations and not self.observations[-1].valid:
            words.append(f'observation: {"; ".join(self.observations[-1].reasons)}')
        return '; '.join(words)

    # Services ---------------------------------------------------------------------------------

    def call(self, name: str, request: Any, kind: Any = Trigger) -> Any:
        """Call a service and return its response.

        A request may go to a process that was killed and is still known: it is asked again.
        """
        futures: list[Any] = []
        asked = -math.inf

        def answer() -> Any:
            nonlocal asked
            if time.monotonic() - asked > ANSWER_S:
                asked = time.monotonic()
                futures.append(self.send(name, request, kind))
            return next((one for one in futures if one.done()), None)

        return self.until(answer, f'the answer of {name}').result()

    def send(self, name: str, request: Any, kind: Any = Trigger) -> Any:
        """Call a service and return the future of its response."""
        if name not in self._services:
            self._services[name] = self.node.create_client(kind, name)
        client = self._services[name]
        self.until(client.service_is_ready, f'the service {name}')
        return client.call_async(request)

    def ask(self, name: str) -> Any:
        """Call one of the controller's Trigger services; it must accept."""
        response = self.call(name, Trigger.Request())
        if not response.success:
            raise AssertionError(f'{name}: {response.message}; {self.tell()}')
        return response

    @property
    def offset_ns(self) -> int:
        """System clock - monotonic clock."""
        return time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()

    def set_parameters(self, node: str, values: dict[str, Any]) -> None:
        """Set parameters of a node; it must accept."""
        refused = self.try_parameters(node, values)
        if refused:
            raise AssertionError(f'{node}: {refused}')

    def try_parameters(self, node: str, values: dict[str, Any]) -> str:
        """Set parameters of a node; return why it refuses, empty if it does not."""
        response = self.call(f'{node}/set_parameters', _request(values), SetParameters)
        return '; '.join(each.reason for each in response.results if not each.successful)

    def send_parameters(self, node: str, values: dict[str, Any]) -> Any:
        """Send parameters to a node and return the future of its response."""
        return self.send(f'{node}/set_parameters', _request(values), SetParameters)

    def start_episode(self, episode_id: str) -> Any:
        """Ask the recorder to begin."""
        return self.call(
            'recorder/start_episode',
            bc_srv.StartEpisode.Request(id=episode_id, seed=-1),
            bc_srv.StartEpisode,
        )
