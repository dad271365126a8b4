# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Say which package is missing and how it is installed, instead of a traceback."""

from __future__ import annotations

#: What a package that is missing belongs to: extra of setup.py -> its packages, by import names.
EXTRAS = {
    'cpu': ('cv2', 'mcap', 'onnxruntime', 'rosbags', 'simplejpeg'),
    'demo': ('mujoco', 'PIL'),
    'export': ('onnx', 'onnxscript', 'torch'),
    'remote': ('msgpack', 'websockets'),
}
#: Import name -> name on the package index, where they differ.
INSTALLED_AS = {'cv2': 'opencv-python-headless', 'PIL': 'pillow', 'yaml': 'PyYAML'}


def describe_missing(what: str, error: ModuleNotFoundError) -> str:
    """Return the sentence for people.

    Args:
        what: What was to be run.
        error: What the import said.

    Raises:
        ModuleNotFoundError: No package of ours is missing: the fault is in the program.
    """
    package = (error.name or '').partition('.')[0]
    if package == 'rclpy' or package.endswith(('_msgs', '_srvs', '_interfaces')):
        return (
            f'{what} needs ROS 2 and the built workspace, and {package} is not there: source '
            'both, or run through scripts/run'
        )
    extra = next((name for name, packages in EXTRAS.items() if package in packages), '')
    if not extra:
        raise error
    return (
        f'{what} needs the package {package}, which is not installed: '
        f'pip install {INSTALLED_AS.get(package, package)} (extra {extra!r} of setup.py)'
    )
