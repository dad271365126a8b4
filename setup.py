# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Package description that colcon and pip read; versions for development are in requirements/."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = 'bc_runtime'
# Resolved, because colcon --symlink-install runs this file through a link in its build folder.
ROOT = Path(__file__).resolve().parent


def installed_files(*folders):
    """List the data files of some folders, each under its own folder in share/bc_runtime."""
    groups = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                relative = path.relative_to(ROOT)
                groups.setdefault(f'share/{NAME}/{relative.parent}', []).append(str(relative))
    return list(groups.items())


setup(
    name=NAME,
    version=ElementTree.parse(ROOT / 'package.xml').findtext('version'),
    description="Deploys behaviour-cloned robot policies on ROS 2, inside the robot's limits",
    author='The bc_runtime authors',
    maintainer='The bc_runtime authors',
    maintainer_email='bc_runtime@example.org',
    license='Apache-2.0',
    python_requires='>=3.11',
    # The root folder also holds bc_msgs/, launch/ and test/, which are no parts of this package.
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed']},
    zip_safe=False,
    # rclpy and the messages come from the ROS installation and have no names that pip knows.
    install_requires=['numpy', 'PyYAML', 'setuptools'],
    extras_require={
        'cpu': ['mcap', 'onnxruntime', 'opencv-python-headless', 'rosbags', 'simplejpeg'],
        'gpu': ['mcap', 'onnxruntime-gpu', 'opencv-python-headless', 'rosbags', 'simplejpeg'],
        'remote': ['msgpack', 'websockets'],
        'torch': ['torch'],
        'demo': ['mujoco', 'pillow'],
        'train': ['mujoco', 'onnx', 'torch'],
        'export': ['onnx', 'onnxscript', 'torch'],
        # colcon test runs pytest only for a package that has this extra.
        'test': ['hypothesis', 'pytest'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *installed_files('config', 'launch', 'models'),
    ],
    entry_points={
        # Found by `ros2 run bc_runtime ...` only (setup.cfg): `bc` is also a calculator.
        'console_scripts': [
            'bc = bc_runtime.cli.main:main',
            'observation = bc_runtime.ros.start:observation',
            'inference = bc_runtime.ros.start:inference',
            'controller = bc_runtime.ros.start:controller',
            'recorder = bc_runtime.ros.start:recorder',
            'sim_robot = bc_runtime.ros.start:sim_robot',
            'sim_car = bc_runtime.ros.start:sim_car',
        ],
    },
)
