# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""InferenceWatch: tells the control loop what becomes of the inference process and its policy.

Nothing of this stops a motion in time: the middleware learns of a death late. A plan that runs out
does. What is told here keeps the robot from going on with an inference that dies again and again,
or whose policy raises.
"""

from __future__ import annotations

import threading
import time

from rclpy.node import Node

from bc_msgs import msg as bc_msg
from bc_runtime.control import ControlLoop
from bc_runtime.deployment import INFERENCE_RESTARTS, RESTART_WINDOW_S
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.safety import Flag, RestartCount

#: The part of an endpoint's id that all endpoints of a process share (a GUID prefix of DDS).
_PROCESS_BYTES = 12
_LOOK_S = 0.5


class InferenceWatch:
    """See the module's docstring.

    Args:
        node: The controller.
        loop: Its control loop.
        lock: Held around every use of the loop.
    """

    def __init__(self, node: Node, loop: ControlLoop, lock: threading.Lock) -> None:
        self._node = node
        self._loop = loop
        self._lock = lock
        self._ready: tuple[int, str] | None = None  # process id, policy id
        self._count = RestartCount(most=INFERENCE_RESTARTS, window_s=RESTART_WINDOW_S)
        steady_timer(node, _LOOK_S, self._look)

    def _look(self) -> None:
        """Count the processes that offer a policy."""
        offers = self._node.get_publishers_info_by_topic('policy_info')
        processes = {bytes(each.endpoint_gid)[:_PROCESS_BYTES] for each in offers}
        if too_many := self._count.see(processes, time.monotonic()):
            self._raise(too_many)

    def _raise(self, too_many: str) -> None:
        self._node.get_logger().error(f'inference: {too_many}')
        with self._lock:
            # Once for certain, also if the new process is ready before the next tick.
            self._loop.fail(Flag.INFERENCE_RESTARTS, too_many)
            self._loop.set_fact(Flag.INFERENCE_RESTARTS, self._count.text)

    def on_policy_info(self, msg: bc_msg.PolicyInfo) -> None:
        """Take what the inference node says about its policy."""
        if msg.state == msg.STATE_BROKEN:
            with self._lock:
                self._loop.fail(Flag.POLICY_FAILED, msg.message)
            return
        self._look()
        if too_many := self._count.hear(msg.pid, msg.restarts):
            self._raise(too_many)
        if msg.state == msg.STATE_READY:
            self._compare(msg)
            self._count.ready()
            with self._lock:
                self._loop.set_fact(Flag.INFERENCE_RESTARTS, '')

    def _compare(self, msg: bc_msg.PolicyInfo) -> None:
        """Stop a robot whose policy another process has exchanged without being asked to.

        A swap happens within one process. A supervisor lets the next process go on with what was
        swapped in; whoever else starts one may start it with another policy.
        """
        before, self._ready = self._ready, (msg.pid, msg.policy_id)
        if before is None or msg.pid == before[0] or msg.policy_id == before[1]:
            return
        text = f'{msg.name} {msg.policy_id[:12]} in the place of {before[1][:12]}'
        self._node.get_logger().error(f'another policy: {text}')
        with self._lock:
            self._loop.fail(Flag.POLICY_CHANGED, text)
