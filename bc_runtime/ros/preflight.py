# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PreflightServer: gathers the facts of a preflight and serves `controller/preflight`.

It has a node and a thread of its own: watching the cameras for a second must not keep the
controller's executor from hearing an emergency stop. While it watches, the policy rehearses:
chunks are asked for and judged as in a run, and nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
import math
import threading
import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from sensor_msgs.msg import JointState

from bc_msgs import srv as bc_srv
from bc_runtime.control import ControlLoop
from bc_runtime.control.preflight import (
    CAMERA_SHARE,
    JOINT_STATES_HZ,
    PolicyFacts,
    PreflightFacts,
    Rehearsal,
    StreamFacts,
    judge,
    refusals,
)
from bc_runtime.observation import bind
from bc_runtime.observation.picture import describe_picture
from bc_runtime.observation.serialized import read_compressed_image, read_image
from bc_runtime.observation.stamp_clock import foreign_clock
from bc_runtime.ros import convert, qos
from bc_runtime.ros.commander_watch import other_publishers
from bc_runtime.ros.message_types import message_class
from bc_runtime.ros.sensor_watch import SensorWatch
from bc_runtime.ros.unheard import clock_problem, unheard
from bc_runtime.safety import State
from bc_runtime.spec import BcError, RobotConfig

#: How long streams are watched and the policy rehearses [s].
WATCH_S = 1.5
#: How nodes are called that listen and are no driver: `ros2 bag record`, `ros2 topic`, viewers.
ONLOOKERS = ('rosbag2_', '_ros2cli', 'foxglove_bridge', 'plotjuggler', 'rqt_', 'rviz')


class _Watched:
    """Messages of one stream, counted."""

    def __init__(self, name: str, topic: str, expected_hz: float) -> None:
        self.name, self.topic, self.expected_hz = name, topic, expected_hz
        self.count = 0
        self.foreign = ''
        self.first_s = self.last_s = 0.0
        self.offset_s = math.nan
        self.newest: Any = None
        self.senders: set[bytes] = set()

    def take(self, message: Any, sender: bytes | None) -> None:
        if sender is not None:
            self.senders.add(sender)
        now = time.monotonic()
        self.first_s = now if self.count == 0 else self.first_s
        self.last_s = now
        self.count += 1
        self.newest = message

    def facts(self, watched_s: float, *, content: str = '', problem: str = '') -> StreamFacts:
        # The first message waits for discovery: only the time after it counts.
        span = max(self.last_s - self.first_s, 1e-9)
        rate = (self.count - 1) / span if self.count > 2 else self.count / watched_s
        return StreamFacts(
            name=self.name,
            topic=self.topic,
            expected_hz=self.expected_hz,
            rate_hz=rate,
            offset_s=self.offset_s,
            foreign_clock=self.foreign,
            content=content,
            problem=problem,
        )


class PreflightServer:
    """See the module's docstring.

    Args:
        node: The controller.
        robot: The robot.
        loop: The control loop.
        lock: Held around every use of the loop.
        policy: Returns what is known of the policy, None before it is.
        dry_run: Nothing is sent, so nobody need listen.
    """

    def __init__(
        self,
        node: Node,
        robot: RobotConfig,
        loop: ControlLoop,
        lock: threading.Lock,
        policy: Callable[[], PolicyFacts | None],
        *,
        dry_run: bool,
    ) -> None:
        self._node, self._robot, self._loop, self._lock = node, robot, loop, lock
        self._policy, self._dry_run = policy, dry_run
        self._own = Node(
            'controller_preflight',
            namespace=node.get_namespace(),
            context=node.context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._own.create_service(bc_srv.Preflight, 'controller/preflight', self._serve)
        SensorWatch(self._own, robot, loop, lock)
        # Not the fastest one: this one tells who has sent a message.
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._own)
        self._thread = threading.Thread(target=self._spin, name='preflight', daemon=True)
        self._ending = False
        self._senders: dict[str, list[str]] = {}
        self._thread.start()

    def close(self) -> None:
        """End the thread and the node."""
        self._ending = True
        self._executor.wake()
        self._thread.join(timeout=2.0 * WATCH_S)
        self._executor.shutdown(timeout_sec=1.0)
        self._own.destroy_node()

    def _spin(self) -> None:
        while not self._ending and self._node.context.ok():
            self._executor.spin_once(timeout_sec=0.5)

    # Service ----------------------------------------------------------------------------------

    def _serve(
        self, _request: bc_srv.Preflight.Request, response: bc_srv.Preflight.Response
    ) -> bc_srv.Preflight.Response:
        items = judge(self._gather(), self._robot, dry_run=self._dry_run)
        response.ready = all(item.ok for item in items)
        response.passed = [str(item) for item in items if item.ok]
        response.failed = [str(item) for item in items if not item.ok]
        return response

    def _gather(self) -> PreflightFacts:
        with self._lock:
            state = self._loop.state
        policy = self._policy()
        with self._rehearsal(state) as rehearsal:
            streams = self._watch(policy)
            heard = rehearsal()
        with self._lock:
            measured = self._loop.measured
            no = refusals(self._loop)
            state = self._loop.state
        listeners, onlookers = self._listeners()
        return PreflightFacts(
            state=state,
            refusals=no,
            measured=(
                None if measured is None else dict(zip(self._loop.joints, measured, strict=True))
            ),
            streams=streams,
            qos=self._connections(policy),
            clock=clock_problem(self._node),
            senders=self._senders,
            commanders=self._others(),
            listeners=listeners,
            onlookers=onlookers,
            policy=policy,
            rehearsal=heard if state is State.READY and policy is not None else None,
        )

    @contextmanager
    def _rehearsal(self, state: State) -> Iterator[Callable[[], Rehearsal]]:
        """Ask for chunks while the robot rests; yields what to call for what came of it."""
        loop = self._loop
        with self._lock:
            accepted, rejected = loop.plan.accepted, loop.plan.rejected
            loop.rehearsing = state is State.READY

        def heard() -> Rehearsal:
            with self._lock:
                if loop.plan.accepted == accepted:
                    last = loop.plan.last_rejection if loop.plan.rejected > rejected else ''
                    return Rehearsal(rejection=last)
                return Rehearsal(
                    first=loop.plan.newest_start(),
                    latency_s=loop.plan.newest_latency_s,
                )

        try:
            yield heard
        finally:
            with self._lock:
                loop.rehearsing = False

    # Streams ----------------------------------------------------------------------------------

    def _watch(self, policy: PolicyFacts | None) -> list[StreamFacts]:
        """Listen to the joint states and to every camera that the policy needs, for a while."""
        watcher = Node(
            'controller_preflight_watch',
            namespace=self._node.get_namespace(),
            context=self._node.context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        executor = SingleThreadedExecutor(context=self._node.context)
        executor.add_node(watcher)
        joints, cameras = self._subscribe(watcher, policy)
        start = time.monotonic()
        try:
            while (left := WATCH_S - (time.monotonic() - start)) > 0.0 and not self._ending:
                executor.spin_once(timeout_sec=left)
        finally:
            executor.shutdown(timeout_sec=1.0)
            watcher.destroy_node()
        self._senders = {each.topic: self._nodes(each) for each in (*joints, *cameras)}
        found = [
            each.facts(WATCH_S, problem='' if each.count else unheard(self._node, each.topic))
            for each in joints
        ]
        return found + [self._picture(each, policy) for each in cameras]

    def _subscribe(
        self, watcher: Node, policy: PolicyFacts | None
    ) -> tuple[list[_Watched], list[_Watched]]:
        robot = self._robot
        joints, cameras = [], []
        if robot.joint_states.topic:
            hz = min(JOINT_STATES_HZ, 1.0 / robot.joint_states.max_age_s)
            states = _Watched('joint_states', robot.joint_states.topic, hz)
            joints.append(states)
            watcher.create_subscription(
                JointState,
                robot.joint_states.topic,
                partial(self._joint_state, states),
                qos.SENSOR,
            )
        for name, camera in robot.cameras.items():
            if policy is not None and name not in _needed(policy, robot):
                continue
            seen = _Watched(f'cameras/{name}', camera.topic, CAMERA_SHARE * camera.rate_hz)
            cameras.append(seen)
            kind = 'CompressedImage' if camera.transport == 'compressed' else 'Image'
            watcher.create_subscription(
                message_class(f'sensor_msgs/msg/{kind}'),
                camera.topic,
                partial(self._image, seen, kind),
                qos.SENSOR,
                raw=True,
            )
        return joints, cameras

    def _joint_state(self, seen: _Watched, msg: JointState, info: dict[str, Any]) -> None:
        if not set(self._robot.joint_names).issubset(msg.name):
            return  # of another publisher that shares the topic
        seen.take(None, convert.sender_of(info))
        if self._robot.joint_states.clock == 'header':
            now_ns = self._node.get_clock().now().nanoseconds
            stamp_ns = convert.to_ns(msg.header.stamp)
            seen.offset_s = (stamp_ns - now_ns) * 1e-9
            seen.foreign = foreign_clock(stamp_ns, now_ns, time.monotonic_ns())

    def _image(self, seen: _Watched, kind: str, data: bytes, info: dict[str, Any]) -> None:
        seen.take((kind, data), convert.sender_of(info))
        # Reading the header of a picture costs little; decoding waits for the last one.
        if seen.count % 5 == 1:
            read = read_compressed_image if kind == 'CompressedImage' else read_image
            try:
                stamp_ns, _ = read(data)
            except BcError:
                return
            if self._robot.cameras[seen.name.partition('/')[2]].clock == 'header':
                now_ns = self._node.get_clock().now().nanoseconds
                seen.offset_s = (stamp_ns - now_ns) * 1e-9
                seen.foreign = foreign_clock(stamp_ns, now_ns, time.monotonic_ns())

    def _picture(self, seen: _Watched, policy: PolicyFacts | None) -> StreamFacts:
        """Decode the last picture as the policy takes it."""
        if seen.newest is None:
            return seen.facts(WATCH_S, problem=unheard(self._node, seen.topic))
        kind, data = seen.newest
        read = read_compressed_image if kind == 'CompressedImage' else read_image
        inputs = () if policy is None else policy.spec.image_inputs
        camera = seen.name.partition('/')[2]
        try:
            _, image = read(data)
            content = describe_picture(image, [each for each in inputs if each.camera == camera])
        except BcError as error:
            return seen.facts(WATCH_S, problem=str(error))
        return seen.facts(WATCH_S, content=content)

    def _nodes(self, seen: _Watched) -> list[str]:
        """Return the names of the nodes that sent what was watched."""
        ends = self._node.get_publishers_info_by_topic(self._resolved(seen.topic))
        names = {bytes(end.endpoint_gid): end.node_name for end in ends}
        return sorted(names.get(sender, 'a node that has ended') for sender in seen.senders)

    # Graph ------------------------------------------------------------------------------------

    def _resolved(self, topic: str) -> str:
        return str(self._node.resolve_topic_name(topic))

    def _others(self) -> list[str]:
        if self._dry_run:
            return []
        return other_publishers(self._node, self._robot.command.topic, own=1)

    def _listeners(self) -> tuple[int, list[str]]:
        """Return how many may be the driver, and the names of those that only record or show."""
        topic = self._resolved(self._robot.command.topic)
        found = self._node.get_subscriptions_info_by_topic(topic)
        recorders = {
            (each.node_name, each.node_namespace)
            for each in self._node.get_publishers_info_by_topic(self._resolved('episode'))
        }
        idle = [
            each.node_name
            for each in found
            if (each.node_name, each.node_namespace) in recorders
            or each.node_name.startswith(ONLOOKERS)
        ]
        return len(found) - len(idle), sorted(idle)

    def _connections(self, policy: PolicyFacts | None) -> dict[str, str]:
        """Return topic -> why our subscription or publication would not be connected."""
        robot, human = self._robot, self._robot.human
        heard: dict[str, QoSProfile] = {robot.instruction_topic: qos.ANY}
        if robot.joint_states.topic:
            heard[robot.joint_states.topic] = qos.SENSOR
        for name, camera in robot.cameras.items():
            if policy is None or name in _needed(policy, robot):
                heard[camera.topic] = qos.SENSOR
        if human.estop_topic:
            heard[human.estop_topic] = qos.ANY
        if human.takeover_topic:
            heard[human.takeover_topic] = qos.ANY
        if human.teleop_topic:
            heard[human.teleop_topic] = qos.SENSOR
        found = {}
        for topic, mine in heard.items():
            ends = self._node.get_publishers_info_by_topic(self._resolved(topic))
            found[topic] = _mismatch([(end, end.qos_profile, mine) for end in ends])
        if not self._dry_run:
            topic = robot.command.topic
            ends = self._node.get_subscriptions_info_by_topic(self._resolved(topic))
            found[topic] = _mismatch([(end, qos.COMMAND, end.qos_profile) for end in ends])
        return found


def _mismatch(pairs: list[tuple[Any, QoSProfile, QoSProfile]]) -> str:
    """Return which (endpoint, publisher's, subscriber's profile) cannot talk; empty if all can."""
    problems = []
    for end, publisher, subscriber in pairs:
        compatible, why = qos_check_compatible(_essence(publisher), _essence(subscriber))
        if compatible == QoSCompatibility.ERROR:  # no real enumeration: `is` fails
            problems.append(f'{end.node_name}: {why.strip("; ")}')
    return '; '.join(problems)


def _essence(profile: QoSProfile) -> QoSProfile:
    """Return the part that decides here; deadlines of the graph are never those of a profile."""
    return QoSProfile(depth=1, reliability=profile.reliability, durability=profile.durability)


def _needed(policy: PolicyFacts, robot: RobotConfig) -> set[str]:
    """Return the cameras that the policy takes."""
    try:
        requests = bind(policy.spec, robot)
    except BcError:
        return set(robot.cameras)
    return {each.key for each in requests.values() if each.name.startswith('cameras/')}
