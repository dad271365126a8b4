# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `sim_robot`: the simulated robot in real time, with the topics of a real one.

One thread runs the physics and the driver at 100 Hz on absolute deadlines; one draws and sends the
cameras, one compresses their pictures; the executor's thread takes commands, services and
parameters. Joint states and images
carry the stamp of the physics tick that they show.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
import contextlib
import math
import queue
import sys
import threading
import time
from typing import NamedTuple

from builtin_interfaces.msg import Time
import cv2
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter as RosParameter
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.ros import convert, qos, scheduling
from bc_runtime.ros.parameters import declare
from bc_runtime.ros.runtime import EXIT_FAILED, EXIT_OK, run_node
from bc_runtime.ros.sim_parameters import PARAMETERS, fault_plan
from bc_runtime.ros.sim_pictures import jpeg_message, raw_message
from bc_runtime.ros.untyped import PlainNode
from bc_runtime.sim.arm import ArmSim, GeometrySnapshot
from bc_runtime.sim.driver import Driver, in_robot_order, joint_order
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.faults import FaultInjector
from bc_runtime.sim.flicker import Flicker
from bc_runtime.sim.painter import Painter
from bc_runtime.sim.shapes import Image as Picture
from bc_runtime.sim.task import CAMERAS, JOINT_NAMES

NS = 1_000_000_000
TICK_HZ = 100
#: No two clocks agree. Were the robot's ticks as long as the controller's, the distance between
#: them would be what the start made it, for the whole run: 0 to 5 ms of every latency at 200 Hz.
TICK_NS = 10_005_000
CAMERA_HZ = 30
TASK_STATE_EVERY = 10  # ticks
WIDTH, HEIGHT = 640, 480
#: Where a picture is sent both ways, the compressed one comes so much later [s]: a real camera
#: compresses on its own chip, not on the processor that the policy is waiting for.
COMPRESS_AFTER_S = 0.012
#: Real-time priorities, where permitted: a robot and its cameras do not wait for the computer that
#: controls them. Below those of the controller.
PHYSICS_PRIORITY, CAMERA_PRIORITY = 35, 30
#: When the process was stopped for longer than this, simulated time is not made up for [s].
GIVE_UP_S = 0.25
#: Without another command a velocity ends after this time [s].
VELOCITY_S = 0.1
WARN_EVERY_S = 2.0
#: Trajectories that wait for the next tick.
MOST_WAITING = 100


class _Shot(NamedTuple):
    """A picture that waits to be compressed, and until when [s, monotonic]."""

    camera: str
    picture: Picture
    stamp: Time
    due_s: float


class SimNode(PlainNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('sim_robot')
        declare(self, PARAMETERS)
        self.exit_code = EXIT_OK
        self._sim = ArmSim()
        self._faults = FaultInjector()
        self._flicker = Flicker()
        self._faults.plan = fault_plan(self)
        self._lock = threading.Lock()  # of the simulation, the driver and the stamp
        self._seed = self.get_parameter('seed').value
        self._sim.reset(self._seed, self.get_parameter('instruction').value)
        self._driver = Driver(self._sim.setpoint)
        self._stamp = self.get_clock().now().to_msg()
        # Serialized, with the time of arrival [s, monotonic].
        self._trajectories: deque[tuple[float, bytes]] = deque(maxlen=MOST_WAITING)
        self._refused_s: dict[str, float] = {}
        self._stop = threading.Event()
        self._tick = -1
        self._ticked = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run_physics, name='physics'),
            threading.Thread(target=self._run_cameras, name='cameras'),
            threading.Thread(target=self._run_compression, name='compression'),
        ]
        self._to_compress: queue.Queue[_Shot | None] = queue.Queue(maxsize=len(CAMERAS))
        self._make_interfaces()
        self._say_instruction()

    def _make_interfaces(self) -> None:
        self._joint_publisher = self.create_publisher(JointState, 'joint_states', qos.SENSOR)
        self._raw = {
            camera: self.create_publisher(Image, f'{camera}/image_raw', qos.SENSOR)
            for camera in CAMERAS
        }
        self._compressed = {
            camera: self.create_publisher(
                CompressedImage, f'{camera}/image_raw/compressed', qos.SENSOR
            )
            for camera in CAMERAS
        }
        self._instruction_publisher = self.create_publisher(String, 'instruction', qos.LATCHED)
        self._task_publisher = self.create_publisher(bc_msg.TaskState, 'task_state', qos.DATA)
        self.create_subscription(
            JointTrajectory, 'joint_trajectory', self._on_trajectory, qos.COMMAND, raw=True
        )
        self.create_subscription(
            Float64MultiArray, 'position_commands', self._on_positions, qos.COMMAND
        )
        self.create_subscription(
            Float64MultiArray, 'velocity_commands', self._on_velocities, qos.COMMAND
        )
        self.create_service(bc_srv.ResetScene, '~/reset', self._on_reset)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    # Process -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Let time run."""
        for thread in self._threads:
            thread.start()

    def finished(self) -> bool:
        """Return whether a thread ended by an error; then the process ends too."""
        ended = not self._stop.is_set() and any(
            thread.ident is not None and not thread.is_alive() for thread in self._threads
        )
        if ended:
            self.exit_code = EXIT_FAILED
        return ended

    def request_stop(self) -> None:
        """End the threads."""
        self._stop.set()
        with contextlib.suppress(queue.Full):
            self._to_compress.put_nowait(None)
        with self._ticked:
            self._ticked.notify_all()

    def at_rest(self) -> bool:
        """Return whether the threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def destroy_node(self) -> None:
        """End the threads, then destroy."""
        self.request_stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        super().destroy_node()

    # Physics -------------------------------------------------------------------------------

    def _run_physics(self) -> None:
        scheduling.prefer_this_thread(PHYSICS_PRIORITY)
        start_ns, tick = time.monotonic_ns(), 0
        while not self._stop.is_set():
            due = (time.monotonic_ns() - start_ns) // TICK_NS
            count = due - tick
            if count > GIVE_UP_S * TICK_HZ:
                self.get_logger().warning(
                    f'simulation is {count / TICK_HZ:.2f} s late (a busy or suspended machine); '
                    'the robot stood still meanwhile',
                    throttle_duration_sec=WARN_EVERY_S,
                )
                count = 1
            tick = due
            if count > 0:
                before = self._tick
                self._advance(count, at_ns=start_ns + tick * TICK_NS)
                with self._ticked:
                    self._tick = tick
                    self._ticked.notify_all()
                self._publish_joints()
                if tick // TASK_STATE_EVERY > before // TASK_STATE_EVERY:
                    self._publish_task()
            _sleep_until(start_ns + (tick + 1) * TICK_NS)

    def _advance(self, count: int, *, at_ns: int) -> None:
        """Bring the simulation to a tick, by all the ticks that are due.

        Each has the set-point of its own time: one step to the newest would be a jump that the
        driver never made.
        """
        with self._lock:
            self._follow_newest()
            late_ns = time.monotonic_ns() - at_ns
            self._stamp = convert.to_time(self.get_clock().now().nanoseconds - late_ns)
            for ago in reversed(range(count)):
                tick_s = (at_ns - ago * TICK_NS) / NS
                wanted = self._faults.command(tick_s, self._driver.setpoint(tick_s))
                if wanted is not None:
                    self._sim.command(wanted)
                self._sim.step(1.0 / TICK_HZ)

    def _publish_joints(self) -> None:
        with self._lock:
            stamp, positions = self._stamp, self._sim.joint_positions
            velocities = self._sim.joint_velocities
        measured = self._faults.joints(positions, velocities)
        if measured is None:
            return
        msg = JointState(name=list(JOINT_NAMES))
        msg.header.stamp = stamp
        msg.position = array('d', measured[0])
        msg.velocity = array('d', measured[1])
        self._joint_publisher.publish(msg)

    def _publish_task(self) -> None:
        with self._lock:
            msg = bc_msg.TaskState(
                seed=self._seed,
                instruction=self._sim.instruction,
                success=self._sim.success(),
                wrong_object=self._sim.wrong_cube(),
                elapsed=self._sim.time_s,
            )
            msg.header.stamp = self._stamp
        self._task_publisher.publish(msg)

    # Cameras -------------------------------------------------------------------------------

    def _run_cameras(self) -> None:
        """Take the cameras in turn, evenly spread, so that one never waits for the other."""
        scheduling.prefer_this_thread(CAMERA_PRIORITY)
        painter = Painter(self._sim.model, WIDTH, HEIGHT)
        rate_hz = CAMERA_HZ * len(CAMERAS)
        shot = 0
        while True:
            # A picture is taken right after the tick that it shows. Late ones are left out.
            tick = self._wait_for_tick(-(-shot * TICK_HZ // rate_hz))
            if self._stop.is_set():
                return
            shot = max(shot, tick * rate_hz // TICK_HZ)
            camera = CAMERAS[shot % len(CAMERAS)]
            raw = self._raw[camera].get_subscription_count() > 0
            compressed = self._compressed[camera].get_subscription_count() > 0
            if raw or compressed:
                self._shoot(painter, camera, raw=raw, compressed=compressed)
            shot += 1

    def _wait_for_tick(self, due: int) -> int:
        """Return the present tick as soon as it is `due` or later, or the node stops."""
        with self._ticked:
            self._ticked.wait_for(lambda: self._stop.is_set() or self._tick >= due)
            return self._tick

    def _shoot(self, painter: Painter, camera: str, *, raw: bool, compressed: bool) -> None:
        with self._lock:
            scene: GeometrySnapshot = self._sim.snapshot()
            stamp = self._stamp
        picture = self._faults.image(
            camera, lambda: self._flicker.apply(painter.render(scene, camera))
        )
        if picture is None:
            return
        if raw:
            self._raw[camera].publish(raw_message(picture, camera=camera, stamp=stamp))
        if compressed and raw:
            with contextlib.suppress(queue.Full):  # the machine is too slow for both
                shot = _Shot(camera, picture, stamp, time.monotonic() + COMPRESS_AFTER_S)
                self._to_compress.put_nowait(shot)
        elif compressed:
            self._send_compressed(camera, picture, stamp)

    def _run_compression(self) -> None:
        """Compress pictures when those who wait for the raw ones have had their turn."""
        scheduling.hold_back_this_thread()
        while (shot := self._to_compress.get()) is not None and not self._stop.is_set():
            self._stop.wait(max(0.0, shot.due_s - time.monotonic()))
            self._send_compressed(shot.camera, shot.picture, shot.stamp)

    def _send_compressed(self, camera: str, picture: Picture, stamp: Time) -> None:
        small = jpeg_message(picture, camera=camera, stamp=stamp)
        self._compressed[camera].publish(small)

    # Commands ------------------------------------------------------------------------------

    def _on_trajectory(self, data: bytes) -> None:
        # Read at the next tick: most are replaced before, and reading them holds the drawing up.
        self._trajectories.append((time.monotonic(), data))

    def _follow_newest(self) -> None:
        """Follow the newest trajectory that has come; an older one only if that is refused."""
        came = [self._trajectories.popleft() for _ in range(len(self._trajectories))]
        for now_s, data in reversed(came):
            try:
                self._follow(now_s, deserialize_message(data, JointTrajectory))
                return
            except SimError as error:
                self._refuse('joint_trajectory', error)

    def _follow(self, now_s: float, msg: JointTrajectory) -> None:
        start_s = now_s
        if msg.header.stamp.sec or msg.header.stamp.nanosec:
            ahead_ns = convert.to_ns(msg.header.stamp) - self.get_clock().now().nanoseconds
            start_s = time.monotonic() + ahead_ns / NS
        order = joint_order(msg.joint_names)
        times = [start_s + convert.to_ns(each.time_from_start) / NS for each in msg.points]
        positions = in_robot_order([each.positions for each in msg.points], order, 'positions')
        moving = any(len(each.velocities) for each in msg.points)
        velocities = (
            in_robot_order([each.velocities for each in msg.points], order, 'velocities')
            if moving
            else None
        )
        self._driver.follow(now_s=now_s, times_s=times, positions=positions, velocities=velocities)

    def _on_positions(self, msg: Float64MultiArray) -> None:
        try:
            with self._lock:
                self._follow_newest()
                self._driver.hold(msg.data)
        except SimError as error:
            self._refuse('position_commands', error)

    def _on_velocities(self, msg: Float64MultiArray) -> None:
        now_s = time.monotonic()
        try:
            with self._lock:
                self._follow_newest()
                self._driver.move(now_s=now_s, velocities=msg.data, for_s=VELOCITY_S)
        except SimError as error:
            self._refuse('velocity_commands', error)

    def _refuse(self, topic: str, error: SimError) -> None:
        # rclpy throttles by line of code: one topic's warning would silence the other's.
        now_s = time.monotonic()
        if now_s - self._refused_s.get(topic, -math.inf) > WARN_EVERY_S:
            self._refused_s[topic] = now_s
            self.get_logger().warning(f'a command on {topic} is ignored: {error}')

    def _on_reset(
        self, request: bc_srv.ResetScene.Request, response: bc_srv.ResetScene.Response
    ) -> bc_srv.ResetScene.Response:
        try:
            with self._lock:
                scene = self._sim.reset(request.seed, request.instruction)
                self._seed = scene.seed
                self._trajectories.clear()
                self._driver.hold(self._sim.setpoint)
                self._faults.reset()
        except SimError as error:
            response.success = False
            response.message = str(error)
            return response
        self._say_instruction()
        self._publish_task()
        response.success = True
        response.message = f'scene {scene.seed}'
        response.instruction = scene.instruction
        return response

    def _say_instruction(self) -> None:
        self._instruction_publisher.publish(String(data=self._sim.instruction))

    # Faults --------------------------------------------------------------------------------

    def _check_parameters(self, changed: Sequence[RosParameter]) -> SetParametersResult:
        try:
            fault_plan(self, changed)
        except SimError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _changed: Sequence[RosParameter]) -> None:
        self._faults.plan = fault_plan(self)


def _sleep_until(deadline_ns: int) -> None:
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / NS)


def main() -> int:
    """Run the node."""
    # The drawing takes many short calls; a shorter turn keeps the physics on time.
    sys.setswitchinterval(0.001)
    cv2.setNumThreads(1)
    scheduling.step_forward()
    return run_node(SimNode)


if __name__ == '__main__':
    sys.exit(main())
