# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `sim_car`: the simulated lane car in real time, with the topics of a real one.

One thread drives and draws on absolute deadlines; the executor's thread takes commands and
services. A picture carries the stamp of the tick that it shows. As a real base does, the car stops
when no command has come for half a second.
"""

from __future__ import annotations

import sys
import threading
import time

import cv2
from geometry_msgs.msg import Twist
from sensor_msgs.msg import CompressedImage, Image

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.ros import qos
from bc_runtime.ros.parameters import Parameter, declare
from bc_runtime.ros.runtime import EXIT_FAILED, EXIT_OK, run_node
from bc_runtime.ros.sim_pictures import jpeg_message, raw_message
from bc_runtime.ros.untyped import PlainNode
from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_painter import CarPainter
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.flicker import Flicker

NS = 1_000_000_000
TICK_HZ = 60
PICTURE_EVERY = 2  # ticks
TASK_STATE_EVERY = 6  # ticks
COMMAND_TIMEOUT_S = 0.5
#: When the process was stopped for longer than this, simulated time is not made up for [s].
GIVE_UP_S = 0.25
WARN_EVERY_S = 2.0

PARAMETERS = (
    Parameter(
        name='seed',
        default=0,
        description='Track at the start',
        read_only=True,
        minimum=0,
        maximum=2**31,
    ),
)


class CarNode(PlainNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('sim_car')
        declare(self, PARAMETERS)
        self.exit_code = EXIT_OK
        self._sim = CarSim()
        self._flicker = Flicker()
        self._lock = threading.Lock()  # of the simulation, its painter and the last command
        self._commanded_s = time.monotonic()
        self._reset(self.get_parameter('seed').value)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='car')
        self._camera = self.create_publisher(Image, 'front/image_raw', qos.SENSOR)
        self._compressed = self.create_publisher(
            CompressedImage, 'front/image_raw/compressed', qos.SENSOR
        )
        self._task = self.create_publisher(bc_msg.TaskState, 'task_state', qos.DATA)
        self.create_subscription(Twist, 'cmd_vel', self._on_command, qos.COMMAND)
        self.create_service(bc_srv.ResetScene, '~/reset', self._on_reset)

    def begin(self) -> None:
        """Let time run."""
        self._thread.start()

    def finished(self) -> bool:
        """Return whether the thread ended by an error; then the process ends too."""
        ended = (
            not self._stop.is_set()
            and self._thread.ident is not None
            and not self._thread.is_alive()
        )
        if ended:
            self.exit_code = EXIT_FAILED
        return ended

    def request_stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def at_rest(self) -> bool:
        """Return whether the thread has ended."""
        return not self._thread.is_alive()

    def destroy_node(self) -> None:
        """End the thread, then destroy."""
        self.request_stop()
        if self._thread.ident is not None:
            self._thread.join()
        super().destroy_node()

    def _run(self) -> None:
        start_ns, tick = time.monotonic_ns(), 0
        while not self._stop.is_set():
            due = (time.monotonic_ns() - start_ns) * TICK_HZ // NS
            count = due - tick
            if count > GIVE_UP_S * TICK_HZ:
                self.get_logger().warning(
                    f'simulation is {count / TICK_HZ:.2f} s late (a busy or suspended machine); '
                    'the car stood still meanwhile',
                    throttle_duration_sec=WARN_EVERY_S,
                )
                count = 1
            if count > 0:
                self._advance(count)
                if due // PICTURE_EVERY > tick // PICTURE_EVERY:
                    self._shoot()
                if due // TASK_STATE_EVERY > tick // TASK_STATE_EVERY:
                    self._publish_task()
            tick = due
            left_ns = start_ns + (tick + 1) * NS // TICK_HZ - time.monotonic_ns()
            self._stop.wait(max(left_ns, 0) / NS)

    def _advance(self, count: int) -> None:
        with self._lock:
            if time.monotonic() - self._commanded_s > COMMAND_TIMEOUT_S:
                self._sim.command(0.0, 0.0)
            self._sim.step(count / TICK_HZ)
            self._stamp = self.get_clock().now().to_msg()

    def _shoot(self) -> None:
        raw = self._camera.get_subscription_count() > 0
        compressed = self._compressed.get_subscription_count() > 0
        if not raw and not compressed:
            return
        with self._lock:
            pose, painter, stamp = self._sim.pose, self._painter, self._stamp
        picture = self._flicker.apply(painter.render(pose))
        if raw:
            self._camera.publish(raw_message(picture, camera='front', stamp=stamp))
        if compressed:
            self._compressed.publish(jpeg_message(picture, camera='front', stamp=stamp))

    def _publish_task(self) -> None:
        with self._lock:
            msg = bc_msg.TaskState(
                seed=self._seed,
                instruction='drive a round inside the lane',
                success=self._sim.success(),
                wrong_object=self._sim.left_lane,
                elapsed=self._sim.time_s,
            )
            msg.header.stamp = self._stamp
        self._task.publish(msg)

    def _on_command(self, msg: Twist) -> None:
        try:
            with self._lock:
                self._sim.command(msg.linear.x, msg.angular.z)
                self._commanded_s = time.monotonic()
        except SimError as error:
            self.get_logger().warning(
                f'a command on cmd_vel is ignored: {error}', throttle_duration_sec=WARN_EVERY_S
            )

    def _on_reset(
        self, request: bc_srv.ResetScene.Request, response: bc_srv.ResetScene.Response
    ) -> bc_srv.ResetScene.Response:
        try:
            self._reset(request.seed)
        except SimError as error:
            response.success = False
            response.message = str(error)
            return response
        response.success = True
        response.message = f'track {request.seed}'
        return response

    def _reset(self, seed: int) -> None:
        with self._lock:
            self._sim.reset(seed)
            self._painter = CarPainter(self._sim.track)
            self._seed = seed
            self._stamp = self.get_clock().now().to_msg()


def main() -> int:
    """Run the node."""
    cv2.setNumThreads(1)
    return run_node(CarNode)


if __name__ == '__main__':
    sys.exit(main())
