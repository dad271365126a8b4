# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Normal life: start, move, stop; and every way in which a user or a crash ends a deployment."""

from __future__ import annotations

import json
import os
import signal
import time

from harness.command import BcCommand, speed, start
from harness.reaction import clock_offset_ns, robot_rest_ns
from harness.strays import wait_until_none
from harness.wire import NS
from harness.witness import Witness
import pytest

from bc_runtime.recording.reader import BagReader
from bc_runtime.spec import RobotConfig

#: The launcher gives the controller 1.2 s to brake and the others 0.5 s after that.
END_S = 2.0


def test_start_align_auto_stop(live):
    w = live.witness
    begin = len(w.events)
    sent = len(w.wire.commands)
    w.ticks(20)
    assert len(w.wire.commands) == sent, 'nothing is sent before the start'
    live.auto()
    w.ticks(100)
    w.ask('controller/stop')
    w.until_event('READY', start=begin)
    assert w.transitions(begin) == [
        'ALIGN [STARTED]',
        'AUTO [ALIGNED]',
        'BRAKING [OPERATOR_STOP]',
        'READY [OPERATOR_STOP]',
    ]
    report = live.audit()
    assert report.commands > 100
    assert not w.wire.commands[-1].moving


def check_rest(w):
    """The robot has braked inside its limits, and its last command is at rest."""
    w.drain()
    report = w.wire.report()
    assert report.violations == []
    w.until(lambda: not w.wire.commands[-1].moving, 'the last command', timeout_s=3.0)
    w.until(lambda: robot_rest_ns(w), 'the robot itself to rest')


def until_ended(command, w, timeout_s=15.0):
    """Watch the wire until `bc` has ended; return when, monotonic."""
    w.watch_alone()
    w.until(lambda: not command.running, 'the end of bc', timeout_s=timeout_s)
    return time.monotonic_ns()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_row_38_signal_to_deploy(deployed, faults, domain, number):
    command, w = deployed
    at_ns = command.signal(number)
    ended_ns = until_ended(command, w)
    assert command.wait() == 0
    check_rest(w)
    assert 'Traceback' not in command.stderr
    assert wait_until_none(domain, timeout_s=0.0, ignore='sim_node') == {}
    assert (ended_ns - at_ns) / NS < END_S
    rest_s = (w.wire.commands[-1].sent_ns - clock_offset_ns() - at_ns) / NS
    faults.add(
        38,
        f'{number.name} to bc deploy',
        measured=f'at rest after {rest_s:.2f} s, exit code 0 {(ended_ns - at_ns) / NS:.2f} s',
        measured_s=rest_s,
        state='FINALIZING',
        report=w.wire.report(),
    )


def test_row_39_two_interrupts_to_deploy(deployed, domain):
    command, w = deployed
    command.signal(signal.SIGINT)
    w.ticks(1)
    command.signal(signal.SIGINT)
    until_ended(command, w)
    assert command.wait() == 0
    check_rest(w)
    assert 'Traceback' not in command.stderr
    assert wait_until_none(domain, timeout_s=0.0, ignore='sim_node') == {}


def test_killed_launcher_leaves_no_node(deployed, domain):
    command, w = deployed
    command.signal(signal.SIGKILL)
    until_ended(command, w)
    assert wait_until_none(domain, timeout_s=5.0, ignore='sim_node') == {}
    check_rest(w)
    assert 'Traceback' not in command.stderr


def test_inference_that_crashes_is_started_again_and_waits_for_the_operator(deployed):
    command, w = deployed
    first = command.nodes()['inference']
    os.kill(first, signal.SIGKILL)
    w.until(lambda: command.nodes().get('inference', first) != first, 'another inference process')
    w.until_state('HELD')
    w.drain()
    seen = len(w.observations)
    w.until(lambda: len(w.observations) > seen + 15, 'new observations')
    assert w.state == 'HELD', 'the robot may not go on by itself'
    check_rest(w)
    # Where a busy machine has held the robot before, the restart is told only after the resume.
    start(w, service='controller/resume')
    assert 'inference was ended by signal 9; started again' in command.stderr


@pytest.mark.parametrize('name', ['observation', 'controller'])
def test_a_node_that_dies_ends_the_deployment(deployed, domain, name):
    """What is not started again takes the others with it: the robot rests, and it says why."""
    command, w = deployed
    os.kill(command.nodes()[name], signal.SIGKILL)
    until_ended(command, w)
    assert command.wait() != 0
    assert f'{name} was ended by signal 9; stopping the others' in command.stderr
    assert 'Traceback' not in command.stderr
    assert wait_until_none(domain, timeout_s=0.0, ignore='sim_node') == {}
    if name == 'controller':
        w.until(lambda: robot_rest_ns(w), 'the robot itself to rest')
        assert w.wire.report().violations == []
    else:
        check_rest(w)


def test_a_fault_in_one_trial_of_a_demo_is_no_fault_of_the_next(tmp_path, gentle, orbit, domain):
    out = tmp_path / 'demo'
    command = BcCommand(
        [
            'demo', '--model', str(orbit), '--robot', str(gentle), '--episodes', '2', '--headless',
            '--timeout', '4', '--no-report', '--out', str(out),
        ],
        folder=tmp_path,
        domain=domain,
    )  # fmt: skip
    w = Witness(RobotConfig.from_file(gentle), domain=domain, alive=command.check_alive)
    try:
        w.until(lambda: w.state == 'AUTO' and speed(w) > 0.4, 'motion')
        w.set_parameters('sim_robot', {'faults.actuation': 'stuck'})
        w.until(lambda: w.state == 'FAULT', 'the fault')
        w.set_parameters('sim_robot', {'faults.actuation': 'none'})
        w.watch_alone()
        w.until(lambda: not command.running, 'the end of bc', timeout_s=30.0)
    finally:
        command.close()
        w.close()
    trials = json.loads((out / 'summary.json').read_text())['trials']
    assert trials[0]['termination'].startswith('FAULT: ')
    assert trials[1]['termination'] != trials[0]['termination']
    assert [e.code for e in w.events].count('STARTED') == 2


def test_interrupted_demo_leaves_a_readable_bag(tmp_path, gentle, orbit, domain):
    out = tmp_path / 'demo'
    command = BcCommand(
        [
            'demo', '--model', str(orbit), '--robot', str(gentle), '--episodes', '2', '--headless',
            '--out', str(out),
        ],
        folder=tmp_path,
        domain=domain,
    )  # fmt: skip
    w = Witness(RobotConfig.from_file(gentle), domain=domain, alive=command.check_alive)
    try:
        w.until(lambda: w.state == 'AUTO' and speed(w) > 0.4, 'motion')
        at_ns = command.signal(signal.SIGINT)
        ended_ns = until_ended(command, w)
        assert command.wait() == 130
        w.drain()
        assert w.wire.report().violations == []
        assert not w.wire.commands[-1].moving
        logs = ''.join(file.read_text(errors='replace') for file in (out / 'logs').iterdir())
        assert 'Traceback' not in logs + command.stderr
        assert 'interrupted; the robot was stopped' in command.stderr
    finally:
        command.close()
        w.close()
    assert wait_until_none(domain, timeout_s=0.0) == {}
    assert (ended_ns - at_ns) / NS < END_S
    (bag,) = (out / 'bags').iterdir()
    with BagReader(bag) as reader:
        assert reader.labels.termination == 'the deployment was stopped'
        counts = {name: topic.message_count for name, topic in reader.topics.items()}
        commands = [m.decode() for m in reader.messages(['/joint_trajectory'])]
    assert counts['/controller/status'] > 50
    assert counts['/front/image_raw/compressed'] > 5
    assert counts['/episode'] > 0
    # The bag shows the robot coming to rest.
    assert not any(commands[-1].points[0].velocities)
