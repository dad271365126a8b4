# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The action run_policy over DDS: what is withdrawn starts nothing, what has begun is stopped.

Regressions pinned: a goal that was cancelled before it began still started the robot, because the
cancel was looked at only after the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import math
from types import SimpleNamespace
from typing import Any

from action_msgs.msg import GoalStatus
import pytest
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor

from bc_msgs.action import RunPolicy
from bc_runtime.resources import robot_file
from bc_runtime.ros.run_policy import RunPolicyServer
from bc_runtime.safety import Event, State
from bc_runtime.spec import RobotConfig

#: Longest wait for something that must happen [spins of 20 ms].
PATIENCE = 500


@dataclass
class Loop:
    """Stands for the control loop: what is asked of it, and where it is."""

    asked: list[Event] = field(default_factory=list)
    state: State = State.READY
    epoch: int = 1
    stop_code: str = ''

    def ask(self, event: Event) -> tuple[bool, str]:
        self.asked.append(event)
        if event is Event.START:
            if self.state not in (State.READY, State.HELD):
                return False, f'only from READY, the state is {self.state}'
            self.state, self.epoch = State.AUTO, self.epoch + 1
        elif event is Event.STOP:
            self.state = State.READY
        return True, 'ok'

    def tick(self) -> Any:
        return SimpleNamespace(
            state=self.state, epoch=self.epoch, stop_code=self.stop_code, remaining_s=0.5
        )


class Graph:
    """A server and its clients, in one executor."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.node = rclpy.create_node('controller')
        robot = RobotConfig.from_file(robot_file('sim_arm'))
        self.server = RunPolicyServer(self.node, robot, self.loop.ask, self.loop.tick)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.nodes: list[Any] = []
        self.client = self.add_client('client')

    def add_client(self, name: str) -> ActionClient:
        node = rclpy.create_node(name)
        self.nodes.append(node)
        self.executor.add_node(node)
        client = ActionClient(node, RunPolicy, 'controller/run_policy')
        self.until(client.server_is_ready)
        self.until(lambda: self.server.listeners() >= len(self.nodes))
        return client

    def until(self, condition: Callable[[], Any]) -> Any:
        for _ in range(PATIENCE):
            found = condition()
            if found:
                return found
            self.executor.spin_once(timeout_sec=0.02)
        raise AssertionError('it did not happen')

    def send(self, client: ActionClient | None = None, **goal: Any) -> Any:
        future = (client or self.client).send_goal_async(RunPolicy.Goal(**goal))
        self.until(future.done)
        return future.result()

    def result(self, handle: Any) -> Any:
        future = handle.get_result_async()
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self.server.close()
        self.executor.shutdown()
        for node in (*self.nodes, self.node):
            node.destroy_node()


@pytest.fixture
def graph() -> Iterator[Graph]:
    rclpy.init()
    graph = Graph()
    yield graph
    graph.close()
    rclpy.try_shutdown()


def test_a_goal_that_is_cancelled_before_it_began_starts_nothing(graph):
    handle = graph.send(instruction='pick the red cube')
    handle.cancel_goal_async()
    answer = graph.result(handle)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert answer.result.reason == 'cancelled'
    assert graph.loop.asked == []


def test_a_goal_that_is_cancelled_while_it_runs_stops_the_robot(graph):
    handle = graph.send()
    graph.until(lambda: graph.loop.state is State.AUTO)
    handle.cancel_goal_async()
    assert graph.result(handle).status == GoalStatus.STATUS_CANCELED
    assert graph.loop.asked == [Event.START, Event.STOP]


def test_a_second_goal_is_rejected_and_changes_nothing(graph):
    first = graph.send(instruction='one')
    second = graph.send(instruction='two')
    assert first.accepted
    assert not second.accepted
    graph.until(lambda: graph.loop.state is State.AUTO)
    assert not graph.send(graph.add_client('other')).accepted
    first.cancel_goal_async()
    graph.result(first)
    assert graph.loop.asked == [Event.START, Event.STOP]
    graph.send(max_duration=0.2)
    graph.until(lambda: graph.loop.asked.count(Event.START) == 2)


@pytest.mark.parametrize('change', ['epoch', 'state'])
def test_a_goal_does_not_start_what_was_stopped_or_started_while_it_waited(graph, change):
    handle = graph.send(instruction='pick the red cube')
    graph.loop.epoch += 1
    if change == 'state':
        graph.loop.state = State.INACTIVE
    answer = graph.result(handle)
    assert not answer.result.success
    assert graph.loop.asked == []


@pytest.mark.parametrize('state', [State.AUTO, State.HUMAN, State.FAULT, State.INACTIVE])
def test_a_goal_that_comes_in_another_state_gives_no_instruction(graph, state):
    graph.loop.state = state
    said: list[str] = []
    from std_msgs.msg import String

    from bc_runtime.ros import qos

    graph.nodes[0].create_subscription(
        String, 'instruction', lambda msg: said.append(msg.data), qos.LATCHED
    )
    answer = graph.result(graph.send(instruction='another task'))
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert state.value in answer.result.reason
    assert graph.loop.asked == []
    assert said == []


@pytest.mark.parametrize('begun', [False, True])
def test_a_client_that_is_gone_starts_nothing_and_leaves_nothing_moving(graph, begun):
    graph.send(instruction='' if begun else 'pick the red cube')
    if begun:
        graph.until(lambda: graph.loop.state is State.AUTO)
    node = graph.nodes.pop()
    graph.executor.remove_node(node)
    graph.client.destroy()
    node.destroy_node()
    graph.until(lambda: not graph.server.listeners())
    if begun:
        graph.until(lambda: Event.STOP in graph.loop.asked)
    graph.until(lambda: not graph.server._running)
    assert graph.loop.asked == ([Event.START, Event.STOP] if begun else [])


def test_the_time_is_up(graph):
    answer = graph.result(graph.send(max_duration=0.15))
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.reason == 'time is up'
    assert graph.loop.asked == [Event.START, Event.STOP]


@pytest.mark.parametrize('longest', [math.nan, math.inf, -1.0])
def test_a_duration_that_is_none_is_refused(graph, longest):
    answer = graph.result(graph.send(max_duration=longest))
    assert 'max_duration' in answer.result.reason
    assert graph.loop.asked == []


@pytest.mark.parametrize('state', [State.HELD, State.HUMAN, State.ESTOP, State.INACTIVE])
def test_a_robot_that_has_stopped_or_is_in_other_hands_is_left_alone(graph, state):
    handle = graph.send()
    graph.until(lambda: graph.loop.state is State.AUTO)
    graph.loop.state, graph.loop.stop_code = state, 'WHY'
    answer = graph.result(handle)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.reason == f'{state.value} WHY'
    assert graph.loop.asked == [Event.START]


def test_a_run_that_somebody_else_started_is_not_stopped_when_the_time_is_up(graph):
    handle = graph.send(max_duration=100.0)
    graph.until(lambda: graph.loop.state is State.AUTO)
    for _ in range(20):
        graph.executor.spin_once(timeout_sec=0.02)
    graph.loop.epoch += 1
    answer = graph.result(handle)
    assert 'another request' in answer.result.reason
    assert graph.loop.asked == [Event.START]
