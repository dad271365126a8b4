# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the bootstrap decides and says on machines that lack something."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys
from types import ModuleType

import pytest


@pytest.fixture
def bootstrap(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        'bc_bootstrap', repository / 'scripts/bootstrap.py'
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ('ROS_DISTRO', 'ROS_WHEELS', 'CXX'):
        monkeypatch.delenv(name, raising=False)
    return module


def hide_programs(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    which = shutil.which
    monkeypatch.setattr(
        shutil, 'which', lambda name, **rest: None if name in hidden else which(name, **rest)
    )


def hide_modules(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name in hidden else find(name)
    )


def pretend_rclpy(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    spec = importlib.machinery.ModuleSpec('rclpy', None, origin=origin)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _name: spec)


def test_this_machine_lacks_nothing(bootstrap: ModuleType) -> None:
    assert bootstrap.missing_tools(['ros'], None) == []


def test_missing_compiler_is_one_sentence(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_programs(monkeypatch, 'c++', 'g++', 'clang++')
    assert bootstrap.missing_tools(['ros'], None) == [
        'There is no C++ compiler. Install: sudo apt install g++'
    ]
    # Training needs no compiler.
    assert bootstrap.missing_tools(['train'], None) == []


def test_missing_venv_and_headers(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_modules(monkeypatch, 'ensurepip')
    monkeypatch.setattr(bootstrap.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    version = f'python3.{sys.version_info.minor}'
    assert [text.split('apt install ')[1] for text in bootstrap.missing_tools(['ros'], None)] == [
        f'{version}-venv',
        f'{version}-dev',
    ]


def test_other_machines_are_told_to_install_ros(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.platform, 'machine', lambda: 'aarch64')
    (sentence,) = bootstrap.missing_tools(['ros'], None)
    assert 'x86_64 only' in sentence and 'aarch64' in sentence and 'Jazzy' in sentence
    assert bootstrap.missing_tools(['ros'], 'jazzy') == []


@pytest.mark.parametrize(
    ('version', 'good'),
    [((3, 10, 12), False), ((3, 11, 2), True), ((3, 14, 0), True), ((3, 15, 0), False)],
)
def test_python_versions(bootstrap: ModuleType, version: tuple[int, ...], good: bool) -> None:
    assert bootstrap.supported(version) is good


def test_wrong_python_is_one_sentence(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, 'supported', lambda version: False)
    with pytest.raises(SystemExit):
        bootstrap.use_supported_python(None)
    message = capsys.readouterr().err
    assert 'Python 3.11 to 3.14 is needed' in message
    assert 'sudo apt install' in message


def test_another_python_of_the_machine_is_taken(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        bootstrap, 'supported', lambda version: tuple(version[:2]) == (3, 12) and len(version) == 2
    )
    monkeypatch.setattr(shutil, 'which', lambda name: f'/opt/{name}')
    started: list[list[str]] = []

    def execv(path: str, arguments: list[str]) -> None:
        started.append([path, *arguments])
        raise SystemExit

    monkeypatch.setattr(bootstrap.os, 'execv', execv)
    with pytest.raises(SystemExit):
        bootstrap.use_supported_python(None)
    assert started[0][:2] == ['/opt/python3.12', '/opt/python3.12']


def test_without_a_distribution_the_wheels_are_used(bootstrap: ModuleType, tmp_path: Path) -> None:
    assert bootstrap.sourced_distribution(tmp_path) is None


def test_a_sourced_distribution_is_used(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    pretend_rclpy(monkeypatch, '/opt/ros/jazzy/lib/python3.12/site-packages/rclpy/__init__.py')
    assert bootstrap.sourced_distribution(tmp_path) == 'jazzy'
    monkeypatch.setenv('ROS_WHEELS', 'jazzy')
    assert bootstrap.sourced_distribution(tmp_path) is None


def test_the_own_environment_is_no_distribution(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'kilted')
    pretend_rclpy(monkeypatch, str(tmp_path / 'lib/python3.11/site-packages/rclpy/__init__.py'))
    assert bootstrap.sourced_distribution(tmp_path) is None


def test_an_old_distribution_is_refused(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    pretend_rclpy(monkeypatch, '/opt/ros/humble/lib/python3.10/site-packages/rclpy/__init__.py')
    with pytest.raises(SystemExit):
        bootstrap.sourced_distribution(tmp_path)
    assert 'Jazzy or newer' in capsys.readouterr().err


def test_a_distribution_keeps_its_own_numpy(bootstrap: ModuleType, tmp_path: Path) -> None:
    """Its messages are compiled against it; another one next to it would not load them."""
    from importlib.metadata import version

    files = bootstrap.requirement_files('ros', '') + bootstrap.requirement_files('runtime', '')
    copies = bootstrap.for_distribution(files, tmp_path)
    text = '\n'.join(file.read_text().lower() for file in copies)
    assert 'onnxruntime==' in text
    assert 'colcon-common-extensions==' in text
    assert 'numpy' not in text and 'opencv' not in text and 'ros-rclpy' not in text
    constraints = (tmp_path / 'requirements' / 'constraints.txt').read_text()
    assert f'numpy=={version("numpy")}' in constraints


def test_a_changed_constraint_changes_the_digest(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, 'REQUIREMENTS', tmp_path)
    (tmp_path / 'a.txt').write_text('-c constraints.txt\nnumpy==1\n')
    (tmp_path / 'constraints.txt').write_text('numpy==1\n')
    before = bootstrap.digest([tmp_path / 'a.txt'])
    assert before == bootstrap.digest([tmp_path / 'a.txt'])
    (tmp_path / 'constraints.txt').write_text('numpy==1\nsix==1\n')
    assert before != bootstrap.digest([tmp_path / 'a.txt'])


def test_unknown_wheels_and_unknown_group_are_explained(repository: Path, tmp_path: Path) -> None:
    def run(*arguments: str, wheels: str) -> str:
        result = subprocess.run(
            [sys.executable, str(repository / 'scripts/bootstrap.py'), *arguments],
            env={'PATH': '/usr/bin:/bin', 'ROS_WHEELS': wheels, 'HOME': str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 1
        return result.stderr

    venv = str(tmp_path / 'venv')
    assert 'wheels of: kilted, jazzy' in run('--venv', venv, 'ros', wheels='foxy')
    assert 'among the requirements: ' in run('--venv', venv, 'nonsense', wheels='kilted')
    assert not Path(venv).exists()


def test_wheels_that_were_asked_for_stay(bootstrap: ModuleType) -> None:
    assert bootstrap.wheels_of({}) == 'kilted'
    assert bootstrap.wheels_of({'identity': {'ros': 'jazzy wheels'}}) == 'jazzy'
    assert bootstrap.wheels_of({'identity': {'ros': 'jazzy distribution'}}) == 'kilted'


def test_an_environment_of_somebody_else_is_left_alone(repository: Path, tmp_path: Path) -> None:
    venv = tmp_path / 'venv'
    (venv / 'bin').mkdir(parents=True)
    result = subprocess.run(
        [sys.executable, str(repository / 'scripts/bootstrap.py'), '--venv', str(venv), 'demo'],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert 'was not made by this project' in result.stderr
    assert (venv / 'bin').is_dir()
