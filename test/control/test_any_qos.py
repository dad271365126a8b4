# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A state is heard whatever QoS its publisher has; silence and a standing clock are explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
import os
import subprocess
import sys
import time
from typing import Any

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def graph(ros_domain: int) -> Iterator[Any]:
    """Yield a function that makes nodes, with `until` to spin them."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter

    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    executor = SingleThreadedExecutor(context=context)

    class Graph:
        def node(self, name: str, *, use_sim_time: bool = False) -> Any:
            made = rclpy.create_node(
                name,
                context=context,
                parameter_overrides=[Parameter('use_sim_time', value=use_sim_time)],
            )
            executor.add_node(made)
            return made

        def until(self, condition: Callable[[], Any]) -> None:
            deadline = time.monotonic() + 20.0
            while not condition():
                assert time.monotonic() < deadline, 'waited in vain'
                executor.spin_once(timeout_sec=0.05)

    yield Graph()
    executor.shutdown()
    context.try_shutdown()


def profiles() -> list[Any]:
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return [
        QoSProfile(depth=1, reliability=reliability, durability=durability)
        for reliability, durability in product(
            (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT),
            (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL),
        )
    ]


@pytest.mark.parametrize('listen', ['listen_latched', 'listen_to_any'])
@pytest.mark.parametrize('first', ['publisher', 'subscription'])
@pytest.mark.parametrize('number', range(4))
def test_a_state_of_any_qos_is_heard(graph: Any, listen: str, first: str, number: int) -> None:
    """Regressions pinned: an emergency stop that was published best effort was not heard."""
    from std_msgs.msg import Bool

    from bc_runtime.ros import latched_input

    talker, hearer = graph.node('talker'), graph.node('hearer')
    heard: list[bool] = []

    def publish() -> Any:
        return talker.create_publisher(Bool, 'estop', profiles()[number])

    publisher = publish() if first == 'publisher' else None
    getattr(latched_input, listen)(hearer, Bool, 'estop', lambda msg: heard.append(msg.data))
    publisher = publisher or publish()

    def said() -> bool:
        publisher.publish(Bool(data=True))
        return True in heard

    graph.until(said)


def test_publishers_of_every_qos_are_heard_beside_each_other(graph: Any) -> None:
    from std_msgs.msg import Int32

    from bc_runtime.ros.latched_input import listen_latched

    hearer = graph.node('hearer')
    heard: set[int] = set()
    listen_latched(hearer, Int32, 'state', lambda msg: heard.add(msg.data))
    publishers = [
        graph.node(f'talker_{i}').create_publisher(Int32, 'state', profile)
        for i, profile in enumerate(profiles())
    ]

    def said(number: int) -> bool:
        publishers[number].publish(Int32(data=number))
        return number in heard

    for number in range(len(publishers)):
        graph.until(lambda number=number: said(number))


def test_what_was_said_once_and_kept_is_still_heard(graph: Any) -> None:
    from std_msgs.msg import Bool

    from bc_runtime.ros.latched_input import listen_latched

    publisher = graph.node('talker').create_publisher(Bool, 'estop', profiles()[1])
    publisher.publish(Bool(data=True))
    heard: list[bool] = []
    listen_latched(graph.node('late'), Bool, 'estop', lambda msg: heard.append(msg.data))
    graph.until(lambda: heard)


def test_a_discovered_publisher_that_is_not_heard_is_named(graph: Any) -> None:
    from sensor_msgs.msg import JointState

    from bc_runtime.ros.unheard import unheard

    node = graph.node('hearer')
    assert unheard(node, 'joint_states') == ''
    graph.node('driver').create_publisher(JointState, 'joint_states', 1)
    graph.until(lambda: unheard(node, 'joint_states'))
    text = unheard(node, 'joint_states')
    assert '/driver publishes there and is discovered, but nothing arrives' in text
    assert '--ipc=host' in text
    assert 'fastdds_udp.xml' in text


def test_the_udp_profile_carries_messages(graph: Any, repository: Any) -> None:
    from std_msgs.msg import Bool

    heard: list[bool] = []
    graph.node('hearer').create_subscription(Bool, 'x', lambda msg: heard.append(msg.data), 1)
    program = (
        'import rclpy, time\n'
        'from std_msgs.msg import Bool\n'
        'rclpy.init()\n'
        'node = rclpy.create_node("by_udp")\n'
        'publisher = node.create_publisher(Bool, "x", 1)\n'
        'while True:\n'
        '    publisher.publish(Bool(data=True))\n'
        '    time.sleep(0.02)\n'
    )
    profile = str(repository / 'config' / 'fastdds_udp.xml')
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    env = {**os.environ, **dict.fromkeys((n for n in names if n in os.environ), profile)}
    talker = subprocess.Popen([sys.executable, '-c', program], env=env)
    try:
        graph.until(lambda: heard)
    finally:
        talker.kill()
        talker.wait()


def test_a_clock_that_does_not_come_is_named(graph: Any) -> None:
    from rosgraph_msgs.msg import Clock

    from bc_runtime.ros.steady_timer import steady_timer
    from bc_runtime.ros.unheard import clock_problem

    node = graph.node('follower', use_sim_time=True)
    ticks: list[int] = []
    steady_timer(node, 0.01, lambda: ticks.append(1))
    graph.until(lambda: len(ticks) > 3)
    assert '/clock is published by nobody' in clock_problem(node)
    assert '--clock' in clock_problem(node)
    publisher = graph.node('simulation').create_publisher(Clock, '/clock', 1)
    graph.until(lambda: 'is published, but has not arrived' in clock_problem(node))

    def begun() -> bool:
        message = Clock()
        message.clock.sec = 5
        publisher.publish(message)
        return clock_problem(node) == ''

    graph.until(begun)
    assert clock_problem(graph.node('other')) == ''


@pytest.mark.parametrize(
    ('sim_time', 'said'),
    [
        (True, 'use_sim_time is set and /clock is published by nobody'),
        (False, 'is discovered, but nothing arrives'),
    ],
)
def test_the_start_of_the_observation_ends_with_the_cause(
    graph: Any, ros_domain: int, repository: Any, sim_time: bool, said: str
) -> None:
    """Regressions pinned: without /clock the start-up timeout never came; with a driver in
    another container the advice was to start the driver.
    """
    from sensor_msgs.msg import JointState

    from bc_msgs.msg import PolicyInfo
    from bc_runtime.policy.spec_of import spec_of
    from bc_runtime.ros import qos

    node = graph.node('bench')
    info = node.create_publisher(PolicyInfo, 'policy_info', qos.LATCHED)
    node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    spec = spec_of('sim_arm_act', [repository / 'models'])
    info.publish(PolicyInfo(policy_id='a' * 64, name='x', spec_json=spec.to_json()))
    words = [f'use_sim_time:={str(sim_time).lower()}', 'startup_timeout_s:=3.0', 'robot:=sim_arm']
    command = [sys.executable, '-m', 'bc_runtime.ros.observation_node', '--ros-args']
    for word in [*words, 'autostart:=true']:
        command += ['-p', word]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain)},
    )
    graph.until(lambda: process.poll() is not None)
    _, error = process.communicate()
    assert process.returncode == 1, error
    assert said in error
