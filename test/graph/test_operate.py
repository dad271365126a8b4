# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc start`, `stop`, `resume`, `reset` and `swap` against a running deployment."""

from __future__ import annotations

from harness.command import BcCommand
import onnx
import pytest


@pytest.fixture
def bc(deploy, tmp_path):
    """Return (deployment, run): run('start') gives (exit code, stdout, stderr)."""
    deployment = deploy()
    count = iter(range(100))

    def run(*words):
        command = BcCommand(words, folder=tmp_path / f'bc{next(count)}', domain=deployment.domain)
        deployment.witness.until(lambda: not command.running, f'the end of bc {words}')
        return command.wait(), command.stdout, command.stderr

    return deployment, run


def test_an_operator_needs_no_ros2_command(bc, orbit):
    deployment, run = bc
    w = deployment.witness
    code, _, error = run('resume')
    assert code == 1
    assert 'READY' in error
    for _ in range(4):  # a busy machine may have no valid observation just now
        code, out, error = run('start')
        if code == 0:
            break
        w.ticks(100)
    assert code == 0, error
    assert 'started' in out or 'resumed' in out

    other = onnx.load(str(orbit))
    other.doc_string = 'another file'
    beside = orbit.parent / 'beside.onnx'
    onnx.save(other, str(beside))
    first = w.policy.policy_id
    code, out, error = run('swap', str(beside))
    assert code == 0, error
    assert 'is in charge' in out
    w.until(lambda: w.policy.policy_id not in ('', first), 'the other policy')
    code, _, error = run('swap', 'nowhere.onnx')
    assert code == 1
    assert 'nowhere.onnx' in error
    code, out, error = run('swap', '--back')
    assert code == 0, error
    w.until(lambda: w.policy.policy_id == first, 'the first policy')
    assert run('swap')[0] == 2

    code, out, _ = run('stop')
    assert code == 0
    w.until_state('READY')
    assert run('reset')[0] == 0
    code, _, error = run('start', '--namespace', 'elsewhere')
    assert code == 2
    assert '/elsewhere/controller/start' in error
    deployment.audit()
