# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The preflight of a running deployment: what it finds, and that it moves nothing."""

from __future__ import annotations

from harness.command import BcCommand
from trajectory_msgs.msg import JointTrajectory

from bc_msgs import srv as bc_srv


def ask(w):
    return w.call('controller/preflight', bc_srv.Preflight.Request(), bc_srv.Preflight)


def text_of(items, name):
    found = [item for item in items if item.startswith(f'{name}: ')]
    assert found, f'{name} is not among {items}'
    return found[0]


def test_a_healthy_robot_is_ready_and_does_not_move(deploy, tmp_path):
    deployment = deploy()
    w = deployment.witness
    for _ in range(4):  # on a busy machine a stream may really be slow
        commands = len(w.wire.commands)
        answer = ask(w)
        assert len(w.wire.commands) == commands, 'something moved'
        if answer.ready:
            break
    assert answer.ready, answer.failed
    passed = list(answer.passed)
    assert '640x480 rgb8' in text_of(passed, 'cameras/front')
    assert 'CPUExecutionProvider' in text_of(passed, 'provider')
    assert 'ms after its observation' in text_of(passed, 'inference')
    assert 'from the pose' in text_of(passed, 'first action')
    assert 'all 7' in text_of(passed, 'joints')
    assert w.state == 'READY'

    command = BcCommand(
        ['check', '--graph', 'yes', '--robot', 'sim_arm'], folder=tmp_path / 'bc',
        domain=deployment.domain,
    )  # fmt: skip
    w.until(lambda: not command.running, 'bc check')
    assert command.wait() in (0, 1), command.stderr
    assert 'preflight of the running deployment' in command.stdout
    assert 'cameras/front' in command.stdout

    # Then everything goes wrong at once.
    deployment.fault(camera='stop')
    other = w.node.create_publisher(JointTrajectory, 'joint_trajectory', 1)
    w.ticks(80)
    answer = ask(w)
    assert not answer.ready
    failed = list(answer.failed)
    assert 'witness also publishes' in text_of(failed, 'commander')
    assert 'needed 21.0 Hz' in text_of(failed, 'cameras/front')
    assert 'DUPLICATE_COMMANDER' in ' '.join(failed)
    w.node.destroy_publisher(other)
    deployment.fault(camera='none')
    w.until(lambda: w.observations[-1].valid, 'pictures again')
    deployment.auto()
    assert 'state: AUTO' in text_of(ask(w).failed, 'state')


def test_a_second_controller_of_the_same_name_is_noticed_by_both(deploy, gentle, tmp_path):
    """Regressions pinned: the preflight left out everybody who had its own name."""
    deployment = deploy()
    w = deployment.witness
    folder = tmp_path / 'second'
    second = BcCommand(
        ['--ros-args', '-r', '__node:=controller', '-p', f'robot:={gentle}'],
        folder=folder, domain=deployment.domain,
        program=('-m', 'bc_runtime.ros.controller_node'),
    )  # fmt: skip
    try:
        topic = '/joint_trajectory'
        w.until(lambda: w.node.count_publishers(topic) == 2, 'the second controller')
        w.until(lambda: 'another controller' in ' '.join(ask(w).failed), 'it in the answer')
        failed = ask(w).failed  # of either
        assert 'another controller also publishes on' in text_of(failed, 'commander')
        assert 'DUPLICATE_COMMANDER' in ' '.join(failed)
    finally:
        second.close()


def test_a_recorder_is_no_driver(deploy):
    """Regressions pinned: `1 listening` was the recorder, and no driver was there."""
    deployment = deploy(record=True)
    w = deployment.witness
    ears = lambda: {  # noqa: E731
        each.node_name for each in w.node.get_subscriptions_info_by_topic('/joint_trajectory')
    }
    w.until(lambda: 'recorder' in ears(), 'the recorder')
    assert any(item.startswith('command: ') for item in ask(w).passed)
    deployment.kill('sim_robot')
    (ours,) = (each for each in w.node.subscriptions if each.topic_name == '/joint_trajectory')
    w.node.destroy_subscription(ours)
    w.until(lambda: 'nobody but recorder' in ' '.join(ask(w).failed), 'the row', timeout_s=60.0)
