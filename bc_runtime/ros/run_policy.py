# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Action `~/run_policy`: start, give feedback, stop when the time is up or the client cancels.

The same start and stop as the services `~/start` and `~/stop`; nothing more can be done with it.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String

from bc_msgs.action import RunPolicy
from bc_runtime.control import TickResult
from bc_runtime.ros import qos
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.safety import Event, State
from bc_runtime.spec import RobotConfig

#: Feedback is given at this rate [Hz].
_FEEDBACK_HZ = 10.0
_MOVING = frozenset({State.ALIGN, State.AUTO, State.SLOW, State.BRAKING})

Ask = Callable[[Event], tuple[bool, str]]


class RunPolicyServer:
    """One run at a time.

    Args:
        node: Node that the action belongs to.
        robot: Its instruction topic is written when a goal names an instruction.
        ask: Lets the control loop decide about an event and returns its answer.
        result: Returns the newest tick, None before the first.
    """

    def __init__(
        self,
        node: Node,
        robot: RobotConfig,
        ask: Ask,
        result: Callable[[], TickResult | None],
    ) -> None:
        self._ask = ask
        self._result = result
        self._busy = False
        self._waiting: list[Future] = []
        self._instruction = node.create_publisher(String, robot.instruction_topic, qos.LATCHED)
        self._timer = steady_timer(node, 1.0 / _FEEDBACK_HZ, self._wake)
        self._server = ActionServer(
            node,
            RunPolicy,
            '~/run_policy',
            execute_callback=self._execute,
            goal_callback=self._on_goal,
            cancel_callback=lambda _goal: CancelResponse.ACCEPT,
        )

    def close(self) -> None:
        """End the action; the rest goes with the node's interfaces."""
        self._server.destroy()

    def _on_goal(self, _goal: RunPolicy.Goal) -> GoalResponse:
        return GoalResponse.REJECT if self._busy else GoalResponse.ACCEPT

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(None)

    async def _pause(self) -> None:
        future: Future = Future()
        self._waiting.append(future)
        await future

    async def _execute(self, handle: Any) -> RunPolicy.Result:
        self._busy = True
        try:
            return await self._run(handle)
        finally:
            self._busy = False

    async def _run(self, handle: Any) -> RunPolicy.Result:
        goal = handle.request
        if goal.instruction:
            self._instruction.publish(String(data=goal.instruction))
            await self._pause()
            await self._pause()
        accepted, text = self._ask(Event.START)
        start = time.monotonic()
        if not accepted:
            handle.abort()
            return RunPolicy.Result(success=False, reason=text)
        await self._pause()
        while True:
            elapsed = time.monotonic() - start
            tick = self._result()
            if handle.is_cancel_requested:
                self._ask(Event.STOP)
                handle.canceled()
                return RunPolicy.Result(success=True, reason='cancelled', duration=elapsed)
            if tick is not None and tick.state not in _MOVING:
                handle.abort()
                reason = f'{tick.state.value} {tick.stop_code}'.strip()
                return RunPolicy.Result(success=False, reason=reason, duration=elapsed)
            if goal.max_duration > 0.0 and elapsed >= goal.max_duration:
                self._ask(Event.STOP)
                handle.succeed()
                return RunPolicy.Result(success=True, reason='time is up', duration=elapsed)
            if tick is not None:
                handle.publish_feedback(
                    RunPolicy.Feedback(
                        state=tick.state.value,
                        elapsed=elapsed,
                        remaining_horizon=tick.remaining_s,
                    )
                )
            await self._pause()
