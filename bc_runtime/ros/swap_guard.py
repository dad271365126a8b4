# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""SwapGuard: sends a new policy away whose first chunks the controller rejects.

The controller decides (`bc_runtime.control.probation`) and stays with the old policy at once; this
asks the inference node to do the same. No answer is waited for: if none comes, the plan runs out
and the robot stops, as without inference.
"""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node
from std_srvs.srv import Trigger

from bc_runtime.control import ControlLoop
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.safety import Flag

#: How long the flag POLICY_ROLLED_BACK stays raised [s].
_TELL_S = 5.0


class SwapGuard:
    """Asks the inference node to roll back.

    Args:
        node: The controller.
        loop: Its control loop.
        lock: Held around every use of the loop.
    """

    def __init__(self, node: Node, loop: ControlLoop, lock: threading.Lock) -> None:
        self._node = node
        self._loop = loop
        self._lock = lock
        self._client = node.create_client(Trigger, 'inference/rollback')
        self._timer: Any = None

    def attend(self) -> None:
        """Act if the plan has sent a policy away."""
        if not self._waits():
            return
        with self._lock:
            back, self._loop.plan.rollback = self._loop.plan.rollback, None
            if back is None:
                return
            text = f'policy {back.policy_id[:12]} was rejected: {back.reason}'
            self._loop.set_fact(Flag.POLICY_ROLLED_BACK, text)
        self._node.get_logger().error(f'{text}; back to {back.back_to[:12]}')
        self._forget()
        self._timer = steady_timer(self._node, _TELL_S, self._forget)
        if self._client.service_is_ready():
            self._client.call_async(Trigger.Request()).add_done_callback(self._answered)
        else:
            self._node.get_logger().error(
                'inference/rollback is not served; set the parameter model of the inference node '
                'to the old policy'
            )

    def _waits(self) -> bool:
        return self._loop.plan.rollback is not None

    def _answered(self, future: Any) -> None:
        response = future.result()
        if response is not None and not response.success:
            self._node.get_logger().error(f'inference/rollback: {response.message}')

    def _forget(self) -> None:
        if self._timer is None:
            return
        self._node.destroy_timer(self._timer)
        self._timer = None
        with self._lock:
            self._loop.set_fact(Flag.POLICY_ROLLED_BACK, '')
