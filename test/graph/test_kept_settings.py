# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""After a crash of inference what was set while it ran acts, not what it was started with."""

from __future__ import annotations

import signal

from harness import policies
from harness.command import start
import pytest
from rcl_interfaces.srv import GetParameters

from bc_msgs.msg import PolicyInfo


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Return another policy that moves for ever, in another folder that models may come from."""
    folder = tmp_path / 'others'
    folder.mkdir()
    monkeypatch.setenv('BC_MODEL_PATH', str(folder))
    return policies.orbit(folder / 'other.onnx', ranges={'state.joint_1': (-9.0, 9.0)})


def value_of(w, name):
    request = GetParameters.Request(names=[name])
    value = w.call('inference/get_parameters', request, GetParameters).values[0]
    return value.string_value or value.integer_value


def test_what_was_swapped_in_comes_back_after_a_crash(other, deployed, orbit):
    """Regressions pinned: the launch's policy acted after a restart, and the seed was lost."""
    command, w = deployed
    first = w.policy.policy_id
    w.set_parameters('inference', {'model': str(other), 'seed': 11})
    w.until(lambda: w.policy.policy_id != first and w.policy.state == PolicyInfo.STATE_READY,
            'the other policy')  # fmt: skip
    second = w.policy.policy_id
    for _ in range(2):
        pid, _ = command.node_signal('inference', signal.SIGKILL)
        w.until(lambda pid=pid: command.nodes().get('inference', pid) != pid, 'another process')
        w.policy = None
        w.until(lambda: w.policy is not None and w.policy.state == PolicyInfo.STATE_READY,
                'its policy')  # fmt: skip
        assert w.policy.policy_id == second
        assert (value_of(w, 'model'), value_of(w, 'seed')) == (str(other), 11)
        w.until_state('HELD', 'READY')
    assert 'with what was set:' in command.stderr
    assert 'POLICY_CHANGED' not in {event.code for event in w.events}
    start(w)
    # Where the first model lies, models may still come from.
    w.set_parameters('inference', {'model': str(orbit)})
    w.until(lambda: w.policy.policy_id == first, 'the first policy again')
    assert w.wire.report().violations == []
