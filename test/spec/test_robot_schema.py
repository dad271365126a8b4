# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""config/robot.schema.json: accepts every robot that the reader accepts, refuses wrong keys."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

import jsonschema
import pytest
import yaml


def test_the_shipped_robots_fit_and_name_the_schema(
    repository: Path, validator: jsonschema.Draft202012Validator
) -> None:
    files = sorted((repository / 'config' / 'robots').glob('*.yaml'))
    assert files
    for file in files:
        text = file.read_text(encoding='utf-8')
        validator.validate(yaml.safe_load(text))
        named = re.match(r'# yaml-language-server: \$schema=(.*)', text)
        assert named, file
        assert (file.parent / named[1]).resolve() == repository / 'config' / 'robot.schema.json'


def test_the_example_of_the_reference_fits(
    repository: Path, validator: jsonschema.Draft202012Validator
) -> None:
    page = (repository / 'docs' / 'reference' / 'robot_yaml.md').read_text(encoding='utf-8')
    (block,) = re.findall(r'```yaml\n(schema_version:.*?)```', page, re.DOTALL)
    validator.validate(yaml.safe_load(block))


def test_every_kind_of_stream_fits(
    robot: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate(robot)


@pytest.mark.parametrize(
    ('command', 'fits'),
    [
        ({'type': 'twist', 'axes': {'linear.x': {'velocity': 1, 'acceleration': 1}}}, True),
        ({'type': 'twist', 'axes': {'linear.w': {'velocity': 1, 'acceleration': 1}}}, False),
        ({'type': 'twist', 'axes': {}}, False),
        ({'type': 'twist'}, False),
        ({'type': 'twist', 'joints': ['a']}, False),
        ({'type': 'joint_state', 'joints': ['a'], 'interface': 'velocity'}, True),
        ({'type': 'joint_state', 'joints': ['a'], 'frame_id': 'base'}, False),
        ({'type': 'joint_state'}, False),
    ],
)
def test_keys_that_depend_on_another_key(
    robot: dict[str, Any],
    validator: jsonschema.Draft202012Validator,
    command: dict[str, Any],
    fits: bool,
) -> None:
    robot['command'] = {'topic': 'command', 'rate_hz': 100.0, **command}
    assert validator.is_valid(robot) == fits
