# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc demo --takeover`: a scripted human in the real graph, in the summary and in the bag."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
import subprocess

from harness.command import BcCommand
import pytest

from bc_runtime.recording.reader import BagReader

ATTEMPTS = 3


@pytest.mark.slow
def test_a_scripted_human_takes_over_and_hands_back(tmp_path, domain):
    for attempt in range(ATTEMPTS):  # a busy machine may stop the robot before the human does
        out = tmp_path / str(attempt)
        arguments = ['--episodes', '1', '--headless', '--no-report', '--takeover']
        command = BcCommand(
            ['demo', *arguments, '--out', str(out)], folder=tmp_path / 'bc', domain=domain
        )
        try:
            while command.attend():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.wait(timeout_s=0.3)
            summary = json.loads((out / 'summary.json').read_text())
        finally:
            command.close()
        if summary['takeovers'] and summary['ticks_by_source'].get('human', 0) > 150:
            break
    assert summary['takeovers'] == 1, command.stderr
    assert summary['ticks_by_source']['human'] > 150
    assert summary['ticks_by_source']['policy'] > 100
    with BagReader(Path(summary['trials'][0]['bag'])) as bag:
        counts = {name: topic.message_count for name, topic in bag.topics.items()}
        states = [m.decode().state for m in bag.messages(['/controller/events'])]
    assert counts['/takeover'] > 100
    assert counts['/teleop'] > 100
    human = states.index('HUMAN')
    assert states[human - 1] == 'TAKEOVER'
    assert states[human + 1] == 'HANDBACK'
    assert 'ALIGN' in states[human:]
