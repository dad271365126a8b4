# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about an inference process that `bc deploy` supervises."""

from __future__ import annotations

import signal
from types import SimpleNamespace

from harness import policies
from harness.command import start
from harness.reaction import DT_S, stands_still, stop_after
from harness.wire import NS
import pytest
from std_msgs.msg import String

from bc_runtime.deployment import INFERENCE_RESTARTS
from bc_runtime.heartbeat import LEAST_PATIENCE_S

#: The plan of a chunk after its observation [s].
HORIZON_S = policies.CHUNK / policies.CONTROL_HZ
#: What the supervisor needs beyond its patience: a beat, its look, and what a busy machine adds.
KILL_MARGIN_S = 1.5


def until_replaced(command, w, pid):
    """Wait until another inference process has its policy ready."""
    w.until(lambda: command.nodes().get('inference', pid) != pid, 'another inference process')
    w.policy = None
    ready = lambda: w.policy is not None and w.policy.state == w.policy.STATE_READY  # noqa: E731
    w.until(ready, 'its policy')


def test_row_16_inference_dies_again_and_again(deployed, faults):
    """Three restarts within a minute: FAULT, the deployment lives, a reset and a start go on."""
    command, w = deployed
    events = w.mark()
    for _ in range(INFERENCE_RESTARTS):
        assert 'INFERENCE_RESTARTS' not in w.status.reason
        pid, _ = command.node_signal('inference', signal.SIGKILL)
        until_replaced(command, w, pid)
        assert w.state in ('HELD', 'FAULT', 'BRAKING'), w.tell()
    w.until_state('FAULT')
    code = w.events[-1].code
    assert code == 'INFERENCE_RESTARTS', w.transitions(events)
    assert not any('ALIGN' in each for each in w.transitions(events)[1:]), 'nothing went on'
    assert stands_still(SimpleNamespace(witness=w), 1.0).state == 'FAULT'
    refused = w.call('controller/start', _trigger())
    assert not refused.success and 'FAULT' in refused.message
    w.ask('controller/reset')
    start(w)
    # A fourth death within the minute: nobody takes its place, the others live on.
    events = w.mark()
    command.node_signal('inference', signal.SIGKILL)
    w.until_state('HELD')
    w.until(lambda: 'more than 3 times within 60 s' in command.stderr, 'the reason')
    assert stands_still(SimpleNamespace(witness=w), 1.0).state == 'HELD'
    assert command.running and 'inference' not in command.nodes()
    report = w.wire.report()
    assert report.violations == []
    faults.add(
        16,
        'kill -9, three times within a minute; reset, start, and once more',
        measured='FAULT after the third restart; the deployment lives on',
        code=code,
        state='FAULT',
        report=report,
    )
    command.signal(signal.SIGINT)
    w.watch_alone()
    assert command.wait() == 0


def _trigger():
    from std_srvs.srv import Trigger

    return Trigger.Request()


@pytest.fixture(scope='session')
def thinker(tmp_path_factory):
    """Return a policy whose graph does not return for a minute when told to think."""
    return policies.orbit(tmp_path_factory.mktemp('thinker') / 'thinker.onnx', think_s=60.0)


@pytest.fixture
def orbit(thinker):
    """Let every deployment of this file have that policy; it moves like the other one."""
    return thinker


@pytest.mark.parametrize('how', ['SIGSTOP', 'a graph that does not return'])
def test_row_17_inference_hangs_and_is_killed(deployed, faults, how):
    command, w = deployed
    events = w.mark()
    pid = command.nodes()['inference']
    if how == 'SIGSTOP':
        _, at_ns = command.node_signal('inference', signal.SIGSTOP)
    else:
        at_ns = w.now_ns()
        w.instruction.publish(String(data=policies.THINK_LONG))
    reaction = stop_after(
        SimpleNamespace(witness=w),
        at_ns,
        events=events,
        flags=faults.flags(17),
        then=('HELD', 'ALIGN'),
    )
    w.instruction.publish(String(data=policies.SCENES[0]))
    w.until(lambda: 'inference has not given a sign of life' in command.stderr, 'the kill')
    killed_s = (w.now_ns() - at_ns) / NS
    until_replaced(command, w, pid)
    w.until_state('HELD')
    state = stands_still(SimpleNamespace(witness=w), 1.0).state
    assert killed_s + 0.3 > LEAST_PATIENCE_S
    assert killed_s < LEAST_PATIENCE_S + HORIZON_S + KILL_MARGIN_S
    start(w)
    report = w.wire.report()
    assert report.violations == []
    faults.add(
        17,
        f'{how}; killed by bc deploy, another process takes its place, resume',
        measured=f'{reaction}; killed after {killed_s:.1f} s',
        measured_s=reaction.detect_s,
        bound_s=HORIZON_S + DT_S,
        code=reaction.code,
        state=state,
        report=report,
    )
