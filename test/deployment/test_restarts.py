# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import sys
import time

import pytest

from bc_runtime import parent
from bc_runtime.cli.processes import ProcessGroup
from bc_runtime.deployment import (
    BRAKE_MARGIN_S,
    END_TIME_S,
    INFERENCE_RESTARTS,
    RESTART_WINDOW_S,
    describe,
)
from bc_runtime.spec.errors import ConfigError

SLEEPER = [sys.executable, '-c', 'import signal; print("here", flush=True); signal.pause()']


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    group = ProcessGroup(log_directory=tmp_path)
    yield group
    group.stop()


def kill(group: ProcessGroup, number: int) -> int:
    """Kill the process and wait until it has ended, without reaping it."""
    pid = group.pid('inference')
    os.kill(pid, number)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_only_inference_is_started_again() -> None:
    nodes = describe({'robot': 'sim_arm', 'model': 'sim_arm_act'}).nodes
    assert {n.name for n in nodes if n.restarts} == {'inference'}


def test_a_process_that_a_signal_ended_is_started_again_so_often_and_no_more(
    group: ProcessGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group.start_command('inference', SLEEPER, restarts=INFERENCE_RESTARTS)
    for _ in range(INFERENCE_RESTARTS):
        before = kill(group, signal.SIGKILL)
        assert group.ended() is None
        assert group.pid('inference') != before
    kill(group, signal.SIGKILL)
    for _ in range(3):
        assert group.ended() is None, 'the others go on, and say why'
    assert group.pids() == {}
    said = capsys.readouterr().err
    assert said.count('was ended by signal 9; started again') == 3
    assert said.count('more than 3 times within 60 s') == 1


def test_it_is_started_again_when_the_first_of_the_restarts_lies_far_enough_back(
    group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.start_command('inference', SLEEPER, restarts=1)
    kill(group, signal.SIGKILL)
    assert group.ended() is None
    kill(group, signal.SIGKILL)
    assert group.ended() is None and group.pids() == {}
    later = time.monotonic() + RESTART_WINDOW_S
    monkeypatch.setattr(time, 'monotonic', lambda: later)
    assert group.ended() is None
    assert list(group.pids()) == ['inference']


#: Beats for a while as an inference process would, then gets stuck.
STUCK = """
import os, signal
out = int(os.environ['BC_HEARTBEAT'])
os.write(out, b'0.000\\n0.050\\n')
signal.pause()
"""


def test_a_process_that_gets_stuck_is_killed_and_started_again(
    group: ProcessGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    group.start_command('inference', [sys.executable, '-c', STUCK], restarts=1)
    before = group.pid('inference')
    while group.pid('inference') == before:
        assert group.ended() is None
        time.sleep(0.01)
    said = capsys.readouterr().err
    assert said.count('has not given a sign of life') == 1
    assert 'was ended by signal 9; started again' in said


#: Says how often it was restarted, in place of an inference node's policy_info.
TELLER = """
import os, signal
print('restarts', os.environ.get('BC_RESTARTS', 'none'), flush=True)
signal.pause()
"""


def test_a_process_is_told_how_often_it_was_started_again(
    group: ProcessGroup, tmp_path: Path
) -> None:
    group.start_command('inference', [sys.executable, '-c', TELLER], restarts=2)
    for told in ('none', '1', '2'):
        while f'restarts {told}' not in (tmp_path / 'inference.log').read_text():
            time.sleep(0.01)
        kill(group, signal.SIGKILL)
        assert group.ended() is None


#: Notes something the first time, and says what was noted before.
SETTER = """
import signal
from bc_runtime.live_settings import LiveSettings
settings = LiveSettings.of_process()
print('kept', settings.read(), flush=True)
if not settings.read():
    settings.note('model', 'b.onnx')
    print('noted', flush=True)
signal.pause()
"""


def test_what_was_set_while_a_process_ran_is_there_for_the_one_after_it(
    group: ProcessGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group.start_command('inference', [sys.executable, '-c', SETTER], restarts=2)
    log = tmp_path / 'inference.log'
    for words in ('noted', "kept {'model': 'b.onnx'}"):
        while words not in log.read_text():
            time.sleep(0.01)
        kill(group, signal.SIGKILL)
        assert group.ended() is None
    assert "with what was set: {'model': 'b.onnx'}" in capsys.readouterr().err
    while log.read_text().count("kept {'model': 'b.onnx'}") < 2:
        time.sleep(0.01)


def test_stopping_says_who_did_not_end_as_asked(group: ProcessGroup, tmp_path: Path) -> None:
    deaf = 'import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)'
    for name, program in (
        ('obedient', 'import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(0))'),
        ('deaf', deaf),
        ('failing', 'import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(3))'),
    ):
        group.start_command(
            name, [sys.executable, '-c', f'{program}; print("here", flush=True); signal.pause()']
        )
        while 'here' not in (tmp_path / f'{name}.log').read_text():
            time.sleep(0.01)
    deaf_words, failing_words = group.stop()
    assert 'deaf did not end within' in deaf_words and 'killed' in deaf_words
    assert failing_words == 'failing ended with code 3'


def test_a_slow_robot_may_brake_for_as_long_as_its_limits_say(tmp_path: Path) -> None:
    """Regressions pinned: a controller was killed after 1.2 s, also in the middle of a brake."""
    file = tmp_path / 'base.yaml'
    file.write_text("""
schema_version: 1
name: base
command:
  {type: twist, topic: cmd_vel, rate_hz: 50.0, axes: {linear.x: {velocity: 2, acceleration: 0.5}}}
""")
    deployment = describe({'robot': str(file)})
    assert deployment.braking_s == pytest.approx(4.0 + BRAKE_MARGIN_S)
    assert {n.name for n in deployment.nodes if n.stop_s > END_TIME_S} == {'controller'}


def test_a_process_that_never_beats_is_left_alone(group: ProcessGroup) -> None:
    group.start_command('inference', SLEEPER, restarts=1)
    before = group.pid('inference')
    os.kill(before, signal.SIGSTOP)
    for _ in range(20):
        assert group.ended() is None
    assert group.pid('inference') == before


def test_an_exit_code_is_an_answer(group: ProcessGroup) -> None:
    group.start_command('inference', [sys.executable, '-c', 'exit(1)'], restarts=3)
    os.waitid(os.P_PID, group.pid('inference'), os.WEXITED | os.WNOWAIT)
    assert group.ended() == ('inference', 1)


def test_what_must_not_restart_ends_the_deployment(group: ProcessGroup) -> None:
    group.start_command('inference', SLEEPER)
    kill(group, signal.SIGKILL)
    assert group.ended() == ('inference', -signal.SIGKILL)


def test_nodes_that_would_outlive_the_launcher_are_not_started(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    parent.ending_with_parent.cache_clear()
    group = ProcessGroup(log_directory=tmp_path)
    with pytest.raises(ConfigError, match='util-linux'):
        group.start_command('inference', SLEEPER)
    assert group.pids() == {}
