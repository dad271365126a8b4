# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder as its own process, on a graph of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bc_runtime.recording.labels import Outcome
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.topic_flow import parse_audit

pytestmark = pytest.mark.ros
FLOOD = 2000  # more messages than wait for a process that is stopped
TIMEOUT_S = 30.0
TOPICS = (
    "['joint_states:sensor_msgs/msg/JointState', 'instruction', 'policy_info',"
    " 'camera', 'never:std_msgs/msg/Empty']"
)


class Graph:
    """Publishers of a small deployment and a client of the recorder."""

    def __init__(self, directory):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import CompressedImage, JointState
        from std_msgs.msg import String

        from bc_msgs import msg as bc_msg
        from bc_msgs import srv as bc_srv
        from bc_runtime.ros import qos

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('graph', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.joint_states = self.node.create_publisher(JointState, 'joint_states', qos.DATA)
        self.instruction = self.node.create_publisher(String, 'instruction', qos.LATCHED)
        self.policy = self.node.create_publisher(bc_msg.PolicyInfo, 'policy_info', qos.LATCHED)
        self.camera = self.node.create_publisher(CompressedImage, 'camera', qos.SENSOR)
        self.instruction.publish(String(data='put the red cube in the tray'))
        self.policy.publish(bc_msg.PolicyInfo(name='act', policy_id='cafe'))
        self.episodes = []
        self.node.create_subscription(bc_msg.Episode, 'episode', self.episodes.append, qos.LATCHED)
        self.starter = self.node.create_client(bc_srv.StartEpisode, 'recorder/start_episode')
        self.stopper = self.node.create_client(bc_srv.StopEpisode, 'recorder/stop_episode')
        self.process = subprocess.Popen(
            [
                sys.executable, '-m', 'bc_runtime.ros.recorder_node', '--ros-args',
                '-p', f'topics:={TOPICS}', '-p', f'directory:={directory}',
                '-p', 'disk_stop_gb:=0.0', '-p', 'disk_warn_gb:=0.0',
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.sent = 0

    def wait_for(self, condition, what):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f'{what} did not come: {self.output()}'
            assert self.process.poll() is None, f'the recorder ended: {self.output()}'
            self.executor.spin_once(timeout_sec=0.02)

    def wait_until_listening(self):
        publishers = (self.joint_states, self.instruction, self.policy, self.camera)
        self.wait_for(
            lambda: all(p.get_subscription_count() for p in publishers), 'the subscriptions'
        )

    def call(self, client, **fields):
        self.wait_for(client.service_is_ready, 'the service')
        future = client.call_async(client.srv_type.Request(**fields))
        self.wait_for(future.done, 'the response')
        return future.result()

    def publish(self, count):
        from sensor_msgs.msg import CompressedImage, JointState

        for _ in range(count):
            self.sent += 1
            message = JointState(name=['a'], position=[float(self.sent)])
            message.header.stamp = self.node.get_clock().now().to_msg()
            self.joint_states.publish(message)
            self.camera.publish(CompressedImage(format='jpeg', data=bytes([self.sent]) * 5))
            self.executor.spin_once(timeout_sec=0.005)

    def wait_until_written(self, messages):
        self.wait_for(
            lambda: self.episodes and self.episodes[-1].messages >= messages, 'the messages'
        )

    def end(self, number):
        """Signal the recorder; return exit code, output and the time it took [s]."""
        start = time.monotonic()
        os.killpg(self.process.pid, number)
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, output, time.monotonic() - start

    def output(self):
        self.process.kill()
        return self.process.communicate()[0]

    def close(self):
        import rclpy

        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.process.stdout.close()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def graph(ros_domain, tmp_path):
    graph = Graph(tmp_path / 'bags')
    yield graph
    graph.close()


def test_recorder_writes_one_labeled_bag_per_episode(graph, tmp_path):
    graph.wait_until_listening()
    graph.publish(5)  # between episodes: not recorded
    started = graph.call(
        graph.starter, id='first', seed=4, labels=['table=left', 'operator=Ada = Eve']
    )
    assert started.success, started.message
    assert started.path == str(tmp_path / 'bags' / 'first')
    assert '/never' in started.message
    graph.publish(20)
    graph.wait_until_written(40)
    repeated = graph.call(
        graph.starter, id='first', seed=4, labels=['table=left', 'operator=Ada = Eve']
    )
    assert repeated.success, 'asked again for want of an answer: the same one'
    assert repeated.path == started.path
    other = graph.call(graph.starter, id='first', seed=5)
    assert not other.success, 'another episode of the same name'
    second = graph.call(graph.starter, id='second', seed=-1)
    assert not second.success
    assert "'first' is still being recorded" in second.message
    stopped = graph.call(graph.stopper, outcome=1, termination='success', note='clean grasp')
    assert stopped.success
    assert stopped.episode.policy_id == 'cafe'
    assert (stopped.episode.dropped, stopped.episode.lost, stopped.episode.losses) == (0, 0, '')
    again = graph.call(graph.starter, id='first', seed=-1)
    assert not again.success
    assert 'exists already' in again.message
    unnamed = graph.call(graph.starter, instruction='put the blue cube in the tray', seed=-1)
    assert unnamed.id.startswith('episode_2')
    graph.call(graph.stopper, outcome=2)
    not_recording = graph.call(graph.stopper, outcome=2)
    assert not not_recording.success
    assert 'start_episode' in not_recording.message

    with BagReader(started.path) as bag:
        assert bag.labels.outcome is Outcome.SUCCESS
        assert bag.labels.instruction == 'put the red cube in the tray'
        assert (bag.labels.policy_id, bag.labels.seed) == ('cafe', 4)
        assert bag.labels.extra == {'table': 'left', 'operator': 'Ada = Eve'}
        assert {name: topic.message_count for name, topic in bag.topics.items()} == {
            '/joint_states': 20,
            '/camera': 20,
            '/instruction': 1,
            '/policy_info': 1,
            '/episode': bag.topics['/episode'].message_count,
        }
        audits = parse_audit(bag.custom_data['bc.audit'])
        assert bag.custom_data['bc.lost'] == '0'
        assert {name: audits[name].received for name in ('/joint_states', '/camera')} == {
            '/joint_states': 20,
            '/camera': 20,
        }
        assert audits['/joint_states'].largest_gap_s > 0
        assert bag.topics['/camera'].qos[0].reliability == 'best_effort'
        assert bag.topics['/instruction'].qos[0].latched
        # What was known before the start stands at the start.
        first = [next(bag.messages([name])) for name in ('/instruction', '/policy_info')]
        assert [m.log_time_ns for m in first] == [bag.start_ns] * 2
        assert first[0].decode().data == 'put the red cube in the tray'
        episodes = [m.decode() for m in bag.messages(['/episode'])]
        assert (episodes[0].recording, episodes[-1].recording) == (True, False)
        assert episodes[-1].outcome == 1
        positions = []
        for message in bag.messages(['/joint_states']):
            state = message.decode()
            positions.append(state.position[0])
            age_ns = message.log_time_ns - state.header.stamp.sec * 10**9
            assert abs(age_ns - state.header.stamp.nanosec) < 10**9
        assert positions == [float(n) for n in range(6, 26)]
        images = [bytes(m.decode().data) for m in bag.messages(['/camera'])]
        assert images == [bytes([n]) * 5 for n in range(6, 26)]
    with BagReader(unnamed.path) as bag:
        assert bag.labels.outcome is Outcome.FAILURE
        assert bag.labels.instruction == 'put the blue cube in the tray'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_recorder_closes_its_bag_on_a_signal(graph, number):
    graph.wait_until_listening()
    started = graph.call(graph.starter, id='cut', seed=-1)
    graph.publish(10)
    graph.wait_until_written(20)

    code, output, seconds = graph.end(number)

    assert code == 0, output
    assert 'Traceback' not in output
    assert seconds < TIMEOUT_S  # the time itself is measured by the benchmarks
    with BagReader(started.path) as bag:
        assert bag.labels.outcome is Outcome.ABORTED
        assert bag.labels.termination == 'the deployment was stopped'
        assert bag.topics['/joint_states'].message_count == 10


def test_recorder_counts_what_was_lost_while_it_was_held_up(graph):
    """Regressions pinned: frames that never came to the recorder were in no count: `dropped` said
    0, and the bag lacked what the policy had seen."""
    from sensor_msgs.msg import CompressedImage

    def show(numbers):
        for number in numbers:
            graph.camera.publish(CompressedImage(format=str(number)))

    graph.wait_until_listening()
    started = graph.call(graph.starter, id='held')
    show(range(5))
    graph.wait_until_written(5)
    os.kill(graph.process.pid, signal.SIGSTOP)
    try:
        show(range(5, FLOOD))
    finally:
        os.kill(graph.process.pid, signal.SIGCONT)
    graph.wait_for(
        lambda: show([FLOOD]) or (graph.episodes and graph.episodes[-1].lost), 'the loss'
    )
    stopped = graph.call(graph.stopper, outcome=1)
    episode = stopped.episode
    assert episode.dropped == 0
    assert ' of /camera (most in a row: ' in episode.losses
    with BagReader(started.path) as bag:
        audit = parse_audit(bag.custom_data['bc.audit'])['/camera']
        kept = [int(m.decode().format) for m in bag.messages(['/camera'])]
    assert audit.received == len(kept)
    assert audit.lost >= FLOOD + 1 - len(set(kept)) > 0
    assert 0 < audit.largest_loss <= audit.lost
    assert int(bag.custom_data['bc.lost']) == episode.lost >= audit.lost


def test_recorder_steps_back_behind_control(graph):
    graph.wait_until_listening()
    assert os.getpriority(os.PRIO_PROCESS, graph.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_recorder_without_topics_ends_with_a_reason(ros_domain):
    process = subprocess.run(
        [sys.executable, '-m', 'bc_runtime.ros.recorder_node'],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert process.returncode != 0
    assert "parameter 'topics' is empty" in process.stdout + process.stderr
