# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The lane car as a process, seen through its topics."""

from __future__ import annotations

from collections.abc import Callable
import math
import signal
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_painter import HEIGHT, WIDTH, CarPainter

pytestmark = [pytest.mark.ros, pytest.mark.slow]

DEADLINE_S = 30.0


def test_car_node_shows_the_road_and_obeys_a_twist_until_it_ends(ros_domain: int) -> None:
    from geometry_msgs.msg import Twist
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import CompressedImage, Image

    from bc_msgs.msg import TaskState
    from bc_msgs.srv import ResetScene
    from bc_runtime.ros import qos

    process = subprocess.Popen(
        ['env', '--default-signal=INT', sys.executable, '-m', 'bc_runtime.ros.car_node'],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('car_client', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    newest: dict[str, Any] = {}

    def keep(name: str) -> Callable[[Any], None]:
        return lambda message: newest.__setitem__(name, message)

    node.create_subscription(Image, 'front/image_raw', keep('image'), qos.SENSOR)
    small = node.create_subscription(
        CompressedImage, 'front/image_raw/compressed', keep('jpeg'), qos.SENSOR
    )
    node.create_subscription(TaskState, 'task_state', keep('task'), qos.DATA)
    commands = node.create_publisher(Twist, 'cmd_vel', qos.COMMAND)
    reset = node.create_client(ResetScene, 'sim_car/reset')

    def until(condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            executor.spin_once(timeout_sec=0.05)

    def picture() -> np.ndarray:
        newest.pop('image', None)
        until(lambda: 'image' in newest, 'a picture')
        image = newest['image']
        assert (image.height, image.width, image.encoding) == (HEIGHT, WIDTH, 'rgb8')
        return np.frombuffer(image.data, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)

    def away(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.abs(one.astype(int) - two).mean())

    try:
        until(lambda: reset.service_is_ready() and commands.get_subscription_count(), 'the car')
        future = reset.call_async(ResetScene.Request(seed=4))
        until(future.done, 'the reset')
        assert future.result().success
        until(lambda: 'task' in newest and newest['task'].seed == 4, 'the track')
        sim = CarSim()
        sim.reset(4)
        expected = CarPainter(sim.track).render(sim.pose)
        picture()  # one that may have been under way
        assert away(picture(), expected) < 1.0
        until(lambda: 'jpeg' in newest, 'a compressed picture')
        jpeg = np.frombuffer(newest['jpeg'].data, dtype=np.uint8)
        assert away(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1], expected) < 8.0
        node.destroy_subscription(small)
        bad = Twist()
        bad.linear.x = math.nan
        for _ in range(5):  # a picture between two, or the last one replaces the others
            commands.publish(bad)
            assert away(picture(), expected) < 1.0
        forward = Twist()
        forward.linear.x = 0.5
        until(lambda: commands.publish(forward) or away(picture(), expected) > 3.0, 'motion')

        def stands() -> bool:
            return away(picture(), picture()) < 0.01

        until(stands, 'the stop after the last command')  # no command comes any more
        assert not newest['task'].success
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, output
        assert 'a command on cmd_vel is ignored: expected finite velocities' in output
    finally:
        process.kill()
        process.communicate()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
