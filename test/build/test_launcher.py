# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/run: what a command sees, whatever was sourced before."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess

import pytest


@pytest.fixture
def wheels(repository: Path) -> Path:
    prefix = repository / '.venv'
    if not (prefix / 'lib' / 'librcl.so').exists():
        pytest.skip('the environment in .venv has no ROS wheels')
    return prefix


def environment_of(repository: Path, **extra: str) -> dict[str, str]:
    """Return what a command sees when only `extra` was set before."""
    program = 'import json, os; print(json.dumps(dict(os.environ)))'
    result = subprocess.run(
        [repository / 'scripts/run', 'python', '-c', program],
        env={'PATH': '/usr/bin:/bin', 'HOME': os.environ.get('HOME', '/'), **extra},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_nothing_of_another_ros_leaks_in(repository: Path, wheels: Path) -> None:
    seen = environment_of(
        repository,
        AMENT_PREFIX_PATH='/opt/ros/other',
        PYTHONPATH='/opt/ros/other/lib/python3/site-packages',
        LD_LIBRARY_PATH='/opt/ros/other/lib',
        RMW_IMPLEMENTATION='rmw_cyclonedds_cpp',
    )
    assert '/opt/ros/other' not in ' '.join(seen.values())
    assert 'RMW_IMPLEMENTATION' not in seen
    assert str(wheels / 'lib') in seen['LD_LIBRARY_PATH'].split(':')
    assert seen['AMENT_PREFIX_PATH'].split(':')[-1] == str(wheels)


def test_discovery_stays_on_this_machine_unless_told(repository: Path) -> None:
    assert environment_of(repository)['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    seen = environment_of(repository, ROS_AUTOMATIC_DISCOVERY_RANGE='SUBNET')
    assert seen['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'SUBNET'


def test_shared_memory_profile_is_set(repository: Path) -> None:
    seen = environment_of(repository)
    profiles = [value for key, value in seen.items() if key.endswith('_DEFAULT_PROFILES_FILE')]
    assert profiles == [str(repository / 'config' / 'fastdds_profile.xml')]


def test_twice_is_the_same_as_once(repository: Path, wheels: Path) -> None:
    once = environment_of(repository)
    paths = ('PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH', 'AMENT_PREFIX_PATH')
    again = environment_of(repository, **{name: once[name] for name in paths})
    for name in paths:
        assert sorted(again[name].split(':')) == sorted(once[name].split(':')), name


def test_the_commands_of_the_project_are_found(repository: Path) -> None:
    result = subprocess.run(
        [repository / 'scripts/run', 'bash', '-c', 'command -v bc; command -v colcon'],
        env={'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split()[0] == str(repository / 'scripts' / 'bin' / 'bc')


def test_without_an_environment_it_says_what_to_do(repository: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [repository / 'scripts/run', 'true'],
        env={'PATH': '/usr/bin:/bin', 'BC_VENV': str(tmp_path / 'none')},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert 'make build' in result.stderr
