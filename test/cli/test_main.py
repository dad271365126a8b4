# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the command says to words that it does not know."""

from __future__ import annotations

import pytest

from bc_runtime.cli.main import main


@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        (['demo', '--epsiodes=2'], ['bc demo', '--epsiodes=2', "Did you mean '--episodes'?"]),
        (['inspect', 'a.onnx', '--thread', '1', '--rnus', '3'], ['bc inspect', "mean '--runs'?"]),
        (['demo', 'sim_arm_flow'], ['bc demo', 'unrecognized arguments: sim_arm_flow']),
        (['demoo'], ['invalid choice', 'demo']),
    ],
)
def test_unknown_words_are_refused_with_what_was_probably_meant(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert all(words in error for words in said), error


@pytest.mark.parametrize('verb', [['check', '--graph', 'no'], ['check'], ['deploy'], ['start']])
@pytest.mark.parametrize(
    ('variables', 'said'),
    [
        ({'HOME': '/proc/1/nobody'}, 'ROS cannot write its logs to /proc/1/nobody/.ros/log'),
        ({'HOME': ''}, 'HOME is not set'),
        ({'ROS_LOG_DIR': '/proc/1/logs'}, 'ROS cannot write its logs to /proc/1/logs'),
        ({'ROS_HOME': '/dev/null'}, 'ROS cannot write its logs to /dev/null/log'),
    ],
)
def test_a_log_folder_that_cannot_be_written_is_one_sentence(
    verb, variables, said, capsys, monkeypatch
):
    """Regressions pinned: rclpy ended with a traceback."""
    for name in ('ROS_LOG_DIR', 'ROS_HOME'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(verb) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count('\n') == 1
    assert 'set ROS_LOG_DIR' in error


@pytest.mark.parametrize('verb', ['check', 'start', 'swap'])
def test_a_namespace_that_ros_refuses_is_one_sentence(verb, capsys):
    """Regressions pinned: rclpy ended with a traceback."""
    words = [verb, '--namespace', 'left-arm']
    assert main([*words, 'model'] if verb == 'swap' else words) == 2
    error = capsys.readouterr().err
    assert "'left-arm' is no name that ROS takes for a namespace" in error
    assert error.count('\n') == 1
