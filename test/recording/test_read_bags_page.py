# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/how-to/read_bags.md run, and its facts are those of the code."""

from __future__ import annotations

from pathlib import Path
import re

from bc_runtime.recording.disk import GIGABYTE, DiskLimits
from bc_runtime.recording.episode_writer import DEFAULT_QUEUE_BYTES, EpisodeWriter

PAGE = Path(__file__).parents[2] / 'docs' / 'how-to' / 'read_bags.md'


def test_examples_of_the_page_run(tmp_path, ros_types, topics, labels, capsys):
    with EpisodeWriter(tmp_path, labels=labels, topics=topics) as writer:
        writer.write('/joint_states', ros_types.joint_state(5, [1.0, 2.0, 3.0]), log_time_ns=5)
    examples = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(example.replace('episodes/episode_20260923_141501', str(writer.path)), {})
    printed = capsys.readouterr().out
    assert 'put the red cube in the tray Outcome.UNLABELED ab12' in printed
    assert '1 sensor_msgs/msg/JointState /joint_states' in printed
    assert "['joint_1', 'joint_2', 'gripper'] [1. 2. 3.]" in printed


def test_facts_of_the_page_are_those_of_the_code(labels):
    text = PAGE.read_text(encoding='utf-8')
    for key in (*labels.to_custom_data(), 'bc.closed', 'bc.dropped'):
        assert f'`{key}`' in text
    limits = DiskLimits()
    assert f'Below {limits.warn_bytes // GIGABYTE} GB' in text
    assert f'below {limits.stop_bytes // GIGABYTE} GB' in text
    assert f'queue of {DEFAULT_QUEUE_BYTES // 2**20} MB' in text
