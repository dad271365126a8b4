# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""CommanderWatch: two that command one robot are a danger; stop, or do not start."""

from __future__ import annotations

import threading

from rclpy.node import Node

from bc_runtime.control import ControlLoop
from bc_runtime.safety import Flag

#: How often to look for other publishers on the command topic [s].
_LOOK_S = 0.5


class CommanderWatch:
    """Looks for other publishers on the command topic.

    Args:
        node: The controller.
        loop: Its control loop.
        lock: Held around every use of the loop.
        topic: The command topic.
    """

    def __init__(self, node: Node, loop: ControlLoop, lock: threading.Lock, topic: str) -> None:
        self._node = node
        self._loop = loop
        self._lock = lock
        self._topic = topic
        node.create_timer(_LOOK_S, self._look)

    def _look(self) -> None:
        others = self._node.count_publishers(self._topic) - 1
        text = f'{others} more on {self._topic}' if others > 0 else ''
        with self._lock:
            self._loop.set_fact(Flag.DUPLICATE_COMMANDER, text)
