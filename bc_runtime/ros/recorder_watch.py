# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RecorderWatch: tells the control loop how the recording goes, for its warnings."""

from __future__ import annotations

import threading
import time

from rclpy.node import Node

from bc_msgs import msg as bc_msg
from bc_runtime.control import ControlLoop
from bc_runtime.control.recording_monitor import RecordingMonitor
from bc_runtime.ros import convert, qos
from bc_runtime.ros.steady_timer import steady_timer

_LOOK_S = 0.5


class RecorderWatch:
    """See the module's docstring.

    Args:
        node: The controller.
        loop: Its control loop.
        lock: Held around every use of the loop.
    """

    def __init__(self, node: Node, loop: ControlLoop, lock: threading.Lock) -> None:
        self._loop = loop
        self._lock = lock
        self._monitor = RecordingMonitor()
        node.create_subscription(bc_msg.Episode, 'episode', self._on_episode, qos.LATCHED)
        steady_timer(node, _LOOK_S, self._look)

    def _on_episode(self, msg: bc_msg.Episode) -> None:
        self._monitor.update(
            over=convert.to_ns(msg.end) > 0,
            recording=msg.recording,
            problem=msg.problem,
            arrival_ns=time.monotonic_ns(),
        )

    def _look(self) -> None:
        with self._lock:
            for flag, text in self._monitor.flags(time.monotonic_ns()).items():
                self._loop.set_fact(flag, text)
