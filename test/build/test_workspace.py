# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The repository inside a user's workspace, as src/bc_runtime.

Regressions pinned: `colcon build` in a workspace finds bc_runtime only, because colcon does not
look for packages inside a package; scripts/colcon is the invocation that finds both, wherever it
is started and also through a link.
"""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which('colcon') is None, reason='there is no colcon; start with scripts/run'
)
BOTH = ['bc_msgs', 'bc_runtime']


def colcon(*command: str, cwd: Path) -> str:
    """Run a command in a folder and return its output."""
    result = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def listed(*command: str, cwd: Path) -> list[str]:
    return sorted(colcon(*command, 'list', '--names-only', cwd=cwd).split())


@pytest.fixture
def linked_workspace(tmp_path: Path, repository: Path) -> Path:
    (tmp_path / 'src').mkdir()
    (tmp_path / 'src' / 'bc_runtime').symlink_to(repository)
    return tmp_path


@pytest.fixture
def copied_workspace(tmp_path: Path, repository: Path) -> Path:
    source = tmp_path / 'src' / 'bc_runtime'
    ignore = shutil.ignore_patterns(
        '.*', 'build', 'install', 'log', 'out', 'test', 'docs', '__pycache__', '*.egg-info'
    )
    shutil.copytree(repository, source, ignore=ignore)
    return tmp_path


def test_workspace_with_a_link_lists_both_packages(linked_workspace: Path) -> None:
    assert listed('src/bc_runtime/scripts/colcon', cwd=linked_workspace) == BOTH


def test_workspace_with_a_copy_lists_both_packages(copied_workspace: Path) -> None:
    assert listed('src/bc_runtime/scripts/colcon', cwd=copied_workspace) == BOTH


def test_workspace_keeps_its_other_packages(linked_workspace: Path) -> None:
    other = linked_workspace / 'src' / 'my_robot'
    other.mkdir()
    (other / 'package.xml').write_text(
        '<package format="3"><name>my_robot</name><version>1.0.0</version><description/>'
        '<maintainer email="me@example.org">me</maintainer><license>none</license></package>'
    )
    (other / 'CMakeLists.txt').touch()
    assert listed('src/bc_runtime/scripts/colcon', cwd=linked_workspace) == [*BOTH, 'my_robot']


def test_the_written_out_command_does_the_same(linked_workspace: Path) -> None:
    paths = ['--base-paths', 'src', 'src/bc_runtime/bc_msgs']
    output = colcon('colcon', 'list', '--names-only', *paths, cwd=linked_workspace)
    assert sorted(output.split()) == BOTH


def test_from_elsewhere_and_from_the_repository(tmp_path: Path, repository: Path) -> None:
    assert listed(str(repository / 'scripts' / 'colcon'), cwd=tmp_path) == BOTH
    assert listed('scripts/colcon', cwd=repository) == BOTH
    # The settings in colcon_defaults.yaml make the plain command work in the repository too.
    assert listed('colcon', cwd=repository) == BOTH


def test_no_verb_is_explained(repository: Path) -> None:
    result = subprocess.run(
        [str(repository / 'scripts' / 'colcon')], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert 'usage' in result.stderr


def test_installed_copy_finds_its_files(copied_workspace: Path) -> None:
    """Built without links: programs, data files and the command are where users look for them."""
    colcon(
        'src/bc_runtime/scripts/colcon', 'build', '--packages-select', 'bc_runtime',
        '--event-handlers', 'console_direct-', cwd=copied_workspace,
    )  # fmt: skip
    prefix = copied_workspace / 'install' / 'bc_runtime'
    programs = {file.name for file in (prefix / 'lib' / 'bc_runtime').iterdir()}
    assert {'bc', 'observation', 'inference', 'controller', 'recorder', 'sim_robot'} <= programs
    # A sourced workspace puts bin/ on PATH, where `bc` would hide the calculator.
    assert not (prefix / 'bin').exists()
    share = prefix / 'share' / 'bc_runtime'
    assert (share / 'package.xml').is_file()
    assert (share / 'config' / 'robots' / 'sim_arm.yaml').is_file()

    (packages,) = (prefix / 'lib').glob('python3*/site-packages')
    shutil.rmtree(copied_workspace / 'src')
    # Out of the source tree and with no trace of it on the search path.
    keep = {k: v for k, v in os.environ.items() if k not in ('AMENT_PREFIX_PATH', 'PYTHONPATH')}
    program = (
        'from bc_runtime.resources import robot_file, share_directory\n'
        'print(share_directory(), robot_file("sim_arm"))'
    )
    result = subprocess.run(
        [sys.executable, '-c', program],
        cwd=copied_workspace,
        env={**keep, 'AMENT_PREFIX_PATH': str(prefix), 'PYTHONPATH': str(packages)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    found = result.stdout.split()
    assert found == [str(share), str(share / 'config' / 'robots' / 'sim_arm.yaml')]
