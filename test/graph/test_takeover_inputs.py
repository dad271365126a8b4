# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Takeover by joystick and by service, leaders as trajectories, and what the bag keeps of it."""

from __future__ import annotations

from pathlib import Path

from harness import robots
import pytest
from sensor_msgs.msg import Joy
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from bc_msgs import srv as bc_srv
from bc_runtime.recording.reader import BagReader
from bc_runtime.ros import qos

BUTTON = 3


def robot_with(path: Path, **human: object) -> Path:
    robot = robots.gentle()
    robot['human'] = {'estop_topic': 'estop', 'heartbeat_s': 0.3, **human}
    return robots.write(path, robot)


class Leader:
    """Repeats a held button and a leader's pose."""

    def __init__(self, witness, joints, press) -> None:
        self.held = False
        self.pose = None
        self._press, self._joints = press, list(joints)
        self._publisher = witness.node.create_publisher(JointTrajectory, 'leader', qos.DATA)
        witness.node.create_timer(0.02, self._say)

    def _say(self) -> None:
        self._press(self.held)
        if self.pose is not None:
            point = JointTrajectoryPoint(positions=self.pose)
            self._publisher.publish(JointTrajectory(joint_names=self._joints, points=[point]))


def command(w):
    return w.wire.commands[-1].positions[0].tolist()


def engage(deployment, leader):
    """Take over from AUTO; a machine that is busy may have stopped the robot meanwhile."""
    w = deployment.witness
    for _ in range(4):
        deployment.auto()
        leader.pose = command(w)  # a leader must be heard before anybody may press
        w.ticks(10)
        leader.held = True
        w.until_state('TAKEOVER', 'HELD')
        leader.pose = command(w)
        for _ in range(20):
            leader.pose = command(w)
            w.ticks(5)
            if w.state == 'HUMAN':
                return
        leader.held = False
        w.ticks(20)
    raise AssertionError(w.tell())


def test_a_joystick_takes_over_and_the_bag_has_it_all(deploy, tmp_path):
    robot = robot_with(
        tmp_path / 'joy.yaml',
        takeover_type='joy', takeover_topic='joy', takeover_button=BUTTON,
        teleop_topic='leader', teleop_type='joint_trajectory',
    )  # fmt: skip
    deployment = deploy(robot=robot, record=True)
    w = deployment.witness
    buttons = w.node.create_publisher(Joy, 'joy', qos.SENSOR)

    def press(held):
        buttons.publish(Joy(buttons=[0] * BUTTON + [int(held), 0]))

    leader = Leader(w, deployment.joints, press)
    episode = w.start_episode('takeover')
    assert episode.success, episode.message
    engage(deployment, leader)
    leader.pose[0] += 0.1
    w.ticks(100)
    assert command(w)[0] == pytest.approx(leader.pose[0], abs=0.01)
    assert w.status.control_source == w.status.SOURCE_HUMAN
    leader.held = False
    w.until_state('HANDBACK')
    w.ask('controller/resume')
    w.until_state('AUTO', 'HELD')
    deployment.audit()
    w.call('controller/stop', bc_stop())
    w.call('recorder/stop_episode', bc_srv.StopEpisode.Request(outcome=1), bc_srv.StopEpisode)
    with BagReader(Path(episode.path)) as bag:
        counts = {name: topic.message_count for name, topic in bag.topics.items()}
        sources = {
            message.decode().control_source for message in bag.messages(['/controller/status'])
        }
    assert counts['/joy'] > 20
    assert counts['/leader'] > 20
    assert {1, 2} <= sources  # policy and human, tick by tick


def bc_stop():
    from std_srvs.srv import Trigger

    return Trigger.Request()


def test_a_service_takes_over_while_it_is_called(deploy, tmp_path):
    robot = robot_with(
        tmp_path / 'service.yaml',
        takeover_type='service', teleop_topic='leader', teleop_type='joint_trajectory',
    )  # fmt: skip
    deployment = deploy(robot=robot)
    w = deployment.witness
    answers = []

    def press(held):
        if held or leader_was_held[0]:
            leader_was_held[0] = held
            w.send('controller/takeover', SetBool.Request(data=held), SetBool).add_done_callback(
                lambda future: answers.append(future.result())
            )

    leader_was_held = [False]
    w.until(lambda: w.node.count_services('/controller/takeover'), 'the service')
    w.call('controller/takeover', SetBool.Request(data=False), SetBool)
    leader = Leader(w, deployment.joints, press)
    engage(deployment, leader)
    assert any(answer.success for answer in answers)
    leader.held = False
    w.until_state('HANDBACK', 'HELD')
    deployment.audit()
