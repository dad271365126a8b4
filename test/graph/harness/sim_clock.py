# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""SimClock: publishes /clock, and sets it back when asked to."""

from __future__ import annotations

import threading
import time

from rclpy.node import Node
from rosgraph_msgs.msg import Clock

NS = 1_000_000_000
RATE_HZ = 400


class SimClock:
    """Simulated time that runs as fast as real time, from a thread of its own."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(Clock, '/clock', 10)
        self._offset_ns = 1000 * NS - time.monotonic_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='clock', daemon=True)
        self._thread.start()

    def jump(self, seconds: float) -> int:
        """Step the time; return when, on the monotonic clock [ns]."""
        self._offset_ns += round(seconds * NS)
        return time.monotonic_ns()

    def close(self) -> None:
        """Let time stand still."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        msg = Clock()
        while not self._stop.wait(1.0 / RATE_HZ):
            now_ns = time.monotonic_ns() + self._offset_ns
            msg.clock.sec, msg.clock.nanosec = divmod(now_ns, NS)
            self._publisher.publish(msg)
