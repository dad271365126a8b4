# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The description of the package is complete and agrees with itself."""

from __future__ import annotations

import ast
from pathlib import Path
import re
from xml.etree import ElementTree

import bc_runtime


def version_in(manifest: Path) -> str | None:
    return ElementTree.parse(manifest).findtext('version')


def test_versions_agree(repository: Path) -> None:
    found = {
        'package.xml': version_in(repository / 'package.xml'),
        'bc_msgs/package.xml': version_in(repository / 'bc_msgs' / 'package.xml'),
        'bc_runtime.__version__': bc_runtime.__version__,
    }
    assert len(set(found.values())) == 1, found


def test_entry_points_exist(repository: Path) -> None:
    """An entry point that names nothing would only be noticed by `ros2 run`."""
    entries = re.findall(r"'(\w+) = ([\w.]+):(\w+)'", (repository / 'setup.py').read_text())
    assert {'bc', 'observation', 'inference', 'controller', 'recorder', 'sim_robot'} <= {
        name for name, _, _ in entries
    }
    for name, module, function in entries:
        file = repository / (module.replace('.', '/') + '.py')
        assert file.is_file(), f'{name}: there is no {module}'
        defined = {getattr(node, 'name', None) for node in ast.parse(file.read_text()).body}
        assert function in defined, f'{name}: {module} defines no {function}()'


def test_every_requirement_is_pinned(repository: Path) -> None:
    """Also what comes with it: each name of each file stands in a constraints file, exactly."""
    folder = repository / 'requirements'
    pinned: dict[str, set[str]] = {}
    for file in folder.glob('*.txt'):
        for line in file.read_text().splitlines():
            if not line or line.startswith(('#', '-c ')):
                continue
            match = re.fullmatch(r'([\w.-]+)(?:\[\w+\])?==([\w.]+)', line)
            assert match, f'{file.name}: {line!r} is not pinned as name==version'
            if not file.name.startswith(('ros-', 'constraints-')):
                name = re.sub(r'[-_.]+', '-', match[1]).lower()
                pinned.setdefault(name, set()).add(match[2])
    assert {name: sorted(found) for name, found in pinned.items() if len(found) > 1} == {}


def test_requirements_name_no_plain_ros_package(repository: Path) -> None:
    """`rclpy` and the like on the package index are not the ROS packages of that name."""
    forbidden = re.compile(r'^(rclpy|rcutils|rosidl\w*|\w+_msgs|\w+_interfaces|std_srvs)\b', re.M)
    for file in (repository / 'requirements').glob('*.txt'):
        assert forbidden.findall(file.read_text()) == [], file.name
    assert "'rclpy'" not in (repository / 'setup.py').read_text()
