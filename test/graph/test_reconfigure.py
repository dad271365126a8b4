# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes that were cleaned up can be configured again; a dry run minds its own business."""

from __future__ import annotations

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)


def change(w, node, transitions):
    for number in transitions:
        request = ChangeState.Request(transition=Transition(id=number))
        assert w.call(f'{node}/change_state', request, ChangeState).success, (node, number)


def test_every_node_can_be_configured_again(deploy):
    deployment = deploy()
    w = deployment.witness
    deployment.auto()
    for node in ('controller', 'observation', 'inference'):
        change(w, node, DOWN)
    w.drain()
    silent = len(w.statuses)
    assert w.node.count_publishers('/joint_trajectory') == 0
    assert w.node.count_services('/controller/start') == 0
    for node in ('inference', 'observation', 'controller'):
        change(w, node, UP)
    w.until(lambda: len(w.statuses) > silent, 'the controller again')
    w.until_state('READY')
    seen = len(w.chunks)
    deployment.auto()
    assert len(w.chunks) > seen
    deployment.audit()
    assert 'Traceback' not in ''.join(map(deployment.log, ('controller', 'inference')))


def test_a_dry_run_takes_another_commander_for_what_it_is(deploy):
    deployment = deploy(arguments={'dry_run': 'true'})
    w = deployment.witness
    other = w.node.create_publisher(JointTrajectory, 'joint_trajectory', 1)
    w.ticks(150)  # the controller looks twice a second
    for _ in range(4):
        if w.call('controller/start', start()).success:
            w.until_state('AUTO', 'HELD', 'READY')
        if w.state == 'AUTO':
            break
        w.ticks(50)
    assert w.state == 'AUTO', w.tell()
    w.ticks(150)
    assert 'DUPLICATE_COMMANDER' not in {event.code for event in w.events}
    assert not w.wire.commands
    w.node.destroy_publisher(other)


def start():
    from std_srvs.srv import Trigger

    return Trigger.Request()


@pytest.mark.parametrize('level', ['debug', 'error'])
def test_a_log_level_reaches_nodes_in_a_namespace(level):
    from bc_runtime.cli.processes import command_line
    from bc_runtime.deployment import describe

    for node in describe({'namespace': '/cell/left', 'log_level': level}).nodes:
        assert command_line(node)[-1] == f'cell.left.{node.name}:={level}'


def test_an_emergency_stop_outlives_cleanup_and_configure(deploy):
    """Regressions pinned: a new control loop knew nothing of the stop, and was READY."""
    deployment = deploy()
    w = deployment.witness
    deployment.auto()
    w.estop.publish(Bool(data=True))
    w.until_state('ESTOP')
    change(w, 'controller', DOWN)
    silent = len(w.statuses)
    change(w, 'controller', UP)
    w.until(lambda: len(w.statuses) > silent, 'the controller again')
    w.until_state('ESTOP')
    # A release that nobody was there to hear counts as little as none.
    assert not w.call('controller/reset', start()).success
    w.estop.publish(Bool(data=False))
    w.until(lambda: w.call('controller/reset', start()).success, 'a reset')
    w.until_state('READY')
    deployment.audit()
