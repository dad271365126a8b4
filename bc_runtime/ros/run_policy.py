# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Action `~/run_policy`: start, give feedback, stop when the time is up or the client cancels.

The same start and stop as the services `~/start` and `~/stop`; nothing more can be done with it.
A goal that is withdrawn before the start (cancelled, its client gone, the controller stopped or
deactivated meanwhile) starts nothing, and a run that ends for any reason stops the robot.
"""

from __future__ import annotations

from collections.abc import Callable
import math
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
#: Feedback periods that a new instruction has to reach the policy, and a start to be seen.
_INSTRUCTION_PAUSES = 2
_START_PAUSES = 20
#: An accepted goal keeps others out for so long until it begins; its client may be gone [s].
_CLAIM_S = 1.0
_STARTABLE = frozenset({State.READY, State.HELD})
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
        self._node = node
        self._ask = ask
        self._result = result
        self._running = False
        self._claimed_s = -math.inf
        self._waiting: list[Future] = []
        self._instruction = node.create_publisher(String, robot.instruction_topic, qos.LATCHED)
        self._timer = steady_timer(node, 1.0 / _FEEDBACK_HZ, self._wake)
        name = node.resolve_service_name('~/run_policy')
        self._feedback = f'{name}/_action/feedback'
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
        now_s = time.monotonic()
        if self._running or now_s - self._claimed_s < _CLAIM_S:
            self._node.get_logger().warning('run_policy: a goal was rejected, another one runs')
            return GoalResponse.REJECT
        self._claimed_s = now_s
        return GoalResponse.ACCEPT

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(None)

    async def _pause(self) -> None:
        future: Future = Future()
        self._waiting.append(future)
        await future

    async def _execute(self, handle: Any) -> RunPolicy.Result:
        if self._running:
            handle.abort()
            return RunPolicy.Result(success=False, reason='another goal runs')
        self._running, self._claimed_s = True, -math.inf
        try:
            return await _Run(self, handle).go()
        finally:
            self._running = False

    # What a run needs ---------------------------------------------------------------------------

    def ask(self, event: Event) -> tuple[bool, str]:
        """Let the control loop decide."""
        return self._ask(event)

    @property
    def tick(self) -> TickResult | None:
        """Newest tick."""
        return self._result()

    @property
    def epoch(self) -> int | None:
        """Epoch of the newest tick."""
        tick = self._result()
        return None if tick is None else tick.epoch

    def listeners(self) -> int:
        """Return how many clients hear the feedback; each one subscribes to it."""
        return int(self._node.count_subscribers(self._feedback))

    async def pause(self) -> None:
        """Wait for the next feedback period."""
        await self._pause()

    async def instruct(self, text: str) -> None:
        """Give the policy an instruction and let it arrive."""
        self._instruction.publish(String(data=text))
        for _ in range(_INSTRUCTION_PAUSES):
            await self._pause()


class _Run:
    """One goal from its acceptance to its result."""

    def __init__(self, server: RunPolicyServer, handle: Any) -> None:
        self._server = server
        self._handle = handle
        self._goal = handle.request
        self._start_s: float | None = None
        self._moves = False
        self._heard = 0

    async def go(self) -> RunPolicy.Result:
        """Run until it ends; whatever ends it, the robot does not go on for this goal."""
        try:
            return await self._begin() or await self._watch()
        finally:
            self._stop()

    async def _begin(self) -> RunPolicy.Result | None:
        """Start the robot; return the result of a goal that starts nothing."""
        longest = self._goal.max_duration
        if not (math.isfinite(longest) and longest >= 0.0):
            return self._abort(f'max_duration must be finite and not negative, got {longest!r}')
        epoch, tick = self._server.epoch, self._server.tick
        if tick is not None and tick.state not in _STARTABLE:
            return self._abort(f'only from READY or HELD, the state is {tick.state}')
        gone = self._withdrawn()
        if not gone and self._goal.instruction:
            await self._server.instruct(self._goal.instruction)
            gone = self._withdrawn()
            if not gone and self._server.epoch != epoch:
                gone = 'the controller was stopped, reset or started meanwhile'
        if gone:
            return self._cancel() if self._handle.is_cancel_requested else self._abort(gone)
        accepted, text = self._server.ask(Event.START)
        if not accepted:
            return self._abort(text)
        self._start_s, self._moves = time.monotonic(), True
        # The start is a new epoch; until it is seen, the newest tick is an old one.
        await self._server.pause()
        for _ in range(_START_PAUSES):
            if self._server.epoch is None or self._server.epoch != epoch:
                return None
            await self._server.pause()
        self._stop()
        return self._abort('the control loop does not turn')

    async def _watch(self) -> RunPolicy.Result:
        """Give feedback until the run ends; return the result."""
        epoch = self._server.epoch
        while True:
            tick = self._server.tick
            if self._handle.is_cancel_requested:
                self._stop()
                return self._cancel()
            if tick is not None and tick.state not in _MOVING:
                self._moves = False
                return self._abort(f'{tick.state.value} {tick.stop_code}'.strip())
            if tick is not None and tick.epoch != epoch:
                self._moves = False
                return self._abort('the policy was started again by another request')
            gone = self._withdrawn()
            if gone:
                self._stop()
                return self._abort(gone)
            if 0.0 < self._goal.max_duration <= self._elapsed_s():
                self._stop()
                self._handle.succeed()
                return self._result(True, 'time is up')
            if tick is not None:
                self._handle.publish_feedback(
                    RunPolicy.Feedback(
                        state=tick.state.value,
                        elapsed=self._elapsed_s(),
                        remaining_horizon=tick.remaining_s,
                    )
                )
            await self._server.pause()

    def _stop(self) -> None:
        """Stop the robot if it moves for this goal."""
        if self._moves:
            self._moves = False
            self._server.ask(Event.STOP)

    def _withdrawn(self) -> str:
        """Return why nobody waits for this goal any more, empty if somebody does."""
        if self._handle.is_cancel_requested:
            return 'cancelled'
        now = self._server.listeners()
        self._heard = max(self._heard, now)
        return 'the client of the action is gone' if self._heard and not now else ''

    def _elapsed_s(self) -> float:
        return 0.0 if self._start_s is None else time.monotonic() - self._start_s

    def _cancel(self) -> RunPolicy.Result:
        self._handle.canceled()
        return self._result(True, 'cancelled')

    def _abort(self, reason: str) -> RunPolicy.Result:
        self._handle.abort()
        return self._result(False, reason)

    def _result(self, success: bool, reason: str) -> RunPolicy.Result:
        return RunPolicy.Result(success=success, reason=reason, duration=self._elapsed_s())
